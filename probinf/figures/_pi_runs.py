"""What a trained model says about the digits of pi, held against the truth."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from probinf.figures._auroc import auroc
from probinf.figures._pi_world import (
    DIGITS,
    PAD,
    asked,
    meaning_of,
    pi_digits,
    prompts,
    statement_tokens,
    truth,
)
from probinf.verifiers.pairs import PairModel, second_order_calibration_error

BETAS = (0.02, 0.05, 0.1, 0.2, 0.4)
SCORES = ("doubt", "log-probability", "average token", "meaning")
ANSWERED = tuple(np.linspace(0.025, 1, 40).tolist())
BINS = 10
# Places in pi, of which each bin but the last is half-open: 1, 2 to 3, ..., 1,000 to 2,000.
PLACES = (1, 2, 4, 10, 30, 100, 300, 1000, DIGITS + 1)
# Questions that one compiled call looks at together, each with all statements.
_BATCH = 8


class Scores(NamedTuple):
    """Of each question and statement: what the model says of it, and the truth."""

    place: Int[np.ndarray, " questions"]
    log_first: Float[np.ndarray, "questions statements"]
    variance: Float[np.ndarray, "questions statements"]
    confidence: Float[np.ndarray, "questions statements"]
    clipped: Float[np.ndarray, "questions statements"]
    truth: Float[np.ndarray, "questions statements"]


def questions(count: int) -> Int[np.ndarray, " questions"]:
    """Rows of `prompts` as they are asked: at equal steps through their distribution, early ones more than once."""
    return np.searchsorted(np.cumsum(asked()), (np.arange(count) + 0.5) / count)


def score(model: PairModel, rows: Int[np.ndarray, " questions"]) -> Scores:
    """Every statement about every question, scored plain and again when told."""
    some, back = np.unique(rows, return_inverse=True)
    said = (np.asarray(part, float)[back] for part in _score(model, jnp.asarray(prompts()[some])))
    digits = np.asarray(pi_digits(DIGITS))
    return Scores(rows + 1, *said, truth=truth()[digits[rows]])


@eqx.filter_jit
def _score(model: Any, asked_for: Int[Array, "questions prompt"]) -> tuple[Array, ...]:
    candidates = jnp.asarray(statement_tokens())

    def one(prompt: Array) -> tuple[Array, ...]:
        found = model(prompt).scored(candidates)
        return found.log_first, found.variance, found.confidence, found.clipped

    return jax.lax.map(one, asked_for, batch_size=_BATCH)


def measure(scores: Scores, seed: int) -> dict[str, Any]:
    """All measures of one model; those of drawn statements are exact, over every statement with its probability.

    Drawn statements are valid sentences: what else the model writes is `invalid`, and is left out, which an event that
    the model's outputs decide may be. `seed` draws the statements of which a picture shows single points.
    """
    p, wrong = np.exp(scores.log_first), scores.truth == 0
    doubt, chance = 1 - scores.confidence, p / p.sum()
    squared = (p - scores.truth) ** 2
    found = {
        "invalid": 1 - p.sum(axis=1).mean(),
        "variance": scores.variance.mean(),
        "squared_error": squared.mean(),
        "ece_2": second_order_calibration_error(jnp.asarray(scores.variance.ravel()), jnp.asarray(squared.ravel())),
        "negative": scores.clipped.mean(),
        "hallucinated": np.sum(chance * wrong),
        "hallucination_bound": np.sum(chance * doubt),
    }
    for name, part in (("answered", doubt >= 0), ("filtered_hallucinated", wrong)):
        found[name] = [np.sum((chance * part)[doubt <= beta]) for beta in BETAS]
    found["filtered_hallucinated"] = _share(found["filtered_hallucinated"], found["answered"])
    rivals = dict(zip(SCORES, (doubt, *_rivals(scores)), strict=True))
    found["auroc"] = [auroc(rival, wrong, chance) for rival in rivals.values()]
    found["curve"] = [curve(rival, wrong, chance) for rival in rivals.values()]
    within = np.minimum(np.floor(doubt * BINS).astype(int), BINS - 1)
    placed = np.broadcast_to((np.searchsorted(PLACES, scores.place, side="right") - 1)[:, None], p.shape)
    for by, bins, count in (("bin", within, BINS), ("place", placed, len(PLACES) - 1)):
        total = lambda values, b=bins, n=count: np.bincount(b.ravel(), values.ravel(), n)  # noqa: E731
        found[f"doubt_by_{by}"] = _share(total(chance * doubt), total(chance))
        found[f"hallucinated_by_{by}"] = _share(total(chance * wrong), total(chance))
        found[f"drawn_by_{by}"] = total(chance)
    at = _drawn(chance, seed)
    found["point_place"] = scores.place
    found["point_confidence"], found["point_wrong"] = (
        part[np.arange(len(at)), at] for part in (scores.confidence, wrong)
    )
    return {name: np.asarray(value, float).tolist() for name, value in found.items()}


def _rivals(scores: Scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minus the log-probability of a statement, of its average token, and of its meaning in any style.

    The last is what semantic entropy clusters samples for, here of all statements and with the true clusters.
    """
    tokens = np.sum(statement_tokens() != PAD, axis=1)
    p = np.exp(scores.log_first)
    same = meaning_of()[:, None] == meaning_of()[None, :]
    return -scores.log_first, -scores.log_first / tokens, -np.log(np.maximum(p @ same, 1e-300))


def _share(part: Any, whole: Any) -> Float[np.ndarray, " some"]:
    """Part of whole; of nothing there is no share, and NaN says so."""
    whole = np.asarray(whole)
    return np.where(whole > 0, np.asarray(part) / np.where(whole > 0, whole, 1), np.nan)


def curve(
    score: Float[np.ndarray, "*any"], wrong: Bool[np.ndarray, "*any"], chance: Float[np.ndarray, "*any"]
) -> Float[np.ndarray, " answered"]:
    """Share of hallucinations where the statements of the lowest scores are given, by how many are.

    Of statements with equal scores that are not all given, each is as likely to be.
    """
    level = np.unique(score, return_inverse=True)[1].ravel()
    given, bad = (np.cumsum(np.bincount(level, part.ravel())) for part in (chance, chance * wrong))
    at = np.asarray(ANSWERED) * given[-1]
    return np.interp(at, np.append(0, given), np.append(0, bad)) / at


def _drawn(chance: Float[np.ndarray, "questions statements"], seed: int) -> Int[np.ndarray, " questions"]:
    """A statement for each question."""
    cumulative = np.cumsum(chance, axis=1)
    at = np.random.default_rng(seed).uniform(size=len(chance)) * cumulative[:, -1]
    return np.sum(cumulative <= at[:, None], axis=1)
