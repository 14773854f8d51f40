"""Coverage as exp(a K^b)."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf._arguments import real
from probinf.verifiers.imperfect._checks import as_float
from probinf.verifiers.imperfect._newton import newton

_EXPONENTS = (-3.0, -1e-3)


class PowerLaw(eqx.Module):
    """coverage(K) = exp(a K^b) with a, b < 0, so that -log(coverage) is a power of K.

    It belongs to a perfect verifier and tasks whose difficulty has no end. With false positives what is *accepted*
    reaches one exponentially fast, and what is *correct* stops at the ceiling: the law is of neither.

    Raises: ValueError for numbers above zero, and NaN.
    """

    a: Float[Array, ""] = eqx.field(converter=partial(real, "a", axes="", high=0.0))
    b: Float[Array, ""] = eqx.field(converter=partial(real, "b", axes="", high=0.0))

    def __repr__(self) -> str:
        """With the numbers, where equinox shows shapes."""
        return eqx.tree_pformat(self, short_arrays=False, width=120)

    def coverage(self, attempts: Any) -> Float[Array, "*K"]:
        """exp(a K^b)."""
        return jnp.exp(self.a * as_float(attempts) ** self.b)


def fit_power_law(attempts: Any, coverage: Any) -> PowerLaw:
    """Least squares of the coverage, as published; least squares of its logarithm is where the search starts.

    Take `attempts` spaced evenly in log K (forty, as published), and the mean of `pass_at` over tasks. What it says
    beyond the samples rests on the law; no interval does more than repeat it.

    Raises: ValueError for fewer than two points, attempts below one, and coverages outside (0, 1].

    Source: Brown et al., arXiv 2407.21787, section 3.
    """
    attempts, coverage = as_float(attempts), as_float(coverage)
    if attempts.ndim != 1 or attempts.shape[0] < 2 or attempts.shape != coverage.shape:
        raise ValueError(f"a power law needs two or more points, got shapes {attempts.shape} and {coverage.shape}")
    if not isinstance(attempts, Tracer) and not np.all((np.asarray(attempts) >= 1) & np.isfinite(np.asarray(attempts))):
        raise ValueError(f"numbers of attempts must be finite and at least one, got {attempts}")
    if not isinstance(coverage, Tracer) and not np.all((np.asarray(coverage) > 0) & (np.asarray(coverage) <= 1)):
        raise ValueError("coverage must lie in (0, 1]: leave out numbers of attempts at which nothing is solved")
    log_k, y = jnp.log(attempts), jnp.log(coverage)

    def of_logarithm(b: Array) -> tuple[Array, Array]:
        basis = jnp.exp(b * log_k)
        a = jnp.sum(basis * y) / jnp.sum(basis**2)
        return jnp.sum((y - a * basis) ** 2), a

    grid = jnp.linspace(*_EXPONENTS, 301, dtype=y.dtype)
    b = grid[jnp.argmin(jax.vmap(lambda b: of_logarithm(b)[0])(grid))]
    # Where everything is covered at once a is zero, which has no logarithm.
    a = jnp.minimum(of_logarithm(b)[1], -jnp.finfo(y.dtype).tiny)

    def loss(theta: Array) -> Array:
        a, b = -jnp.exp(theta)
        return jnp.sum((jnp.exp(a * jnp.exp(b * log_k)) - coverage) ** 2)

    (log_a, log_b), _ = newton(loss, jnp.log(-jnp.stack([a, b])))
    return PowerLaw(-jnp.exp(log_a), -jnp.exp(log_b))
