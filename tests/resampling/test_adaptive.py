"""The effective sample size, and resampling on demand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.resampling import Multinomial, Systematic, adaptive_ancestors, effective_sample_size, ess_below
from probinf.validity import enumerate_law

INF = jnp.inf


@pytest.mark.parametrize(
    ("log_weights", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], 4.0),
        ([900.0, 900.0, -INF, -INF], 2.0),
        ([-900.0, -INF, -INF, -INF], 1.0),
        ([0.0, float(np.log(3.0)), -INF, -INF], 16 / 10),
        ([0.0, 0.0, jnp.nan, -INF], 2.0),
        ([-INF, -INF, -INF, -INF], 0.0),
    ],
)
def test_effective_sample_size(log_weights, expected):
    assert effective_sample_size(jnp.asarray(log_weights)) == pytest.approx(expected, rel=1e-6)


def test_ess_below():
    half = jnp.asarray([0.0, 0.0, -INF, -INF])
    assert ess_below(half, 0.6) and not ess_below(half, 0.4)
    assert not ess_below(jnp.full(4, -INF), 0.9)


@pytest.mark.parametrize("conditional", [False, True])
def test_resamples_below_the_threshold_only(conditional):
    draw = jax.jit(lambda key, x, limit: adaptive_ancestors(Systematic(), limit, key, x, conditional=conditional))
    log_weights = jnp.asarray([0.0, -INF, 0.0, -INF])
    ancestors, resampled = draw(jax.random.key(0), log_weights, 0.4)
    assert not resampled and np.array_equal(ancestors, np.arange(4))
    ancestors, resampled = draw(jax.random.key(0), log_weights, 0.6)
    assert resampled and set(np.asarray(ancestors).tolist()) == {0, 2}
    assert not conditional or ancestors[0] == 0


def test_law_is_the_schemes_where_it_resamples(x64):
    log_weights = jnp.log(jnp.asarray([0.7, 0.2, 0.1]))
    law = enumerate_law(lambda key, x: adaptive_ancestors(Multinomial(), 0.9, key, x), jax.random.key(0), log_weights)
    counts = law.expectation(lambda out: jnp.bincount(out[0], length=3))
    np.testing.assert_allclose(counts, [2.1, 0.6, 0.3], atol=1e-12)
    assert np.all(law.outputs[1])
