"""The exact interval of a proportion, for counts up to a billion in either precision."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._beta_shape import log_drop, reach, shift

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
# Newton's steps: the start is right to a few of its digits, and each doubles them.
_STEPS = 9
# What is cut off a tail is below exp(-30) of it.
_CUT = 30.0


class Pair(NamedTuple):
    """A number as the sum of a float and of what rounding took from it."""

    high: Float[Array, "*n"]
    low: Float[Array, "*n"]


def exact_counts(successes: Any, trials: Any) -> tuple[Pair, Pair]:
    """Successes and failures of one shape, to the last digit: counts above 2^24 are not single-precision numbers."""
    arrays = [x if isinstance(x, Tracer) else np.asarray(x) for x in (successes, trials)]
    dtype, shape = jnp.result_type(*arrays, float), jnp.broadcast_shapes(*(x.shape for x in arrays))
    x, n = (Pair(*(jnp.broadcast_to(part, shape) for part in _pair(x, dtype))) for x in arrays)
    return x, plus(n, Pair(-x.high, -x.low))


def plus(x: Pair, y: Pair) -> Pair:
    """The sum of two pairs."""
    high = x.high + y.high
    part = high - x.high
    return _sorted(high, (x.high - (high - part)) + (y.high - part) + (x.low + y.low))


def over(x: Pair, y: Pair) -> Pair:
    """The quotient of two pairs."""
    first = x.high / y.high
    product = first * y.high
    # Factors of half as many digits have exact products.
    (a, b), (c, d) = _halves(first), _halves(y.high)
    lost = ((a * c - product) + a * d + b * c) + b * d
    rest = (x.high - product) - lost + (x.low - first * y.low)
    return _sorted(first, rest / y.high)


def exact_ends(x: Pair, y: Pair, tail: float) -> tuple[Array, Array]:
    """Ends of the interval of a chance from x successes and y failures, rounded outwards.

    Law: where the chance is the lower end, x or more successes have probability `tail`, and where it is the upper end,
    x or fewer.
    """
    return _ends(x, y, math.log(tail), NormalDist().inv_cdf(tail))


@jax.jit
def _ends(x: Pair, y: Pair, log_tail: Array, deviations: Array) -> tuple[Array, Array]:
    one, none = jnp.ones_like(x.high), jnp.zeros_like(x.high)
    # The upper end is one less the lower end of the failures: both in one program.
    some, others = (jax.tree.map(lambda a, b: jnp.stack([a, b]), *pair) for pair in ((x, y), (y, x)))
    found = _lower_end(some, plus(others, Pair(jnp.stack([one, one]), jnp.stack([none, none]))), log_tail, deviations)
    lower = jax.tree.map(lambda part: part[0], found)
    upper = plus(Pair(one, none), jax.tree.map(lambda part: -part[1], found))
    low = jnp.where(lower.low < 0, jnp.nextafter(lower.high, none), lower.high)
    high = jnp.where(upper.low > 0, jnp.nextafter(upper.high, one), upper.high)
    return jnp.where(x.high > 0, low, 0.0), jnp.where(y.high > 0, high, 1.0)


def _lower_end(some: Pair, others: Pair, log_tail: Array, deviations: Array) -> Pair:
    """The quantile of Beta(some, others), less what rounding may have added."""
    total = plus(some, others)
    p, q = over(some, total), over(others, total)
    alpha, beta = jnp.maximum(some.high, 1.0), others.high
    delta = _lower_tail(alpha, beta, log_tail, deviations)
    moved, slack = shift(p.high, q.high, delta), 32 * jnp.finfo(delta.dtype).eps
    spread = p.high * q.high * jnp.sqrt(1 / alpha + 1 / beta)
    beside = plus(p, Pair(moved, -slack * (jnp.abs(moved) + spread)))
    # Where little is left of p the difference has few digits.
    rest = p.high * jnp.exp(delta)
    direct = rest / (q.high + rest) * (1 - slack)
    far = -moved > 0.5 * p.high
    return Pair(jnp.where(far, direct, beside.high), jnp.where(far, 0.0, beside.low))


def _lower_tail(alpha: Array, beta: Array, log_tail: Array, deviations: Array) -> Array:
    """Where the log-odds of Beta(alpha, beta) have probability exp(log_tail) below, as seen from their peak.

    Newton's method on the logarithm of the probability, which is concave: it comes from below.
    """
    below, above = reach(alpha, beta, _CUT - log_tail)

    def mass(low: Array, high: Array) -> Array:
        half = 0.5 * (high - low)
        nodes = jnp.asarray(_NODES, half.dtype).reshape((1,) * half.ndim + (-1,))
        at = low[..., None] + half[..., None] * (1 + nodes)
        return half * (jnp.exp(-log_drop(alpha[..., None], beta[..., None], at)) @ jnp.asarray(_WEIGHTS, half.dtype))

    whole = mass(-below, jnp.zeros_like(below)) + mass(jnp.zeros_like(above), above)

    def step(_: Any, delta: Array) -> Array:
        found = mass(-below, delta)
        change = (log_tail - jnp.log(found / whole)) * found * jnp.exp(log_drop(alpha, beta, delta))
        return jnp.clip(delta + change, 0.5 * (delta - below), 0.5 * (delta + above))

    start = deviations * jnp.sqrt(1 / alpha + 1 / beta)
    return jax.lax.fori_loop(0, _STEPS, step, jnp.clip(start, -0.9 * below, 0.9 * above))


def _pair(x: Any, dtype: Any) -> Pair:
    if not isinstance(x, Tracer):
        whole = x.astype(np.float64)
        high = whole.astype(dtype)
        return Pair(jnp.asarray(high), jnp.asarray((whole - high).astype(dtype)))
    high = x.astype(dtype)
    rest = x - high.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.integer) else jnp.zeros_like(high)
    return Pair(high, rest.astype(dtype))


def _halves(x: Array) -> tuple[Array, Array]:
    """The first half of a float's digits, and the rest."""
    info = jnp.finfo(x.dtype)
    first = jax.lax.reduce_precision(x, info.nexp, info.nmant // 2)
    return first, x - first


def _sorted(high: Array, low: Array) -> Pair:
    """The same sum with all in its first part that fits there."""
    top = high + low
    return Pair(top, low - (top - high))
