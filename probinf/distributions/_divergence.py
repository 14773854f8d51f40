"""The Kullback-Leibler divergence between two laws of vectors, by draws or by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import alike, floating, is_count
from probinf._measure import Distribution

# Nearer to zero, `expm1(x) - x` cancels; three terms of its series are then accurate to 3e-11.
_SMALL = 1e-3
# Masses on the grid may be off by this much: more is no quadrature error that a divergence could survive.
_MASS = 0.01


def kl_estimate(
    p: Distribution, q: Distribution, key: PRNGKeyArray, n: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """KL(p || q) in nats from n draws of p, and its standard error.

    The mean of `r - 1 - log r` with r = q / p: no term is negative, so no estimate is, and where p and q are alike its
    error is small like the divergence itself.

    Law: unbiased if q vanishes wherever p does, and both divergence and estimate are finite; the standard error is
    consistent if r has a variance under p (where q has far heavier tails than p it is too small for any n in reach).
    A draw where q is zero gives infinity, which is the divergence.

    Raises: ValueError for fewer than two draws.
    """
    if not is_count(n, 2):
        raise ValueError(f"a standard error needs at least two draws, got n = {n}")
    draws = p.sample_lanes(key, (), n)
    terms = _excess(q.log_density_lanes(draws, n) - p.log_density_lanes(draws, n))
    # Spread about an infinite mean is infinite, not NaN.
    finite = jnp.isfinite(terms).all()
    error = jnp.std(jnp.where(finite, terms, 0.0), ddof=1) / n**0.5
    return jnp.mean(terms), jnp.where(finite, error, jnp.mean(terms))


def kl_quadrature_1d(
    log_p: Float[Array, " G"] | Callable[[Any], Any],
    log_q: Float[Array, " G"] | Callable[[Any], Any],
    grid: Float[Array, " G"],
) -> Float[Array, ""]:
    """KL(p || q) in nats between two normalized densities on the line, by the trapezoidal rule on a grid.

    Law: exact up to quadrature: the grid must be fine on the scale of both densities and reach into the tails of p.
    Shapes: log-densities [G] on the grid, or functions of one point. Where p is zero nothing is added; where only q
    is, infinity.

    Raises: ValueError for a grid of fewer than two points or one that does not rise, for p that does not integrate to
    one on it, and for q that integrates to more, where this can be seen.
    """
    grid = floating("grid", grid, "points")
    if grid.size < 2 or not (isinstance(grid, Tracer) or (np.diff(np.asarray(grid)) > 0).all()):
        raise ValueError("quadrature needs a grid of at least two points that rise: sort it and drop repeated points")
    p, q = floating("log_p", _at(grid, log_p), "points"), floating("log_q", _at(grid, log_q), "points")
    alike(log_p=p, log_q=q, grid=grid)
    _check_mass("log_p", p, grid, least=1 - _MASS)
    _check_mass("log_q", q, grid, least=0.0)
    density = jnp.exp(p)
    # Where p vanishes, the ratio may be anything.
    ratio = jnp.where(density > 0, p, 0.0) - jnp.where(density > 0, q, 0.0)
    return jnp.trapezoid(density * ratio, grid)


def _at(grid: Array, log_density: Array | Callable[[Any], Any]) -> Float[Array, " G"]:
    return log_density if isinstance(log_density, jax.Array) else jax.vmap(log_density)(grid)


def _check_mass(name: str, log_density: Float[Array, " G"], grid: Float[Array, " G"], least: float) -> None:
    if isinstance(log_density, Tracer) or isinstance(grid, Tracer):
        return
    with np.errstate(over="ignore"):
        mass = np.trapezoid(np.exp(np.asarray(log_density, float)), np.asarray(grid, float))
    # Written so that NaN fails too.
    if not least <= mass <= 1 + _MASS:
        raise ValueError(
            f"{name} must be the log of a density of mass one, got {mass:.6g} on this grid: normalize it, or take a "
            "grid that is finer or reaches further"
        )


def _excess(log_r: Float[Array, " n"]) -> Float[Array, " n"]:
    """`r - 1 - log r`, accurate near r = 1 and never negative."""
    small = jnp.abs(log_r) < _SMALL
    near = jnp.where(small, log_r, 0.0)
    far = jnp.where(small, 1.0, log_r)
    return jnp.where(small, near**2 * (0.5 + near * (1 / 6 + near / 24)), jnp.expm1(far) - far)
