"""Cases whose draws are uniforms of `jax.random`, read on a grid and not by frequencies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase, check_case

POINTS = np.array([0.125, 0.375, 0.625, 0.875])


class Uniform(pi.Distribution):
    """A uniform, drawn by `jax.random` itself."""

    name: str = "uniform"

    def sample(self, key, x):
        del x
        return jax.random.uniform(key)

    def log_density(self, x):
        return jnp.zeros_like(x)


class Refresh(pi.Kernel):
    """Draws afresh and accepts with probability min(1, y / x), or always."""

    broken: bool = False

    def __call__(self, key, x):
        propose_key, accept_key = jax.random.split(key)
        y = jax.random.uniform(propose_key)
        log_ratio = jnp.zeros(()) if self.broken else jnp.log(y) - jnp.log(x)
        return jnp.where(pi.flip(accept_key, log_ratio), y, x), ()

    @property
    def invariant(self):
        return pi.Measure((pi.Density("x", jnp.log),), (1.0,))


@pytest.mark.parametrize(("broken", "verdict"), [(False, "pass"), (True, "flagged")])
def test_kernel_is_read_on_its_grid(broken, verdict):
    case = KernelCase("refresh", Refresh(broken), POINTS, np.log(POINTS), grid=4)
    row = check_case(case, jax.random.key(0))
    assert row.verdict == verdict and row.exact_error is not None
    assert row.p_value is None
    # Without the grid the uniform is refused, and no listed state is ever reached by the compiled kernel.
    assert check_case(case._replace(grid=0), jax.random.key(0), replicates=0).verdict == "unchecked"


def test_sampler_is_read_on_its_grid():
    weighed = pi.Draw(Uniform()) >> pi.Reweight(jnp.log)
    target = FiniteMeasure(POINTS, np.log(POINTS / 4))
    row = check_case(SamplerCase("weighed", weighed, target=target, grid=4), jax.random.key(0))
    assert row.verdict == "pass" and row.exact_error is not None and row.exact_error < 1e-15
    assert row.p_value is None
    wrong = FiniteMeasure(POINTS, np.log(POINTS / 3))
    assert check_case(SamplerCase("wrong", weighed, target=wrong, grid=4), jax.random.key(0)).caught_by == "exact"
