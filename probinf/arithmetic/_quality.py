"""How good a process reward is, on problems that no training has seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf.arithmetic._task import draw_problem, is_sound
from probinf.arithmetic._writers import grade, write_all
from probinf.lm._reasoning import Reasoning

_BINS = 10


class Interval(NamedTuple):
    """An estimate with the limits of its 95% bootstrap interval over problems."""

    value: float
    low: float
    high: float


class RewardQuality(NamedTuple):
    """How good a process reward is.

    `step_auc` is the probability that a step up to which all is right outscores one that is not, ties by halves;
    `calibration_error` the mean gap between the reward of a step and the share of right answers in the end, over ten
    bins of equal width; `false_positive_rate` and `false_negative_rate` the shares of wrong finished solutions whose
    last reward is above one half, and of right ones where it is not.
    """

    step_auc: Interval
    calibration_error: Interval
    false_positive_rate: Interval
    false_negative_rate: Interval


class _Scores(NamedTuple):
    """What was seen, with leading axes [problems, lanes] and, for steps, [max_steps]."""

    log_odds: Any
    written: Any
    sound: Any
    correct: Any
    last: Any


def prm_quality(
    key: PRNGKeyArray, writer: Reasoning, problems: int = 500, lanes: int = 4, bootstrap: int = 200
) -> RewardQuality:
    """Measure the writer's reward on `lanes` solutions of each of `problems` problems of the evaluation split.

    The solutions depend on the key only: two rewards of the same language model are measured on the same texts.
    """
    keys = jax.random.split(key, problems)
    scores = _Scores(*(np.asarray(leaf) for leaf in _score(keys, writer, lanes)))
    rows = np.random.default_rng(0).integers(0, problems, (bootstrap, problems))
    samples = [_measures(_Scores(*(leaf[row] for leaf in scores))) for row in rows]
    limits = np.nanquantile(np.array(samples).reshape(-1, 4), [0.025, 0.975], axis=0) if samples else np.zeros((2, 4))
    return RewardQuality(*map(Interval, _measures(scores), limits[0].tolist(), limits[1].tolist()))


@eqx.filter_jit
def _score(keys: Array, writer: Reasoning, lanes: int) -> Any:
    def one(key: PRNGKeyArray) -> Any:
        for_problem, for_texts = jax.random.split(key)
        problem = draw_problem(for_problem, "evaluation")
        solutions = write_all(for_texts, writer, problem, lanes)
        written = jnp.arange(writer.max_steps)[None, :] < solutions.steps[:, None]
        tokens = solutions.generation.tokens
        until = lambda end: is_sound(problem, tokens, end)  # noqa: E731
        sound = jax.vmap(until, in_axes=1, out_axes=1)(solutions.ends)
        last = jnp.take_along_axis(solutions.log_odds, solutions.steps[:, None] - 1, axis=1)[:, 0]
        return _Scores(solutions.log_odds, written, sound & written, grade(problem, solutions).correct, last)

    return jax.vmap(one)(keys)


def _measures(scores: _Scores) -> tuple[float, float, float, float]:
    shown = scores.written
    r = 1 / (1 + np.exp(-np.clip(scores.log_odds, -50, 50)))
    outcome = np.broadcast_to(scores.correct[..., None], shown.shape)
    wrong = ~scores.correct
    return (
        area_under_curve(scores.log_odds[shown], scores.sound[shown]),
        calibration_error(r[shown], outcome[shown]),
        float(np.mean(scores.last[wrong] > 0)),
        float(np.mean(scores.last[~wrong] <= 0)),
    )


def area_under_curve(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Probability that a positive outscores a negative, ties counting one half (Mann-Whitney)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    wins = rank[place][positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(wins / (positive.sum() * (~positive).sum()))


def calibration_error(r: Float[np.ndarray, " n"], outcome: Bool[np.ndarray, " n"]) -> float:
    """Mean over entries of the gap between mean reward and mean outcome of their bin, ten bins of equal width."""
    place = np.minimum((r * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(place, r, _BINS) - np.bincount(place, outcome, _BINS)
    return float(np.abs(gaps).sum() / len(r))
