"""Best-of-Majority: among the answers that are frequent enough, those with the highest mean reward."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import alike, is_count, real, whole
from probinf._choice import check_key
from probinf._measure import Factor, Guarantee, Measure, as_factor
from probinf._particles import Particles, take_lanes
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.samplers._answers import Answer, answers_of
from probinf.samplers._reasoning_filter import Writer
from probinf.samplers._selection import FinalReward
from probinf.samplers._solution_pool import solution_pool
from probinf.samplers._weight_rules import Aggregate


def best_of_majority(
    writer: Writer, answer: Answer, *, alpha: float | Float[Array, ""], k: int = 1, aggregate: Aggregate = "last"
) -> Sampler:
    """Writes N solutions and returns k: the first solutions of the frequent answers with the highest mean final reward.

    Law: none claimed (HEURISTIC). The k lanes share the mass equally; where fewer than k answers were given, the lanes
    left over have weight zero. What is frequent, and what happens where too little is: see `best_of_majority_lanes`.

    Raises: ValueError for alpha outside [0, 1], and for k below one.

    Source: arXiv 2510.03199; its regret bounds, upper and lower of order sqrt(C* eps_RM^2 / k), were not checked here.
    """
    return solution_pool(writer) >> BestOfMajority(answer, FinalReward(aggregate), alpha, k)


class BestOfMajorityInfo(NamedTuple):
    """`lanes`: those that were chosen, -1 for none; the status is INVALID where a living lane's reward was NaN."""

    status: Int[Array, ""]
    lanes: Int[Array, " k"]


class BestOfMajority(Sampler):
    """Reduces a cloud to k lanes, the best by mean reward among the answers of frequency alpha or more.

    Law: none claimed (HEURISTIC). `log_reward` is a factor, or a function of one value, that gives the log of its
    reward. A dead lane answers nothing. The k lanes carry the cloud's mass in equal parts.

    Raises: ValueError for alpha outside [0, 1], and for k below one.
    """

    answer: Answer
    log_reward: Factor = eqx.field(converter=as_factor)
    alpha: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    k: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects knobs out of range."""
        _check(self.alpha, self.k)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, BestOfMajorityInfo]:
        """The k lanes."""
        check_key(key)
        living = cloud.log_weights > -jnp.inf
        answers = answers_of(self.answer, cloud.values, cloud.n)
        rewards = jnp.exp(jnp.asarray(self.log_reward.log_density_lanes(cloud.values, cloud.n)))
        lanes = best_of_majority_lanes(jnp.where(living, answers, -1), rewards, self.k, self.alpha)
        filled, log_z = lanes >= 0, cloud.log_z
        share = jnp.log(self.k) - jnp.log(jnp.maximum(jnp.sum(filled), 1))
        chosen = Particles(
            take_lanes(cloud.values, jnp.maximum(lanes, 0)),
            jnp.where(filled & (log_z > -jnp.inf), share, -jnp.inf).astype(log_z.dtype),
            jnp.where(log_z > -jnp.inf, log_z, 0.0),
            jnp.zeros(self.k, cloud.log_twist.dtype),
        )
        return chosen, BestOfMajorityInfo(status_if(jnp.isnan(rewards) & living, Status.INVALID), lanes)

    def meaning(self, m: Measure) -> Measure:
        """m, of which nothing more is claimed."""
        return m.claiming(Guarantee.HEURISTIC)

    @property
    def traceable(self) -> bool:
        """Whether the reward is."""
        return self.log_reward.traceable

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False


def best_of_majority_lanes(
    answers: Int[Array, " n"], rewards: Float[Array, " n"], k: int, alpha: float | Float[Array, ""]
) -> Int[Array, " k"]:
    """The first samples of the k answers with the highest mean reward among those of frequency alpha or more.

    answers: an integer that names each sample's answer; negative for none, which counts in the frequencies but is never
    returned. rewards: one for each sample, in any unit; an answer with a NaN among its rewards comes last. Ties go to
    the answer that came first. For many tasks use `jax.vmap`.

    Fallback: where fewer than k answers reach alpha, the other places go to the most frequent of the rest (of equally
    frequent ones, to the higher mean reward), as if alpha were lowered until k answers reached it; they stand behind
    those that do reach it. The released code returns fewer than k, and fails where none does. Places for which there is
    no answer hold -1. With alpha = 0 this is best-of-n over answers; with alpha = 1 the fallback makes it a majority
    vote.

    Raises: ValueError for alpha outside [0, 1], for k below one, and for lengths that differ.

    Source: arXiv 2510.03199, algorithm 1.
    """
    _check(alpha, k)
    answers, rewards = whole("answers", answers, "samples"), _rewards(rewards)
    alike(answers=answers, rewards=rewards)
    n = answers.shape[0]
    same = answers[:, None] == answers[None, :]
    count = jnp.sum(same, axis=1)
    # Masked, not multiplied: an answer without NaN must not see those of others.
    mean = jnp.sum(jnp.where(same, rewards[None, :], 0.0), axis=1) / count
    mean = jnp.where(jnp.isnan(mean), -jnp.inf, mean)
    eligible = (answers >= 0) & (jnp.argmax(same, axis=1) == jnp.arange(n))
    frequent = count / n >= alpha
    # The last key of a lexicographic sort counts first; equal rows keep their order.
    order = jnp.lexsort((-mean, jnp.where(frequent, 0, -count), ~frequent, ~eligible))
    order = jnp.pad(order, (0, max(0, k - n)))[:k]
    return jnp.where(eligible[order] & (jnp.arange(k) < n), order, -1)


def _check(alpha: float | Float[Array, ""], k: int) -> None:
    frequency = real("alpha", alpha, "")
    if not isinstance(frequency, Tracer) and not 0 <= float(frequency) <= 1:
        raise ValueError(f"alpha is a frequency, in [0, 1], got {float(frequency)}")
    if not is_count(k):
        raise ValueError(f"best-of-majority returns at least one answer, got k={k}")


def _rewards(rewards: Float[Array, " n"]) -> Float[Array, " n"]:
    """The rewards, in which NaN is a reward that comes last."""
    known = rewards if isinstance(rewards, Tracer) else np.nan_to_num(rewards, nan=0.0)
    real("rewards", known, "samples")
    return jnp.asarray(rewards)
