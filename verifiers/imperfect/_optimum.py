"""The number of attempts with the largest utility: a sign that is followed, never a sum that stops changing.

The K-th attempt adds dU(K) = sum_i D_i (1 - q_i)^(K - 1). The largest entry of a cumulated utility is not the optimum:
in floating point the sum stops changing long before dU changes its sign, if it ever does.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from probinf._arguments import real

# So many attempts are looked at one by one where the sign of dU may still change more than once.
_SCAN = 1_000_000


def optimum_of_atoms(q: Float[Array, " N"], first: Float[Array, " N"]) -> Float[Array, ""]:
    """The least maximizer over K in {0, 1, ..., infinity} of sum_{k <= K} sum_i first_i (1 - q_i)^(k - 1).

    Where all that counts is accepted at once (q = 1), it is zero or one.

    Looks at one K after the other until a theorem of Laguerre says that at most one change of sign is left, then finds
    that one by bisection. What lies beyond 1 / epsilon of the float type counts as infinity.

    Raises: RuntimeError (at run time) where after a million attempts the sign is still open.

    Source: Laguerre (1883), see Jameson, Math. Gazette 90 (2006), "Counting zeros of generalised polynomials": for
    x > 0, sum_i a_i exp(-l_i x) with ascending l has at most as many zeros as the partial sums of a change their sign.
    """
    order = jnp.argsort(q)
    q, first = q[order], first[order]
    # Rates that differ by less belong to one term, whose sign is that of the sum.
    tied = jnp.concatenate([q[1:] - q[:-1] <= jnp.sqrt(jnp.finfo(q.dtype).eps) * q[1:], jnp.zeros(1, bool)])
    live = first != 0
    least = jnp.min(jnp.where(live, q, 1.0))
    # Relative to the slowest term, so that nothing underflows before it matters; a task solved for certain lasts one.
    decay = jnp.log1p(-jnp.where(q < 1, q, 0.5)) - jnp.log1p(-jnp.where(least < 1, least, 0.5))
    decay = jnp.where(live, jnp.minimum(decay, 0.0), 0.0)

    def terms(k: Array) -> Float[Array, " N"]:
        return first * jnp.where(q < 1, jnp.exp((k - 1) * decay), jnp.where(k == 1, 1.0, 0.0))

    def gain(k: Array) -> Float[Array, ""]:
        return jnp.sum(terms(k))

    def settled(k: Array) -> Bool[Array, ""]:
        return _sign_changes(jnp.cumsum(terms(k)), ~tied) <= 1

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, rejected, total, best, best_k = state
        total = total + jnp.sum(first * rejected)
        better = total > best
        return k + 1, rejected * (1 - q), total, jnp.where(better, total, best), jnp.where(better, k, best_k)

    zero = jnp.zeros((), q.dtype)
    start = (zero + 1, jnp.ones_like(q), zero, zero, zero)
    k, rejected, total, best, best_k = jax.lax.while_loop(
        lambda state: ~settled(state[0]) & (state[0] <= _SCAN), step, start
    )
    k = eqx.error_if(k, k > _SCAN, "the sign of the gain is open after a million attempts: merge tasks that are alike")
    # From here on the sign of the first partial sum that is not zero is that of the tail.
    tail = _first_sign(jnp.cumsum(terms(k)), ~tied)
    last = last_positive(gain, k, tail)
    samples = jnp.where(q > 0, jnp.where(jnp.isinf(last), 1.0, -jnp.expm1(_times(last - k + 1, q))), 0.0)
    rest = jnp.where(q > 0, samples / jnp.where(q > 0, q, 1.0), jnp.where(first != 0, last - k + 1, 0.0))
    total = total + jnp.sum(jnp.where(first != 0, first * rejected * rest, 0.0))
    found = jnp.where((last >= k) & (total > best), last, best_k)
    # No second attempt is ever made, so a tail without end has no gain.
    return jnp.where(least == 1, jnp.where(jnp.sum(first) > 0, 1.0, 0.0), found)


def last_positive(gain: Callable[[Array], Array], k: Float[Array, ""], tail: Float[Array, ""]) -> Float[Array, ""]:
    """The maximizer of the sum of `gain` from k on, if its sign changes at most once there and ends as `tail`.

    It is k - 1 where no gain is positive. Where negative gains come before positive ones it is infinity: the caller
    compares. A `tail` of zero means that all gains are zero from k on.
    """
    big = jnp.asarray(1 / jnp.finfo(k.dtype).eps, k.dtype)

    def halve(ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        # By ratios first, because the scale is not known.
        middle = jnp.where(high > 4 * low, jnp.floor(jnp.sqrt(low * high)), jnp.floor((low + high) / 2))
        middle = jnp.clip(middle, low + 1, high - 1)
        positive = gain(middle) > 0
        return jnp.where(positive, middle, low), jnp.where(positive, high, middle)

    low, _ = jax.lax.while_loop(lambda ends: ends[1] - ends[0] > 1, halve, (k, big))
    falls = jnp.where(gain(k) > 0, jnp.where(low >= big - 1, jnp.inf, low), k - 1)
    return jnp.where(tail > 0, jnp.inf, falls)


def _times(n: Float[Array, ""], q: Float[Array, " N"]) -> Float[Array, " N"]:
    """N log(1 - q)."""
    return jnp.where(jnp.isinf(n), 0.0, n) * jnp.log1p(-jnp.minimum(q, 1 - jnp.finfo(q.dtype).epsneg))


def _sign_changes(values: Float[Array, " N"], counts: Bool[Array, " N"]) -> Array:
    """How often the sign changes along `values`, zeros and what does not count left out."""
    sign = jnp.where(counts, jnp.sign(values), 0.0)
    last = jax.lax.associative_scan(lambda a, b: jnp.where(b == 0, a, b), sign)
    before = jnp.concatenate([jnp.zeros(1, sign.dtype), last[:-1]])
    return jnp.sum(sign * before < 0)


def _first_sign(values: Float[Array, " N"], counts: Bool[Array, " N"]) -> Float[Array, ""]:
    """The first sign that is not zero, or zero."""
    sign = jnp.where(counts, jnp.sign(values), 0.0)
    return jax.lax.associative_scan(lambda a, b: jnp.where(a == 0, b, a), sign)[-1]


def optimal_attempts_of_two_types(acceptance: Float[Array, " 2"], first: Float[Array, " 2"]) -> Float[Array, ""]:
    """The optimum in closed form for two types of task, of which the first is accepted more often.

    `first` is what the first attempt adds on each type, with the type's weight (`Population.first_gains`), and of
    those the first must be the better: 1 + floor(log(D1 / -D2) / log(beta2 / beta1)) between 0 and infinity. One
    where the first type is accepted at once and the second adds nothing.

    Raises: ValueError where the first type is not accepted more often, or adds less than nothing where the second adds
    something, unless traced.

    Source: as in the appendix on utility of arXiv 2411.17501, with the survival of each type under its prior.
    """
    acceptance, first = (
        real("acceptance", acceptance, "types", low=0, high=1),
        real("first", first, "types", finite=True),
    )
    if acceptance.shape != (2,) or first.shape != (2,):
        raise ValueError(f"two types of task are two numbers each, got shapes {acceptance.shape} and {first.shape}")
    if not isinstance(acceptance, Tracer) and not float(acceptance[0]) > float(acceptance[1]):
        raise ValueError(f"the first type must be accepted more often than the second, got {acceptance}: swap them")
    if not isinstance(first, Tracer) and float(first[0]) < 0 < float(first[1]):
        raise ValueError(f"no closed form where only the second type is worth its cost, {first}: use optimal_attempts")
    d1, d2 = first
    log_beta = jnp.log1p(-acceptance)
    ratio = jnp.log(jnp.where(d1 > 0, d1, 1.0)) - jnp.log(jnp.where(d2 < 0, -d2, 1.0))
    crossing = ratio / (log_beta[1] - log_beta[0])
    # At a whole number the next attempt adds nothing, and the least maximizer is wanted.
    inside = jnp.maximum(jnp.ceil(crossing), 1.0)
    endless = jnp.where((d2 == 0) & (acceptance[0] == 1), 1.0, jnp.inf)
    return jnp.where(d1 + d2 <= 0, 0.0, jnp.where(d2 >= 0, endless, inside))
