"""Survivors stay in their own slots; the offspring counts are those of the inner scheme."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.resampling import Killing, Multinomial, Settled, Stratified, Systematic
from probinf.resampling._shuffle import shuffled_lanes
from probinf.validity import enumerate_law


@pytest.mark.parametrize("scheme", [Stratified(), Killing()], ids=str)
def test_survivors_stay_and_counts_are_kept(scheme):
    rows = 2.0 * jax.random.normal(jax.random.key(0), (50, 40))
    keys = jax.random.split(jax.random.key(1), 50)
    before = np.asarray(jax.jit(jax.vmap(scheme))(keys, rows))
    settled = np.asarray(jax.jit(jax.vmap(Settled(scheme)))(keys, rows))
    for a, s in zip(before, settled, strict=True):
        assert np.array_equal(np.sort(a), np.sort(s))
        assert np.array_equal(s[np.unique(a)], np.unique(a))


@pytest.mark.parametrize("scheme", [Multinomial(), Systematic()], ids=str)
def test_retained_lane_stays_in_front(scheme):
    rows = 2.0 * jax.random.normal(jax.random.key(0), (50, 40))
    keys = jax.random.split(jax.random.key(1), 50)
    settled = np.asarray(jax.jit(jax.vmap(Settled(scheme).conditional))(keys, rows))
    assert np.all(settled[:, 0] == 0)
    for s in settled:
        assert np.array_equal(s[np.unique(s)], np.unique(s))


def test_random_order_is_uniform():
    law = enumerate_law(lambda key: shuffled_lanes(key, 5), jax.random.key(0)).grouped()
    orders = {tuple(order) for order in law.outputs.tolist()}
    assert len(orders) == 24
    assert all(sorted(order) == list(range(5)) and order[0] == 0 for order in orders)
    np.testing.assert_allclose(law.probability, 1 / 24, rtol=1e-12)


def test_random_order_of_many_lanes_is_an_order():
    order = np.asarray(shuffled_lanes(jax.random.key(3), 1000))
    assert order[0] == 0 and np.array_equal(np.sort(order), np.arange(1000))
    assert jnp.issubdtype(order.dtype, jnp.int32)
