"""Coverage as exp(a K^b)."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_float

_EXPONENTS = (-3.0, -1e-3)


class PowerLaw(eqx.Module):
    """coverage(K) = exp(a K^b) with a, b < 0, so that -log(coverage) is a power of K.

    It belongs to a perfect verifier and tasks whose difficulty has no end. With false positives what is *accepted*
    reaches one exponentially fast, and what is *correct* stops at the ceiling: the law is of neither.
    """

    a: Float[Array, ""]
    b: Float[Array, ""]

    def coverage(self, attempts: Any) -> Float[Array, "*K"]:
        """exp(a K^b)."""
        return jnp.exp(self.a * as_float(attempts) ** self.b)


def fit_power_law(attempts: Float[Array, " K"], coverage: Float[Array, " K"]) -> PowerLaw:
    """Least squares of log coverage: a in closed form for each b, and b by golden section after a grid.

    Take `attempts` spaced evenly in log K (forty, as published), and the mean of `pass_at` over tasks. What it says
    beyond the samples rests on the law; no interval does more than repeat it.

    Raises: ValueError for fewer than two points, and coverages outside (0, 1].

    Source: arXiv 2407.21787, section 3.
    """
    if attempts.shape[0] < 2 or attempts.shape != coverage.shape:
        raise ValueError(f"a power law needs two or more points, got shapes {attempts.shape} and {coverage.shape}")
    if not isinstance(coverage, Tracer) and not np.all((np.asarray(coverage) > 0) & (np.asarray(coverage) <= 1)):
        raise ValueError("coverage must lie in (0, 1]: leave out numbers of attempts at which nothing is solved")
    log_k, y = jnp.log(attempts), jnp.log(coverage)

    def loss(b: Array) -> tuple[Array, Array]:
        basis = jnp.exp(b * log_k)
        a = jnp.sum(basis * y) / jnp.sum(basis**2)
        return jnp.sum((y - a * basis) ** 2), a

    grid = jnp.linspace(*_EXPONENTS, 301, dtype=y.dtype)
    best = jnp.clip(jnp.argmin(jax.vmap(lambda b: loss(b)[0])(grid)), 1, 299)
    golden = (5**0.5 - 1) / 2

    def shrink(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        left, right = high - golden * (high - low), low + golden * (high - low)
        keep_left = loss(left)[0] < loss(right)[0]
        return jnp.where(keep_left, low, left), jnp.where(keep_left, right, high)

    low, high = jax.lax.fori_loop(0, 50, shrink, (grid[best - 1], grid[best + 1]))
    b = (low + high) / 2
    return PowerLaw(loss(b)[1], b)
