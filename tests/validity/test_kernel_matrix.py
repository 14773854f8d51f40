"""Exact transition matrices of Metropolis-Hastings kernels, right and wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from probinf._choice import choice, flip
from probinf.validity import detailed_balance_error, invariance_error, kernel_matrix, row_sum_error

pytestmark = pytest.mark.usefixtures("x64")
LOG_PI = np.log(np.array([0.1, 0.4, 0.2, 0.3]))
PROPOSAL = np.array([[0.1, 0.5, 0.2, 0.2], [0.3, 0.1, 0.3, 0.3], [0.6, 0.2, 0.1, 0.1], [0.25] * 4])


def metropolis(key, x, correct=True):
    propose, accept = jax.random.split(key)
    log_q = jnp.log(jnp.array(PROPOSAL))
    y = choice(propose, log_q[x])
    ratio = jnp.array(LOG_PI)[y] - jnp.array(LOG_PI)[x]
    if correct:
        ratio = ratio + log_q[y, x] - log_q[x, y]
    return jnp.where(flip(accept, ratio), y, x)


def test_metropolis_hastings_is_exact():
    matrix = kernel_matrix(metropolis, jnp.arange(4))
    assert row_sum_error(matrix) < 1e-15
    assert invariance_error(matrix, LOG_PI + 3.0) < 1e-15
    assert detailed_balance_error(matrix, LOG_PI) < 1e-15
    ratio = np.exp(LOG_PI)[None] * PROPOSAL.T / (np.exp(LOG_PI)[:, None] * PROPOSAL)
    expected = PROPOSAL * np.minimum(1, ratio)
    np.fill_diagonal(expected, 0)
    np.fill_diagonal(expected, 1 - expected.sum(1))
    assert_allclose(matrix, expected, atol=1e-15, rtol=0)


def test_a_missing_hastings_ratio_is_seen():
    matrix = kernel_matrix(lambda key, x: metropolis(key, x, correct=False), jnp.arange(4))
    assert row_sum_error(matrix) < 1e-15
    assert invariance_error(matrix, LOG_PI) > 1e-2
    assert detailed_balance_error(matrix, LOG_PI) > 1e-2


def test_a_kernel_can_be_invariant_and_not_reversible():
    matrix = kernel_matrix(lambda key, x: (x + choice(key, jnp.log(jnp.array([0.5, 0.5])))) % 3, jnp.arange(3))
    assert invariance_error(matrix, np.zeros(3)) < 1e-15
    assert detailed_balance_error(matrix, np.zeros(3)) == pytest.approx(1 / 6)


def test_states_are_trees_of_floats():
    states = {"x": jnp.array([0.1, 0.1, 0.3], jnp.float32), "lanes": jnp.array([[0, 1], [1, 0], [1, 1]])}
    matrix = kernel_matrix(lambda key, s: {"x": s["x"], "lanes": s["lanes"][::-1]}, states)
    assert matrix.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_a_list_that_does_not_hold_every_state_is_refused():
    with pytest.raises(ValueError, match="list every reachable state"):
        kernel_matrix(metropolis, jnp.arange(3))
    with pytest.raises(ValueError, match="distinct states"):
        kernel_matrix(metropolis, jnp.array([0, 1, 1]))
