"""Slice sampling on the integers, as exact matrices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.cases._kernels import LopsidedSlice
from probinf.kernels import IntegerSlice
from probinf.validity import detailed_balance_error, invariance_error, kernel_matrix

KEY = jax.random.key(0)
# Two modes with a gap of low density, and a state of density zero between the second and the third.
MASS = np.array([0.5, 0.05, 0.8, 0.0, 0.3])
STATES = np.arange(5, dtype=np.int32)


class Table(pi.Factor):
    """A density on 0, ..., 4."""

    log_values: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="table")

    def log_density(self, x):
        inside = (x >= 0) & (x < len(self.log_values))
        return jnp.where(inside, self.log_values[jnp.clip(x, 0, len(self.log_values) - 1)], -jnp.inf)


def table():
    with np.errstate(divide="ignore"):
        return Table(np.log(MASS))


def matrix(kernel):
    return kernel_matrix(lambda key, x: kernel(key, x)[0], STATES)


@pytest.mark.parametrize(("width", "max_windows"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)])
def test_it_is_reversible_for_every_width_and_bound(x64, width, max_windows):
    found = matrix(IntegerSlice(table(), width, max_windows))
    with np.errstate(divide="ignore"):
        log_target = np.log(MASS)
    assert detailed_balance_error(found, log_target) < 1e-15
    assert invariance_error(found, log_target) < 1e-15
    # A value of density zero stays, and is never reached.
    assert abs(found[3, 3] - 1) < 1e-15 and np.all(found[[0, 1, 2, 4], 3] == 0)
    # Only a window of two or three can reach across the state of density zero, at which windows of one stop.
    assert bool(found[2, 4] > 0) is ((width, max_windows) in {(2, 2), (3, 1)})


def test_boundaries_judged_from_one_side_are_seen(x64):
    with np.errstate(divide="ignore"):
        assert invariance_error(matrix(LopsidedSlice(table(), 2, 2)), np.log(MASS)) > 1e-3


def test_one_window_over_everything_is_a_slice_by_hand(x64):
    """Width and reach over all states: the law is the mean over levels of the uniform law on the slice in reach."""
    mass = np.array([0.5, 0.25])
    kernel = IntegerSlice(Table(np.log(mass)), width=2, max_windows=1)
    found = kernel_matrix(lambda key, x: kernel(key, x)[0], STATES[:2])
    # From 0: level below 1/4 half of the time, window {0, 1} half of the time, then 1 half of the time.
    np.testing.assert_allclose(found, [[7 / 8, 1 / 8], [1 / 4, 3 / 4]], rtol=0, atol=1e-15)


def test_it_moves_one_integer_of_any_type():
    kernel = IntegerSlice(pi.Density("poisson", lambda k: jnp.where(k >= 0, -jnp.abs(k - 5.0), -jnp.inf)))
    x, info = jax.jit(kernel.__call__)(KEY, jnp.int16(5))
    assert x.dtype == jnp.int16 and info.tries >= 1 and info.width >= 2
    with pytest.raises(TypeError, match="one integer, got float32"):
        kernel(KEY, jnp.zeros(()))
    with pytest.raises(ValueError, match="width >= 1"):
        IntegerSlice(table(), 0)
