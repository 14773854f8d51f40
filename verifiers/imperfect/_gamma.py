"""Ratios of gamma functions that keep their digits where both are huge."""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import gammaln
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


def log_beta(a: Float[Array, "*batch"], b: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Log B(a, b); `jax.scipy.special.betaln` errs by 1e-8 in float64."""
    small, large = jnp.minimum(a, b), jnp.maximum(a, b)
    return gammaln(small) - log_gamma_ratio(large, small)


def log_beta_moment(b: Float[Array, "*batch"], s: Float[Array, "*batch"], k: Array) -> Float[Array, "*batch"]:
    """Log E[r^k] for r ~ Beta(b, s); -inf at k = infinity."""
    finite = jnp.where(jnp.isinf(k), 0.0, k)
    return jnp.where(jnp.isinf(k), -jnp.inf, log_gamma_ratio(b, s) - log_gamma_ratio(b + finite, s))


def _stirling(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    y = 1 / (x * x)
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - y * (691 / 360360)))))) / x
