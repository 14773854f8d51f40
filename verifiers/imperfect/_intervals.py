"""Intervals: of a proportion, of a mean over tasks, of a whole curve, and of a ceiling that is known in part."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf._arguments import alike, real
from probinf._choice import check_key
from probinf.verifiers.imperfect._checks import as_float, as_scores, check_number, check_part
from probinf.verifiers.imperfect._counts import SampleCounts
from probinf.verifiers.imperfect._proportion import exact_counts, exact_ends


class Interval(NamedTuple):
    """The ends of an interval, or of many."""

    lower: Float[Array, "*K"]
    upper: Float[Array, "*K"]


def clopper_pearson(successes: Any, trials: Any, *, level: float = 0.95) -> Interval:
    """The exact interval of a proportion, such as the PPV of a task from its accepted samples.

    Law: holds the proportion with probability at least `level`, at every proportion and number of trials; often more.
    Without trials it is [0, 1]. Each end leaves out (1 - level) / 2 and is rounded outwards to the next float: right to
    the last digit for up to a billion trials, given as integers or floats. In single precision one digit is more than
    a thousandth of the probability left out where trials exceed a hundred million, or the proportion is that near one.

    Raises: ValueError for a level outside (0, 1), counts that are not whole numbers, and more successes than trials.

    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    _check_level(level)
    check_part("successes", successes, "trials", trials)
    return Interval(*exact_ends(*exact_counts(successes, trials), (1 - level) / 2))


def acceptance_bound(trials: Any, *, level: float = 0.95) -> Float[Array, "*K"]:
    """An upper bound on the chance of acceptance of a task none of whose samples were accepted, 1 - (1 - level)^(1/n).

    Law: P(none accepted) <= 1 - level where the chance is at least this.

    Raises: ValueError for a level outside (0, 1), and a number of trials below zero or not whole.
    """
    _check_level(level)
    check_part("no acceptance (0)", 0, "trials", trials)
    # In double precision: a level near one has few digits left in single precision.
    return -jnp.expm1(math.log1p(-level) / as_float(trials))


