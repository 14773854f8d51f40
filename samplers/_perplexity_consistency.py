"""Votes by probability: perplexity consistency, and the pruning of paths that are hardly plausible."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from probinf.samplers._weibull_mixture import weibull_mixture


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

    Raises: ValueError for fewer than two samples.

    Source: arXiv 2510.15444, section 4; rule and bounds as in its released code.
    """
    fit = weibull_mixture(log_probs)
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

    Source: arXiv 2510.15444, section 3.
    """
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
