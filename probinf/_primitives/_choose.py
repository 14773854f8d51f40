"""Choose: from a cloud to one answer."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._measure import Factor, Guarantee, Measure, as_factor
from probinf._particles import Particles, take_lanes
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.resampling._weights import usable


class ChooseInfo(NamedTuple):
    """`index`: the lane that was chosen; the status is INVALID where a living lane's score or vote was NaN."""

    status: Int[Array, ""]
    index: Int[Array, ""]


class Rule(eqx.Module):
    """How one lane is chosen, and what that leaves of the claim."""

    guarantee: eqx.AbstractVar[Guarantee]

    @property
    def traceable(self) -> bool:
        """False for a rule that runs Python on concrete values."""
        return True

    @abc.abstractmethod
    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane to keep."""

    def choose(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """The lane to keep, and how that went."""
        return self.index(key, cloud), status_if(False, Status.OK)


class Proportional(Rule):
    """Draws a lane by weight.

    Law: m -> m (PROPER): the only rule that keeps the target.
    """

    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.PROPER, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """A draw from the weights."""
        return choice(key, usable(cloud.log_weights))

    def choose(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """A draw from the weights; NaN weighs nothing, and makes the status INVALID."""
        return self.index(key, cloud), status_if(jnp.isnan(cloud.log_weights), Status.INVALID)


class Best(Rule):
    """Takes the living lane with the largest score (best-of-n); the first of equals.

    Law: none claimed (HEURISTIC).
    """

    score: Factor = eqx.field(converter=as_factor)
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The argmax; NaN scores lose."""
        return self.choose(key, cloud)[0]

    def choose(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """The argmax; NaN scores lose, and make the status INVALID."""
        del key
        score = jnp.asarray(self.score.log_density_lanes(cloud.values, cloud.n), cloud.log_weights.dtype)
        return best_lane(score, cloud.log_weights), _status_of(score, cloud.log_weights)

    @property
    def traceable(self) -> bool:
        """Whether the score is."""
        return self.score.traceable


def _votes_as_factor(log_votes: Any) -> Factor | None:
    return None if log_votes is None else as_factor(log_votes)


class Majority(Rule):
    """Takes the first lane of the answer with the most votes: by default a lane votes with its weight.

    Law: none claimed (HEURISTIC). `answer` maps a value to an integer that names its answer; a negative one is no
    answer, and wins only where nobody has one. `log_votes` is a factor, or a function of one value, that gives the log
    of a living lane's vote in place of its weight; the empty `Measure()` gives everyone one vote. NaN is no vote.
    """

    answer: Callable[[Any], Int[Array, ""] | int]
    log_votes: Factor | None = eqx.field(converter=_votes_as_factor, default=None)
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The first lane of the answer that wins."""
        return self.choose(key, cloud)[0]

    def choose(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """The first lane of the answer that wins; a NaN vote makes the status INVALID."""
        del key
        if isinstance(cloud.values, list):
            answers = jnp.asarray([int(self.answer(value)) for value in cloud.values], jnp.int32)
        else:
            answers = jnp.asarray(jax.vmap(self.answer, axis_size=cloud.n)(cloud.values))
        log_votes = cloud.log_weights
        if self.log_votes is not None:
            log_votes = jnp.asarray(self.log_votes.log_density_lanes(cloud.values, cloud.n), log_votes.dtype)
        return voted_lane(answers, log_votes, cloud.log_weights), _status_of(log_votes, cloud.log_weights)

    @property
    def traceable(self) -> bool:
        """Whether the votes are."""
        return self.log_votes is None or self.log_votes.traceable


def best_lane(score: Float[Array, " N"], log_weights: Float[Array, " N"]) -> Int[Array, ""]:
    """The first living lane of the largest score, where NaN counts as the smallest; lane 0 of a dead cloud."""
    return jnp.argmax(living_score(score, log_weights))


def living_score(score: Float[Array, " N"], log_weights: Float[Array, " N"]) -> Float[Array, " N"]:
    """The score, -inf for dead lanes only: a living lane of score -inf or NaN still comes before them."""
    score = jnp.maximum(jnp.where(jnp.isnan(score), -jnp.inf, score), jnp.finfo(score.dtype).min)
    return jnp.where(log_weights > -jnp.inf, score, -jnp.inf)


def voted_lane(
    answers: Int[Array, " N"], log_votes: Float[Array, " N"], log_weights: Float[Array, " N"]
) -> Int[Array, ""]:
    """The first lane of the answer that has the most votes of living lanes: see `Majority`."""
    living = log_weights > -jnp.inf
    log_votes = jnp.where(living & ~jnp.isnan(log_votes), log_votes, -jnp.inf)
    top = jnp.max(log_votes)
    votes = jnp.exp(log_votes - jnp.where(jnp.isfinite(top), top, 0.0))
    # Masked, not multiplied: the compiler fuses the sum, so the N x N table is never in memory.
    same = answers[:, None] == answers[None, :]
    totals = jnp.sum(jnp.where(same, votes[None, :], 0.0), axis=1)
    # Above every dead lane a living one, above it one with an answer, whatever their votes.
    rank = jnp.where(living, jnp.where(answers >= 0, totals, -1.0 / (1.0 + totals)), -2.0)
    return jnp.argmax(rank)


def _status_of(log_x: Float[Array, " N"], log_weights: Float[Array, " N"]) -> Int[Array, ""]:
    return status_if(jnp.isnan(log_x) & (log_weights > -jnp.inf), Status.INVALID)


class Choose(Sampler):
    """Reduces a cloud to one lane by a rule; the lane carries the cloud's whole mass.

    Law: that of the rule; all but `Proportional` drop the guarantee to HEURISTIC.
    """

    rule: Rule

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ChooseInfo]:
        """A cloud of one particle."""
        check_key(key)
        index, status = self.rule.choose(key, cloud)
        index = index.astype(jnp.int32)
        log_z = cloud.log_z
        chosen = Particles(
            take_lanes(cloud.values, index[None]),
            jnp.where(log_z > -jnp.inf, 0.0, -jnp.inf).astype(log_z.dtype)[None],
            jnp.where(log_z > -jnp.inf, log_z, 0.0),
            jnp.zeros((1,), cloud.log_twist.dtype),
        )
        return chosen, ChooseInfo(status, index)

    def meaning(self, m: Measure) -> Measure:
        """m, with the rule's claim."""
        return m.claiming(self.rule.guarantee)

    @property
    def traceable(self) -> bool:
        """Whether the rule is."""
        return self.rule.traceable

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False