def task_interval(
    key: PRNGKeyArray,
    scores: Any,
    *,
    level: float = 0.95,
    draws: int = 2000,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Intervals of the mean over tasks, one for each K by itself, by the studentized bootstrap of tasks.

    Tasks are what was sampled: `scores` are one row for each, such as `estimate_utilities`.

    Law: `level` as the number of tasks grows, with errors of its inverse. An infinite end means that the tasks do not
    bound the mean on that side: too many resamples have no spread, as where all scores but a few are equal.

    bounds: between what all scores lie, such as (0, 1). Ends stay within them, and where all scores are equal to v a
    share of others up to 1 - ((1 - level) / 2)^(1 / N) is allowed for, each as far from v as it can be. Without bounds
    equal scores say nothing of any others, and both ends are v.

    Raises: ValueError for fewer than two tasks, a level outside (0, 1), and scores outside the bounds, unless traced;
    TypeError for a legacy key.

    Source: Efron and Tibshirani (1993), section 12.5.
    """
    scores = as_scores(scores)
    mean, error, flat = _moments(key, scores, level)
    check_number("draws", draws)
    n = flat.shape[0]

    def draw(key: PRNGKeyArray) -> Array:
        rows = flat[jax.random.randint(key, (n,), 0, n)]
        away = jnp.mean(rows, axis=0) - mean
        # Rounding makes a spread out of equal numbers.
        error = jnp.where(_equal(rows), 0.0, jnp.std(rows, axis=0, ddof=1) / np.sqrt(n))
        far = jnp.where(away == 0, 0.0, jnp.sign(away) * jnp.inf)
        return jnp.where(error > 0, away / jnp.where(error > 0, error, 1.0), far)

    ratios = jax.lax.map(draw, jax.random.split(key, draws), batch_size=64)
    low = jnp.quantile(ratios, (1 - level) / 2, axis=0, method="lower")
    high = jnp.quantile(ratios, (1 + level) / 2, axis=0, method="higher")
    # Infinity times an error that underflowed would be no number.
    lower = jnp.where(jnp.isinf(high), -jnp.sign(high) * jnp.inf, mean - high * error)
    upper = jnp.where(jnp.isinf(low), -jnp.sign(low) * jnp.inf, mean - low * error)
    if bounds is not None and (len(bounds) != 2 or not bounds[0] < bounds[1]):
        raise ValueError(f"bounds are a lower end and a larger upper one, got {bounds}")
    least, most = (flat[0], flat[0]) if bounds is None else _bounds_of_equal(flat, level, *bounds)
    lower, upper = jnp.where(_equal(flat), least, lower), jnp.where(_equal(flat), most, upper)
    if bounds is not None:
        lower, upper = jnp.clip(lower, *bounds), jnp.clip(upper, *bounds)
    return Interval(lower.reshape(scores.shape[1:]), upper.reshape(scores.shape[1:]))


def simultaneous_band(key: PRNGKeyArray, scores: Any, *, level: float = 0.95, draws: int = 2000) -> Interval:
    """A band that holds the means over tasks of all K at once: the mean and c standard errors to either side.

    c is the quantile of the largest ratio under random signs of the tasks' residuals (a multiplier bootstrap), each
    ratio with its own standard error.

    Law: `level` as the number of tasks grows.

    Raises: ValueError for fewer than two tasks, and a level outside (0, 1); TypeError for a legacy key.

    Source: Montiel Olea and Plagborg-Moller, J. Applied Econometrics 34 (2019); Davidson and Flachaire, J.
    Econometrics 146 (2008), for signs as multipliers.
    """
    scores = as_scores(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores are an array [tasks, K], got shape {scores.shape}")
    mean, error, flat = _moments(key, scores, level)
    check_number("draws", draws)
    n = flat.shape[0]
    varies = (error > 0)[None]
    residuals = jnp.where(varies, (flat - mean[None]) / jnp.where(varies, error[None] * n, 1.0), 0.0)
    square = jnp.sum(residuals**2, axis=0)[None]
    signs = jax.random.rademacher(key, (draws, n), flat.dtype)
    sums = signs @ residuals
    # The standard error of signed residuals is known from their sum alone: their squares do not change.
    spread = (square - sums**2 / n) * n / (n - 1)
    ratios = jnp.where(spread > 0, jnp.abs(sums) / jnp.sqrt(jnp.where(spread > 0, spread, 1.0)), 0.0)
    c = jnp.quantile(jnp.max(ratios, axis=1), level)
    return Interval(mean - c * error, mean + c * error)


def plausible_attempts(band: Interval) -> Bool[Array, " K"]:
    """Which K may be the best, as far as a simultaneous band tells: those that reach the highest lower end.

    Law: holds every best K with at least the probability of the band.

    Raises: ValueError for ends that are NaN, or are not two arrays [K].
    """
    lower, upper = real("lower ends", band.lower, "attempts"), real("upper ends", band.upper, "attempts")
    alike(lower=lower, upper=upper)
    return upper >= jnp.max(lower)


def ceiling_bounds(counts: SampleCounts) -> Interval:
    """Between what the ceiling of these tasks lies: one without an accepted sample may have any PPV.

    Law: the ends are unbiased for those of the identified set, in which such tasks count 0, or 1.
    """
    scores = _ceiling_scores(counts)
    return Interval(*(jnp.mean(score) for score in scores))


def ceiling_interval(key: PRNGKeyArray, counts: SampleCounts, *, level: float = 0.95, draws: int = 2000) -> Interval:
    """An interval about `ceiling_bounds` for the population that the tasks were drawn from.

    Law: each end misses its end of the identified set with probability (1 - level) / 2 as the number of tasks grows,
    so the whole set, and with it the ceiling, is inside with probability `level` at least.
    """
    scores = jnp.stack(_ceiling_scores(counts), axis=1)
    ends = task_interval(key, scores, level=level, draws=draws, bounds=(0.0, 1.0))
    return Interval(ends.lower[0], ends.upper[1])


def _ceiling_scores(counts: SampleCounts) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    ppv = counts.correct / jnp.maximum(counts.accepted, 1)
    return ppv, jnp.where(counts.accepted > 0, ppv, 1.0)


def _moments(key: PRNGKeyArray, scores: Array, level: float) -> tuple[Array, Array, Array]:
    """Mean, standard error, and scores with one axis after that of tasks."""
    check_key(key)
    _check_level(level)
    n = scores.shape[0]
    if n < 2:
        raise ValueError(f"an interval over tasks needs at least two, got {n}")
    flat = scores.reshape(n, -1)
    return jnp.mean(flat, axis=0), jnp.std(flat, axis=0, ddof=1) / np.sqrt(n), flat


def _equal(rows: Float[Array, "N K"]) -> Bool[Array, " K"]:
    return jnp.max(rows, axis=0) == jnp.min(rows, axis=0)


def _bounds_of_equal(flat: Float[Array, "N K"], level: float, least: float, most: float) -> tuple[Array, Array]:
    """How far the mean may be from scores that are all equal: a larger share of others would have shown up."""
    outside = (flat < least) | (flat > most)
    if not isinstance(outside, Tracer) and bool(jnp.any(outside)):
        raise ValueError(f"some scores are not within bounds=({least}, {most}): give the bounds of all possible scores")
    others = -np.expm1(np.log((1 - level) / 2) / flat.shape[0])
    return flat[0] - others * (flat[0] - least), flat[0] + others * (most - flat[0])


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies in (0, 1), such as 0.95, got {level}")
