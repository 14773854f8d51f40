"""Ratios of gamma functions that keep their digits where both are huge."""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

# From here on Stirling's series below is exact to rounding in float64.
_LARGE = 16.0


def log_gamma_ratio(x: Float[Array, "*batch"], s: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """log(Gamma(x + s) / Gamma(x)) for x > 0, x + s > 0.

    Law: to the last digits for x from 1e-3 to 1e12, where a difference of `gammaln` loses as many as x has.
    """
    large = (x >= _LARGE) & (x + s >= _LARGE)
    small_x = jnp.where(large, 1.0, x)
    small = gammaln(small_x + jnp.where(large, 1.0, s)) - gammaln(small_x)
    x, s = jnp.where(large, x, _LARGE), jnp.where(large, s, 1.0)
    series = (x - 0.5) * jnp.log1p(s / x) + s * jnp.log(x + s) - s + _stirling(x + s) - _stirling(x)
    return jnp.where(large, series, small)


def log_beta(a: Float[Array, "*batch"], b: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Log B(a, b); `jax.scipy.special.betaln` errs by 1e-8 in float64."""
    small, large = jnp.minimum(a, b), jnp.maximum(a, b)
    return gammaln(small) - log_gamma_ratio(large, small)


def _stirling(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    y = 1 / (x * x)
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - y * (691 / 360360)))))) / x
