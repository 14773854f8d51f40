"""The shape of a Beta law in the log-odds, from its peak on: no gamma function of a large number is subtracted."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from probinf.verifiers.imperfect._gamma import log1p_less

# Steps on a logarithmic scale between bounds whose ratio is at most 1e8: the ends are right to a hundredth.
_HALVINGS = 12


def log_drop(alpha: Array, beta: Array, delta: Array) -> Array:
    """How far the log-density of the log-odds lies below its peak, `delta` away from there; p ~ Beta(alpha, beta).

    Law: with m = alpha / (alpha + beta), (alpha + beta) (log(1 + m (e^delta - 1)) - m delta), to the last digits: near
    the peak, where both terms are almost equal, their parts of first order are left out of both.
    """
    total = alpha + beta
    # Of the two chances the smaller one, which 1 - m would not give to the last digits.
    small = jnp.minimum(alpha, beta) / total
    y = jnp.where(alpha <= beta, delta, -delta)
    near = jnp.abs(y) < 0.5
    inner = jnp.where(near, y, 0.0)
    w = small * jnp.expm1(inner)
    close = log1p_less(w) + small * _expm1_less(inner)
    # Two forms, of which neither overflows where it is taken.
    steep = jnp.log(small) + y > 0
    outer = jnp.where(near | steep, 0.0, y)
    gentle = jnp.log1p(small * jnp.expm1(outer))
    far = jnp.where(steep, y, -jnp.log(small))
    high = jnp.log(small) + far + jnp.log1p((1 - small) / small * jnp.exp(-far))
    return total * jnp.where(near, close, jnp.where(steep, high, gentle) - small * y)


def reach(alpha: Array, beta: Array, depth: float | Array) -> tuple[Array, Array]:
    """How far below and above the peak the log-density has dropped by `depth`, or a little more, in log-odds."""
    total = alpha + beta

    def end(rate: Array, other: Array, sign: int) -> Array:
        # The curvature is at most a quarter; beyond the first term of `far` the slope is half its limit, or more.
        near, far = 0.5 * jnp.log(8 * depth / total), jnp.log(jnp.log1p(total / other) + 2 * depth / rate)

        def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = 0.5 * (low + high)
            inside = log_drop(alpha, beta, sign * jnp.exp(middle)) < depth
            return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

        return jnp.exp(jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.minimum(near, far), far))[1])

    return end(alpha, beta, -1), end(beta, alpha, 1)


def shift(p: Array, q: Array, delta: Array) -> Array:
    """How much a chance p = 1 - q grows where its log-odds grow by `delta`, to the last digits."""
    rest = jnp.exp(-jnp.abs(delta))
    away = -jnp.expm1(-jnp.abs(delta))
    return p * q * jnp.where(delta > 0, away / (p + q * rest), -away / (q + p * rest))


def _expm1_less(y: Array) -> Array:
    """e^y - 1 - y for y between -1/2 and 1/2."""
    series = jnp.zeros_like(y)
    for k in range(14, 1, -1):
        series = (1 + y * series) / k
    # The last factor of 1 / k! is that of k = 1.
    return y * y * series
