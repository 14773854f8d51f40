"""Ratios of gamma functions that keep their digits where both are huge."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# From here on Stirling's series below is exact to rounding in float64.
_SHIFT = 8


def log_gamma_ratio(x: Float[Array, "*batch"], s: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """log(Gamma(x + s) / Gamma(x)) for x > 0, x + s > 0.

    Law: to the last digits for x from 1e-3 to 1e12, where a difference of `gammaln` loses as many as x has.
    """
    y = x + _SHIFT
    series = (y - 0.5) * jnp.log1p(s / y) + s * jnp.log(y + s) - s + _stirling(y + s) - _stirling(y)
    # Two products of four, because all eight would overflow in float32.
    return series - sum(jnp.log(jnp.prod(jnp.stack([1 + s / (x + i + j) for j in range(4)]), 0)) for i in (0, 4))


def log_beta_moment(b: Array, s: Array, k: Array) -> Array:
    """Log E[r^k] for r ~ Beta(b, s); -inf at k = infinity.

    Law: log(Gamma(b + k) Gamma(b + s) / (Gamma(b) Gamma(b + s + k))), whose relative error is a few roundings for b, s
    and k from 1e-3 to 1e12: it is symmetric in s and k, and the parts of first order in the smaller are left out.
    """
    b, s, k = jnp.broadcast_arrays(b, s, k)
    finite = jnp.where(jnp.isinf(k), 0.0, k)
    few, many = jnp.minimum(s, finite), jnp.maximum(s, finite)
    low, high = b + _SHIFT, b + _SHIFT + many
    series = -few * jnp.log1p(many / (low + few)) - 0.5 * (few / low) * (many / high)
    series += (low - 0.5) * log1p_less(few / low) - (high - 0.5) * log1p_less(few / high)
    series += (_stirling(low + few) - _stirling(low)) - (_stirling(high + few) - _stirling(high))
    first = b[..., None] + jnp.arange(_SHIFT, dtype=b.dtype).reshape((1,) * b.ndim + (-1,))
    series -= jnp.sum(jnp.log1p(few[..., None] / first * (many[..., None] / (first + (few + many)[..., None]))), -1)
    return jnp.where(jnp.isinf(k), -jnp.inf, series)


@jax.custom_jvp
def log1p_less(w: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """log(1 + w) - w for w > -1/2, to the last digits."""
    near = w < 0.5
    inner = jnp.where(near, w, 0.0)
    r = inner / (2 + inner)
    square, series = r * r, jnp.zeros_like(r)
    for k in range(16, 0, -1):
        series = square * series + 1 / (2 * k + 1)
    return jnp.where(near, r * (2 * square * series - inner), jnp.log1p(w) - w)


@log1p_less.defjvp
def _log1p_less_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # A series of which all terms were differentiated twice would take a minute to compile.
    (w,), (tangent,) = primals, tangents
    return log1p_less(w), -w / (1 + w) * tangent


def _stirling(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    y = 1 / (x * x)
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - y * (691 / 360360)))))) / x
