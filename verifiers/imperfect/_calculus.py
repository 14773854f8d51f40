"""Accuracies, gaps and utilities of a population of tasks under retry-until-accepted."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_attempts
from probinf.verifiers.imperfect._payoff import Payoff
from probinf.verifiers.imperfect._population import Population, TaskPopulation, _rejected


def apparent_coverage(population: TaskPopulation, attempts: Any) -> Float[Array, "*K"]:
    """The share of tasks on which something is accepted: what one sees who believes the verifier."""
    outcomes = population.outcomes(attempts)
    return outcomes.correct + outcomes.wrong


def generalization_gap(population: TaskPopulation, attempts: Any) -> Float[Array, "*K"]:
    """Apparent coverage minus true accuracy, sum_i pi_i (1 - v_i) (1 - (1 - q_i)^K).

    Law: never decreases with K.
    """
    return population.outcomes(attempts).wrong


def conditional_accuracy(population: TaskPopulation, attempts: Any) -> Float[Array, "*K"]:
    """Accuracy among what is returned, C(K).

    Law: C(1) is `micro_ppv` and C(infinity) is `macro_ppv`. NaN where nothing is ever accepted, and so returned.

    Raises: ValueError for a K below one, after which nothing is returned.
    """
    outcomes = population.outcomes(as_attempts(attempts, least=1))
    return outcomes.correct / (outcomes.correct + outcomes.wrong)


def micro_ppv(population: TaskPopulation) -> Float[Array, ""]:
    """P(correct | accepted) of one draw from the pool of all tasks, C(1)."""
    return conditional_accuracy(population, 1)


def macro_ppv(population: TaskPopulation) -> Float[Array, ""]:
    """The mean of P(correct | accepted) over tasks on which something is accepted sooner or later, C(infinity).

    One minus this is what arXiv 2411.17501 calls its false positive rate: a false discovery rate. NaN where nothing is
    ever accepted.
    """
    return population.ceiling / population.reachable


def forced_accuracy(population: Population, attempts: Any) -> Float[Array, "*K"]:
    """Accuracy of a policy that returns its last draw instead of abstaining.

    Raises: ValueError for a K below one: without a draw there is no answer.
    """
    k = as_attempts(attempts, least=1)
    last = population.weights * population.accuracy * (1 - population.true_positive_rate)
    rejected = jax.vmap(_rejected, (None, 0))(population.acceptance, k.ravel() - 1)
    return population.outcomes(k).correct + (rejected @ last).reshape(k.shape)


def utility(population: TaskPopulation, attempts: Any, payoff: Payoff) -> Float[Array, "*K"]:
    """Expected payoff of at most K attempts.

    For `Payoff(b, c)` it is sum_i pi_i (b v_i - c (1 - v_i)) (1 - (1 - q_i)^K): survival is weighted by the prior pi.
    Weighted by the posterior after each rejection, as published, it would count the rejections twice.

    Source: arXiv 2411.17501, appendix C, corrected.
    """
    return payoff.of(*population.outcomes(attempts))


def break_even_cost(population: TaskPopulation, attempts: Any) -> Float[Array, "*K"]:
    """The cost of a wrong return, in benefits of a correct one, at which K attempts are worth no more than none.

    For one task it is v / (1 - v) at every K; infinite where nothing wrong is ever accepted, NaN where nothing is.

    Raises: ValueError for a K below one.
    """
    outcomes = population.outcomes(as_attempts(attempts, least=1))
    return outcomes.correct / outcomes.wrong


def optimal_attempts(population: TaskPopulation, payoff: Payoff) -> Float[Array, ""]:
    """The least number of attempts with the largest utility; infinity where each attempt is worth its cost.

    Tail rule: as K grows, the sign of what an attempt adds is that of the net value of the hardest task that is still
    accepted, so with a sampling cost and unlimited difficulty it is finite, and without a sampling cost it is infinite
    if and only if that task has net value of at least zero (and easier ones do not outweigh it). One task has its
    optimum at zero or infinity, or at one where every draw is accepted; what is in between comes from tasks that
    differ. Piecewise constant in all parameters: nothing to differentiate.
    """
    return population.optimal_attempts(payoff)


def posterior_after_rejections(population: Population, rejections: Any) -> Float[Array, "*K N"]:
    """Probability of each task (or type of task) given that the first draws, so many, were all rejected.

    Law: proportional to pi_i (1 - q_i)^rejections; after infinitely many, its limit: the tasks that are accepted the
    least often. NaN where every draw is accepted.

    Raises: ValueError for a number of rejections below zero.
    """
    k = as_attempts(rejections)
    q = population.acceptance[None]
    # Logs, because all tasks may have become too improbable for a float.
    k_column = k.ravel()[:, None]
    log_rejected = jnp.where(jnp.isinf(k_column), 0.0, k_column) * jnp.log1p(-jnp.where(q < 1, q, 0.0))
    least = jnp.min(jnp.where(population.weights > 0, q, 1.0))
    never = ((q == 1) & (k_column > 0)) | ((q > least) & jnp.isinf(k_column))
    log_rejected = jnp.where(never, -jnp.inf, log_rejected)
    return jax.nn.softmax(jnp.log(population.weights)[None] + log_rejected, axis=1).reshape(*k.shape, -1)


def ppv_at_attempt(population: Population, attempt: Any) -> Float[Array, "*K"]:
    """P(correct | first accepted at this attempt): it changes with the attempt by selection, not by memory.

    Law: falls (or stays) if tasks that are accepted more often have the higher PPV, as with the same rates on all and
    t > f; rises if they have the lower. Returning what is accepted at an attempt pays, against abstaining there and
    then, if and only if this is at least `payoff.threshold`. NaN where nothing is accepted at the attempt.

    Raises: ValueError for an attempt below one.
    """
    k = as_attempts(attempt, least=1)
    posterior = posterior_after_rejections(population, k - 1)
    return posterior @ population._true / (posterior @ population.acceptance)
