"""Unmodified kernels of another library, read on a grid of uniforms on which their thresholds lie."""

import blackjax.smc.resampling as resampling
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blackjax.mcmc.random_walk import build_rmh, init
from numpy.testing import assert_allclose

from probinf.validity import NotEnumerable, enumerate_law, invariance_error, kernel_matrix

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(0)
# All acceptance ratios are multiples of 1/4, and so are the proposal's thresholds.
LOG_PI = np.log(np.array([4.0, 2.0, 1.0]))


def test_a_uniform_takes_the_midpoints():
    law = enumerate_law(lambda key: jax.random.uniform(key, (2,)), KEY, grid=3)
    assert_allclose(law.outputs[:3], [[1 / 6, 1 / 6], [1 / 6, 1 / 2], [1 / 6, 5 / 6]], rtol=1e-15)
    assert_allclose(law.probability, np.full(9, 1 / 9), rtol=1e-15)
    single = enumerate_law(lambda key: jax.random.uniform(key, (), jnp.float32), KEY, grid=3)
    assert_allclose(single.outputs, [1 / 6, 1 / 2, 5 / 6], rtol=1e-6)


def random_walk(steps_up):
    """Metropolis of blackjax on three states in a ring, one up with probability `steps_up`."""

    def propose(key, state):
        return (state + jnp.where(jax.random.uniform(key) < steps_up, 1, 2)) % 3

    def log_density(x):
        return jnp.array(LOG_PI)[x]

    step = build_rmh()
    return lambda key, x: step(key, init(x, log_density), log_density, propose)[0].position


def test_random_walk_metropolis_is_exact():
    matrix = kernel_matrix(random_walk(0.5), jnp.arange(3), grid=4)
    assert invariance_error(matrix, LOG_PI) < 1e-15
    assert_allclose(matrix[0], [0.625, 0.25, 0.125], atol=1e-15, rtol=0)


def test_an_asymmetric_proposal_without_its_density_is_seen():
    assert invariance_error(kernel_matrix(random_walk(0.75), jnp.arange(3), grid=4), LOG_PI) > 1e-2


@pytest.mark.parametrize("scheme", [resampling.systematic, resampling.stratified])
def test_resampling_has_the_right_mean_offspring(scheme):
    weights = np.array([0.125, 0.0, 0.5, 0.375])

    def offspring(key, weights):
        return jnp.zeros(4).at[scheme(key, weights, 4)].add(1.0)

    law = enumerate_law(offspring, KEY, jnp.array(weights), grid=4)
    assert_allclose(law.expectation(lambda counts: counts), 4 * weights, atol=1e-14, rtol=0)


def test_other_draws_than_uniform_bits_stay_refused():
    with pytest.raises(NotEnumerable, match="random_gamma"):
        enumerate_law(lambda key: jax.random.gamma(key, 2.0), KEY, grid=4)
