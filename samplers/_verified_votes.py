"""Votes and verdicts together: which answer wins where each sample has been judged."""

from __future__ import annotations

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import alike, mask, real, whole
from probinf._primitives._choose import voted_lane


def accepted_vote(answers: Int[Array, " n"], accepted: Bool[Array, " n"]) -> Int[Array, ""]:
    """The first accepted sample of the answer that most accepted samples give; -1 where none was accepted.

    answers: an integer that names each sample's answer, negative for none, which wins only where no accepted sample
    has one. Of answers with equally many votes the one that came first wins. For many tasks use `jax.vmap`.

    The winner among accepted samples follows the answers' law proportional to p(answer) P(accept | answer), so its
    limit is the mode of that law: Source: arXiv 2411.17501, read as a vote.

    Raises: TypeError or ValueError for what is no list of answers with one verdict each.
    """
    answers, accepted = _judged(answers, accepted)
    winner = voted_lane(answers, jnp.zeros(answers.shape), jnp.where(accepted, 0.0, -jnp.inf))
    return jnp.where(jnp.any(accepted), winner, -1)


def log_odds_vote(
    answers: Int[Array, " n"],
    accepted: Bool[Array, " n"],
    true_positive_rate: float | Float[Array, ""],
    false_positive_rate: float | Float[Array, ""],
) -> Int[Array, ""]:
    """The first sample of the answer with the largest sum of log-odds of its verdicts.

    Law: an accepted sample votes log(t / f), a rejected one log((1 - t) / (1 - f)): the log-likelihood ratios of
    "right" against "wrong", so for independent verdicts the sum orders answers as Bayes does. It does not count how
    often an answer was given beyond that: with t = f all sums are zero, and the first answer wins.

    answers: negative for none, which never wins against an answer. Ties go to the first sample; sums are made from the
    counts, so that equal counts tie exactly.

    Raises: ValueError for a rate outside (0, 1), where one verdict would outvote all others; TypeError or ValueError
    for what is no list of answers with one verdict each.
    """
    answers, accepted = _judged(answers, accepted)
    t = _rate("true_positive_rate", true_positive_rate)
    f = _rate("false_positive_rate", false_positive_rate)
    same = answers[:, None] == answers[None, :]
    passed = jnp.sum(same & accepted[None, :], axis=1)
    failed = jnp.sum(same & ~accepted[None, :], axis=1)
    odds_passed = jnp.log(t) - jnp.log(f)
    odds_failed = jnp.log1p(-t) - jnp.log1p(-f)
    total = passed * odds_passed + failed * odds_failed
    return jnp.argmax(jnp.where(answers >= 0, total, -jnp.inf))


def _judged(answers: Int[Array, " n"], accepted: Bool[Array, " n"]) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
    answers, accepted = whole("answers", answers, "samples"), mask("accepted", accepted, "samples")
    alike(answers=answers, accepted=accepted)
    if not answers.size:
        raise ValueError("a vote needs at least one sample, got none")
    return answers, accepted


def _rate(name: str, rate: float | Float[Array, ""]) -> Float[Array, ""]:
    found = real(name, rate, "")
    if not isinstance(found, Tracer) and not 0 < float(found) < 1:
        raise ValueError(f"log-odds are finite for rates inside (0, 1) only, got {name}={float(found):g}")
    return found
