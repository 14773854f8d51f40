"""Intervals for the true probability that hold for any model, calibrated by pairs of responses."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf._arguments import real, whole
from probinf.verifiers.pairs._checks import as_rows, check_beta, check_not_negative, check_range, check_unit
from probinf.verifiers.pairs._estimates import squared_error_from_pairs

# The largest stake, as a part of what can never ruin.
_BOLD = 0.9


def error_ratio_bound(
    probability: Any,
    variance: Any,
    first: Any,
    second: Any,
    *,
    floor: float = 0.01,
    alpha: float = 0.05,
    method: str = "betting",
) -> Float[Array, ""]:
    """An upper bound on E[(p - p(y | X))^2 / max(variance, floor)], from held-out pairs of responses.

    `first` and `second` say whether the responses to each input were y. The bound is for one class; for both of two it
    is the same, for all of K see `error_ratio_bounds`.

    Law: with probability at least 1 - alpha over the held-out pairs, an upper bound; and then, for every beta,
    P(|p - p(y | X)| >= half_width(bound, variance, beta)) <= beta over X as in the held-out pairs, which are
    independent and in random order. Any model, any variance: no calibration is assumed.

    Raises: ValueError for an alpha outside (0, 1), a floor that is not positive, and an unknown method.

    Source: arXiv 2402.08733, section 4.2 (algorithm 1, rebuilt from its statement).
    """
    check_beta(alpha)
    if not floor > 0:
        raise ValueError(f"the floor of the variance must be positive, got {floor}: without one nothing is bounded")
    probability, variance, *_ = as_rows(probability=probability, variance=variance, first=first, second=second)
    check_unit("probability", probability)
    check_not_negative("variance", variance)
    ratio = squared_error_from_pairs(probability, first, second) / jnp.maximum(variance, floor)
    return mean_upper_bound(ratio, -0.25 / floor, 1 / floor, alpha=alpha, method=method)


def error_ratio_bounds(
    probability: Any,
    variance: Any,
    first: Any,
    second: Any,
    *,
    floor: float = 0.01,
    alpha: float = 0.05,
    method: str = "betting",
) -> Float[Array, " K"]:
    """`error_ratio_bound` of every class, each at alpha / K; `first` and `second` are the responses.

    Law: with probability at least 1 - alpha over the held-out pairs, upper bounds all together (Bonferroni), and then
    for every beta and every class what `error_ratio_bound` says of one. An answer that is chosen among the classes
    after looking at the model can miss with K beta, the sum of what they miss.

    Raises: as `error_ratio_bound`.

    Source: arXiv 2402.08733, section 4.2, which states two classes.
    """
    check_beta(alpha)
    probability, variance = real("probability", probability, low=0, high=1), real("variance", variance)
    first, second = whole("first", first), whole("second", second)
    if (
        probability.ndim != 2
        or probability.shape != variance.shape
        or {first.shape, second.shape} != {variance.shape[:1]}
    ):
        raise ValueError(
            "probability and variance must be arrays [N, K], first and second arrays [N], got shapes "
            f"{probability.shape}, {variance.shape}, {first.shape} and {second.shape}"
        )
    classes = probability.shape[1]

    def bound(p: Array, v: Array, y: Array) -> Array:
        return error_ratio_bound(p, v, first == y, second == y, floor=floor, alpha=alpha / classes, method=method)

    return jax.vmap(bound, in_axes=(1, 1, 0))(probability, variance, jnp.arange(classes))


def half_width(
    bound: float | Float[Array, ""], variance: Float[Array, "*batch"], beta: float, *, floor: float = 0.01
) -> Float[Array, "*batch"]:
    """Half the width of the interval about p that holds the truth with probability 1 - beta.

    Law: that of `error_ratio_bound`, with the same floor.

    Raises: ValueError for a bound, a variance or a floor below zero, NaN, and a beta outside (0, 1).
    """
    check_beta(beta)
    bound, variance = real("bound", bound, "", low=0), real("variance", variance)
    check_not_negative("variance", variance)
    return jnp.sqrt(bound * jnp.maximum(variance, real("floor", floor, "", low=0)) / beta)


def mean_upper_bound(
    x: Any, low: float, high: float, *, alpha: float = 0.05, method: str = "betting"
) -> Float[Array, ""]:
    """An upper confidence bound on the mean of x in [low, high], which is at least zero.

    Law: at least the mean with probability 1 - alpha, for every N, if x are independent and alike: put what was sorted
    into random order first.

    Raises: ValueError for fewer than two values, concrete ones outside [low, high], an alpha outside (0, 1), and an
        unknown method.

    Source: Hoeffding (1963); Maurer and Pontil, arXiv 0907.3740, theorem 4; Waudby-Smith and Ramdas, arXiv 2010.09686,
    section 4, with stakes that do not depend on the mean that is tested.
    """
    (x,) = as_rows(x=x)
    n = x.shape[0]
    if n < 2:
        raise ValueError(f"a bound needs at least two values, got {n}")
    check_beta(alpha)
    check_range(x, low, high)
    log_alpha = jnp.log(jnp.asarray(alpha, x.dtype))
    if method == "hoeffding":
        return jnp.mean(x) + (high - low) * jnp.sqrt(-log_alpha / (2 * n))
    if method == "bernstein":
        log_two = jnp.log(2.0) - log_alpha
        slack = jnp.sqrt(2 * jnp.var(x, ddof=1) * log_two / n)
        return jnp.mean(x) + slack + (high - low) * 7 * log_two / (3 * (n - 1))
    if method == "betting":
        return low + (high - low) * _betting((x - low) / (high - low), max(-low / (high - low), 0.0), -log_alpha)
    raise ValueError(f"the method is betting, bernstein or hoeffding, not {method!r}")


def _betting(z: Float[Array, " N"], least: float, log_goal: Array) -> Float[Array, ""]:
    """The least mean m, at or above `least`, that a gambler who bets on z below m has ruled out; z is in [0, 1]."""
    stake = _stakes(z, least, log_goal)

    def ruled_out(m: Array) -> Array:
        # Wealth grows with m, term by term, so what is ruled out is everything above a point.
        return jnp.max(jnp.cumsum(jnp.log1p(stake * (m - z)))) >= log_goal

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        out = ruled_out(middle)
        return jnp.where(out, low, middle), jnp.where(out, middle, high)

    ends = (jnp.asarray(least, z.dtype), jnp.ones((), z.dtype))
    return jax.lax.fori_loop(0, 50, halve, ends)[1]


def _stakes(z: Float[Array, " N"], least: float, log_goal: Array) -> Float[Array, " N"]:
    """How much is bet on each value: of what came before it alone, and never so much that all could be lost."""
    n = z.shape[0]
    before = jnp.arange(n, dtype=z.dtype)
    # Variance of what came before each, about means that it knew, with half a draw at one half and variance a quarter.
    spread = (z - (0.5 + jnp.cumsum(z)) / (before + 2)) ** 2
    variance = (0.25 + jnp.cumsum(spread) - spread) / (before + 1)
    return jnp.minimum(jnp.sqrt(2 * log_goal / (n * variance)), _BOLD / (1 - least))
