"""Gibbs sampling and mixtures of kernels, as exact matrices; parts of values; and compositions that are refused."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.cases._kernels import StaleGibbs
from probinf.kernels import (
    Block,
    Cycle,
    FiniteProposal,
    MetropolisHastings,
    Mixture,
    Redraw,
    gibbs,
    random_walk,
)
from probinf.kernels._part import Part
from probinf.validity import detailed_balance_error, invariance_error, kernel_matrix

KEY = jax.random.key(0)
JOINT = np.array([[0.2, 0.1], [0.05, 0.3], [0.25, 0.1]])
LOG_JOINT = np.log(JOINT).reshape(-1)
PAIRS = {"a": np.repeat(np.arange(3, dtype=np.int32), 2), "b": np.tile(np.arange(2, dtype=np.int32), 3)}
REDRAW = {"a": eqx.Partial(Redraw, values=np.arange(3)), "b": eqx.Partial(Redraw, values=np.arange(2))}


class Joint(pi.Factor):
    """A table over pairs."""

    log_table: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="joint")

    def log_density(self, x):
        return self.log_table[x["a"], x["b"]]


def joint():
    return Joint(np.log(JOINT))


def matrix(kernel):
    return kernel_matrix(_Transition(kernel), PAIRS)


class _Transition(eqx.Module):
    kernel: pi.Kernel

    def __call__(self, key, x):
        return self.kernel(key, x)[0]


def test_one_exact_block_is_the_full_conditional(x64):
    found = matrix(Block(joint(), "a", REDRAW["a"]))
    conditional = JOINT / JOINT.sum(0)
    for i in range(6):
        for j in range(6):
            expected = conditional[PAIRS["a"][j], PAIRS["b"][j]] if PAIRS["b"][i] == PAIRS["b"][j] else 0.0
            assert abs(found[i, j] - expected) < 1e-14
    assert detailed_balance_error(found, LOG_JOINT) < 1e-15


def test_a_sweep_is_the_product_of_its_blocks_and_keeps_the_joint(x64):
    blocks = [Block(joint(), where, REDRAW[where]) for where in "ab"]
    sweep = matrix(gibbs(joint(), *REDRAW.items()))
    np.testing.assert_allclose(sweep, matrix(blocks[0]) @ matrix(blocks[1]), rtol=0, atol=1e-14)
    assert invariance_error(sweep, LOG_JOINT) < 1e-15
    # A systematic scan is not reversible, and does not claim to be.
    assert detailed_balance_error(sweep, LOG_JOINT) > 1e-3


def test_stale_values_are_seen(x64):
    assert invariance_error(matrix(StaleGibbs(gibbs(joint(), *REDRAW.items()).kernels)), LOG_JOINT) > 1e-2


def test_a_mixture_is_the_average_and_reversible(x64):
    blocks = [Block(joint(), where, REDRAW[where]) for where in "ab"]
    found = matrix(Mixture(tuple(blocks), np.log([0.3, 0.7])))
    np.testing.assert_allclose(found, 0.3 * matrix(blocks[0]) + 0.7 * matrix(blocks[1]), rtol=0, atol=1e-14)
    assert detailed_balance_error(found, LOG_JOINT) < 1e-15


def test_impossible_and_undefined_values_are_never_drawn():
    kernel = Redraw(pi.Density("holes", lambda x: jnp.array([jnp.nan, -jnp.inf, jnp.inf, 0.0])[x]), jnp.arange(4))
    assert {int(kernel(key, jnp.int32(0))[0]) for key in jax.random.split(KEY, 20)} == {3}
    nowhere = Redraw(pi.Density("nowhere", lambda x: jnp.full((), -jnp.inf)), jnp.arange(4))
    assert int(nowhere(KEY, jnp.int32(2))[0]) == 2


def cooled(conditional):
    return MetropolisHastings(conditional**0.5, FiniteProposal(np.zeros((2, 2))))


def elsewhere(conditional):
    del conditional
    return MetropolisHastings(pi.Density("elsewhere", lambda x: jnp.zeros(())), FiniteProposal(np.zeros((2, 2))))


@pytest.mark.parametrize("make", [cooled, elsewhere])
def test_a_kernel_for_another_measure_is_refused_inside_a_trace_too(make):
    kernel = gibbs(joint(), ("b", make))
    with pytest.raises(pi.MeaningError, match="'(\\(joint \\| rest\\)\\^0.5|elsewhere)'.*'\\(joint \\| rest\\)'"):
        eqx.filter_jit(kernel)(KEY, {"a": jnp.int32(0), "b": jnp.int32(0)})


def test_kernels_of_different_measures_do_not_compose():
    one, other = Block(joint(), "a", REDRAW["a"]), Block(Joint(np.zeros((3, 2)), "flat"), "b", REDRAW["b"])
    for compose in (lambda: Cycle((one, other)), lambda: Mixture((one, other), np.zeros(2))):
        with pytest.raises(pi.MeaningError, match="'joint' and 'flat'"):
            compose()
    with pytest.raises(ValueError, match="one weight a kernel"):
        Mixture((one,), np.zeros(2))


class Model(NamedTuple):
    level: jax.Array
    scale: jax.Array


@pytest.mark.parametrize(
    ("x", "where"),
    [
        ({"a": jnp.ones(2), "b": jnp.zeros(())}, "a"),
        (jnp.array([0.0, 1.0, 2.0]), 1),
        (Model(jnp.ones(2), jnp.zeros(())), lambda x: x.level),
        (Model(jnp.ones(2), jnp.zeros(())), lambda x: (x.level, x.scale)),
    ],
)
def test_parts_are_put_where_they_were_taken(x, where):
    part = Part(where)
    assert bool(eqx.tree_equal(part.put(x, part.get(x)), x))
    other = jax.tree.map(lambda leaf: leaf + 5.0, part.get(x))
    assert bool(eqx.tree_equal(part.get(part.put(x, other)), other))


def test_a_part_that_selects_nothing_is_refused():
    with pytest.raises(TypeError, match="a key, an index or a function"):
        gibbs(joint(), (2.5, REDRAW["a"]))
    with pytest.raises(ValueError, match="one leading axis"):
        Redraw(joint(), {"a": np.arange(3), "b": np.arange(2)})


def test_metropolis_within_gibbs_on_a_model_does_not_compile_anew():
    traces = []

    def level(x):
        return x.level

    def log_density(x, y):
        traces.append(None)
        return -0.5 * jnp.sum((x.level - y) ** 2) / jnp.exp(x.scale) - x.scale - 0.5 * x.scale**2

    def sweep(y, scale):
        target = pi.Density("model", eqx.Partial(log_density, y=y))
        walk = eqx.Partial(MetropolisHastings, proposal=random_walk(scale))
        return gibbs(target, (level, walk), (_scale, walk))

    start = Model(jnp.zeros((3, 2)), jnp.zeros(3))
    results = []
    for seed, (y, scale) in enumerate([(jnp.ones(2), 0.3), (-jnp.ones(2), 0.8)]):
        results.append(pi.sample_chains(sweep(y, scale), jax.random.key(seed), start, 50))
        traces, counted = [], len(traces)
        assert (counted > 0) is (seed == 0)
    assert results[0].values.level.mean() > 0 > results[1].values.level.mean()


def _scale(x):
    return x.scale
