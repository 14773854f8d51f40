"""Uniforms that matter only through a step function: exact laws, and broken promises that are seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from probinf._choice import choice, uniform_cells
from probinf.validity import BrokenCells, check_cells, enumerate_law

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(3)


def test_cells_have_their_widths_as_probabilities():
    """Breaks in any order, one of them twice, one outside the unit interval."""
    breaks = jnp.array([0.7, 0.2, 0.2, 1.5])
    law = enumerate_law(lambda key: jnp.searchsorted(jnp.sort(breaks), uniform_cells(key, breaks)), KEY)
    assert law.worlds == 5
    assert law.outputs.tolist() == [0, 2, 3]
    assert_allclose(law.probability, [0.2, 0.5, 0.3], atol=1e-15, rtol=0)


def test_the_position_in_the_cell_is_a_parameter():
    breaks = jnp.array([[0.5], [0.25]])
    law = enumerate_law(lambda key: uniform_cells(key, breaks), KEY, position=0.5)
    assert_allclose(law.outputs, [[0.25, 0.125], [0.25, 0.625], [0.75, 0.125], [0.75, 0.625]], rtol=1e-14)
    law = enumerate_law(lambda key: uniform_cells(key, breaks), KEY, position=0.1)
    assert_allclose(law.outputs[0], [0.05, 0.025], rtol=1e-14)


def test_systematic_offspring_have_the_right_mean_and_differ_by_less_than_one():
    weights = np.array([0.07, 0.43, 0.0, 0.5])
    n = 5

    def offspring(key, weights):
        cumulative = jnp.cumsum(weights)
        u = uniform_cells(key, (n * cumulative) % 1.0)
        ancestors = jnp.searchsorted(cumulative, (jnp.arange(n) + u) / n, side="right")
        return jnp.zeros(4).at[ancestors].add(1.0)

    law = enumerate_law(offspring, KEY, jnp.array(weights))
    assert_allclose(law.expectation(lambda counts: counts), n * weights, atol=1e-14, rtol=0)
    assert np.all(np.abs(law.outputs - n * weights) < 1)


@pytest.mark.parametrize("missing", [0.1, 0.45, 0.95])
def test_a_missing_break_is_seen(missing):
    def f(key):
        return uniform_cells(key, jnp.array([0.0])) < missing

    with pytest.raises(BrokenCells, match="test_cells.py"):
        check_cells(f, KEY)
    check_cells(lambda key: uniform_cells(key, jnp.array([missing])) < missing, KEY)


def test_a_later_draw_that_depends_on_the_place_in_the_cell_is_seen():
    def f(key):
        first, second = jax.random.split(key)
        u = uniform_cells(first, jnp.array([0.5]))
        return choice(second, jnp.log(jnp.stack([u, 1 - u])))

    with pytest.raises(BrokenCells):
        check_cells(f, KEY)
