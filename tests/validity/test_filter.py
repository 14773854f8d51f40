"""A bootstrap filter in plain JAX, enumerated: its weighted output is the path measure, a mutant's is not."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf._choice import choice, uniform_cells
from probinf.validity import check_cells, enumerate_law

pytestmark = pytest.mark.usefixtures("x64")
LANES, STEPS = 2, 3
INITIAL = np.array([0.6, 0.4])
TRANSITION = np.array([[0.7, 0.3], [0.2, 0.8]])
EMISSION = np.array([[0.9, 0.1], [0.3, 0.7]])
OBSERVED = np.array([0, 1, 0])


def multinomial(key, log_weights):
    return choice(key, log_weights, (LANES,))


def systematic_breaks(log_weights):
    """Ancestors change where `(i + u) / n` crosses a cumulative weight: at the fractions of `n C_j`."""
    cumulative = jnp.cumsum(jax.nn.softmax(log_weights))
    return cumulative, (LANES * cumulative) % 1.0


def systematic(key, log_weights):
    cumulative, breaks = systematic_breaks(log_weights)
    points = (jnp.arange(LANES) + uniform_cells(key, breaks)) / LANES
    return jnp.minimum(jnp.searchsorted(cumulative, points, side="right"), LANES - 1)


def bootstrap_filter(key, transition, resample, keep_weights=False):
    start_key, scan_key = jax.random.split(key)
    x = choice(start_key, jnp.log(INITIAL), (LANES,))
    paths = jnp.zeros((LANES, STEPS), jnp.int32).at[:, 0].set(x)
    emission = jnp.log(EMISSION)

    def step(carry, slice_):
        paths, log_weights, log_evidence = carry
        key, observed, time = slice_
        resample_key, move_key = jax.random.split(key)
        log_evidence = log_evidence + jax.nn.logsumexp(log_weights) - jnp.log(LANES)
        ancestors = resample(resample_key, log_weights)
        paths = paths[ancestors]
        x = choice(move_key, jnp.log(transition)[paths[:, time - 1]])
        log_weights = jnp.where(keep_weights, log_weights[ancestors], 0.0) + emission[x, observed]
        return (paths.at[:, time].set(x), log_weights, log_evidence), None

    carry = (paths, emission[x, OBSERVED[0]], jnp.zeros(()))
    slices = (jax.random.split(scan_key, STEPS - 1), jnp.array(OBSERVED[1:]), jnp.arange(1, STEPS))
    (paths, log_weights, log_evidence), _ = jax.lax.scan(step, carry, slices)
    return paths, log_evidence + log_weights - jnp.log(LANES)


def weighted_paths(law):
    """E[ sum_i w_i 1(path_i = .) ], one entry a path in binary order."""
    paths, log_weights = law.outputs
    codes = paths @ (2 ** np.arange(STEPS)[::-1])
    return np.bincount(codes.ravel(), (law.probability[:, None] * np.exp(log_weights)).ravel(), 2**STEPS)


def path_measure():
    measure = []
    for path in product(range(2), repeat=STEPS):
        p = INITIAL[path[0]] * EMISSION[path[0], OBSERVED[0]]
        for t in range(1, STEPS):
            p *= TRANSITION[path[t - 1], path[t]] * EMISSION[path[t], OBSERVED[t]]
        measure.append(p)
    return np.array(measure)


def error(resample, **options):
    law = enumerate_law(
        lambda key, table: bootstrap_filter(key, table, resample, **options),
        jax.random.key(1),
        jnp.array(TRANSITION),
    )
    assert law.total == pytest.approx(1.0, abs=1e-14)
    return law, np.max(np.abs(weighted_paths(law) - path_measure()))


def test_multinomial_filter_is_properly_weighted():
    law, distance = error(multinomial)
    assert law.worlds == 4 * (4 * 4) ** 2
    assert distance < 1e-15


def test_systematic_filter_is_properly_weighted():
    law, distance = error(systematic)
    # One uniform with three cells takes the place of four ancestors.
    assert law.worlds == 4 * (3 * 4) ** 2
    assert distance < 1e-15


def test_weights_kept_after_resampling_are_seen():
    assert error(multinomial, keep_weights=True)[1] > 1e-3


def test_the_cells_of_systematic_resampling_keep_their_promise():
    check_cells(lambda key, table: bootstrap_filter(key, table, systematic), jax.random.key(1), jnp.array(TRANSITION))
