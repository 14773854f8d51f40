"""Votes by probability: perplexity consistency, and the pruning of paths that are hardly plausible."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import alike, mask, real, whole
from probinf.samplers._weibull_mixture import mixture_of

# A mean of single-precision logs of certain tokens may be above zero by this much.
_ROUNDING = 1e-4


class AnswerScores(NamedTuple):
    """Each sample's answer's score, and its confidence, the score's share of all; `credit` is 1 / (number of best
    answers) for the first sample of each best answer and zero elsewhere.
    """

    score: Float[Array, " n"]
    confidence: Float[Array, " n"]
    credit: Float[Array, " n"]


def reasoning_pruning(log_probs: Float[Array, " n"]) -> Bool[Array, " n"]:
    """Which samples are kept: all but those more likely of the lower of two Weibull laws and below the mean.

    log_probs: mean log-probability of a token of each sample, in nats. With u = exp(log_probs) a sample is dropped
    where P(low | u) > P(high | u) under `weibull_mixture`, high being the component with the larger mean, and u is
    below the mean of all u; so at least one is kept. For many tasks use `jax.vmap`.

    Raises: ValueError for fewer than two samples, and for numbers that are not finite, unless traced.

    Source: arXiv 2510.15444, section 4; rule and bounds as in its released code.
    """
    log_probs = real("log_probs", log_probs, "samples", finite=True)
    return plausible(log_probs)


def plausible(log_probs: Float[Array, " n"]) -> Bool[Array, " n"]:
    """Which samples are kept; all of them where a number is not finite."""
    fit = mixture_of(log_probs)
    parts = fit.log_parts(log_probs)
    high = jnp.argmax(fit.log_mean)
    implausible = parts[high] < parts[1 - high]
    log_mean = jax.nn.logsumexp(log_probs) - jnp.log(log_probs.shape[0])
    return ~(implausible & (log_probs < log_mean) & (log_probs < jnp.max(log_probs)))


def perplexity_consistency(
    answers: Int[Array, " n"], texts: Int[Array, " n"], log_probs: Float[Array, " n"], kept: Bool[Array, " n"]
) -> AnswerScores:
    """Scores an answer by the sum of exp(log_probs) over the distinct texts that give it.

    answers: negative for none. texts: an integer that names each sample's text; of equal texts the first that is kept
    counts. log_probs: mean log-probability of a token of each sample, in nats. kept: what `reasoning_pruning` leaves,
    or all. Equally good answers share the credit. Without any answer the credit is the first sample's, and the
    confidence is zero. For many tasks use `jax.vmap`.

    Raises: TypeError or ValueError for lengths that differ, for NaN, and for a mean log-probability above zero.

    Source: arXiv 2510.15444, section 3.
    """
    answers, texts = whole("answers", answers, "samples"), whole("texts", texts, "samples")
    log_probs, kept = real("log_probs", log_probs, "samples"), mask("kept", kept, "samples")
    alike(answers=answers, texts=texts, log_probs=log_probs, kept=kept)
    if not answers.size:
        raise ValueError("perplexity consistency needs at least one sample, got none")
    if not isinstance(log_probs, Tracer) and np.max(np.asarray(log_probs)) > _ROUNDING:
        raise ValueError(
            f"log_probs must be logs of probabilities, at most zero, got {np.max(log_probs):.6g}: give mean "
            "log-probabilities of tokens, not probabilities or negative ones"
        )
    return scored(answers, texts, log_probs, kept)


def scored(
    answers: Int[Array, " n"], texts: Int[Array, " n"], log_probs: Float[Array, " n"], kept: Bool[Array, " n"]
) -> AnswerScores:
    """The scores, whatever the log-probabilities are: NaN counts as no probability, above zero as certain."""
    log_probs = jnp.minimum(jnp.where(jnp.isnan(log_probs), -jnp.inf, log_probs), 0.0)
    n = answers.shape[0]
    counts = kept & (answers >= 0)
    same_text = (texts[:, None] == texts[None, :]) & counts[None, :]
    first_of_text = counts & (jnp.argmax(same_text, axis=1) == jnp.arange(n))
    u = jnp.where(first_of_text, jnp.exp(log_probs), 0.0)
    same = answers[:, None] == answers[None, :]
    score = jnp.where(answers >= 0, jnp.sum(jnp.where(same, u[None, :], 0.0), axis=1), 0.0)
    total = jnp.sum(u)
    first = (jnp.argmax(same, axis=1) == jnp.arange(n)) & ((answers >= 0) | ~jnp.any(answers >= 0))
    best = first & (score == jnp.max(jnp.where(first, score, -jnp.inf)))
    confidence = score / jnp.where(total > 0, total, 1.0)
    return AnswerScores(score, confidence, best / jnp.sum(best))
