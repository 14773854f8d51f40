"""Choose: from a cloud to one answer."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._measure import Factor, Guarantee, Measure, as_factor
from probinf._particles import Particles, take_lanes
from probinf._sampler import Sampler
from probinf._status import Status, status_if


class ChooseInfo(NamedTuple):
    """`index`: the lane that was chosen."""

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


class Proportional(Rule):
    """Draws a lane by weight.

    Law: m -> m (PROPER): the only rule that keeps the target.
    """

    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.PROPER, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """A draw from the weights."""
        return choice(key, cloud.log_weights)


class Best(Rule):
    """Takes the living lane with the largest score (best-of-n); the first of equals.

    Law: none claimed (HEURISTIC).
    """

    score: Factor = eqx.field(converter=as_factor)
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The argmax; NaN scores lose."""
        del key
        score = jnp.asarray(self.score.log_density_lanes(cloud.values, cloud.n), cloud.log_weights.dtype)
        # A living lane of score -inf still comes before a dead one.
        score = jnp.maximum(jnp.where(jnp.isnan(score), -jnp.inf, score), jnp.finfo(score.dtype).min)
        return jnp.argmax(jnp.where(cloud.log_weights > -jnp.inf, score, -jnp.inf))

    @property
    def traceable(self) -> bool:
        """Whether the score is."""
        return self.score.traceable


class Majority(Rule):
    """Takes the first lane of the answer with the most weight (weighted voting; plain voting on equal weights).

    Law: none claimed (HEURISTIC). `answer` maps a value to an integer that names its answer.
    """

    answer: Callable[[Any], Int[Array, ""]]
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane whose answer carries the most weight."""
        del key
        answers = jax.vmap(self.answer)(cloud.values)
        votes = (answers[:, None] == answers[None, :]) @ cloud.normalized_weights
        return jnp.argmax(jnp.where(cloud.log_weights > -jnp.inf, votes, -1.0))


class Choose(Sampler):
    """Reduces a cloud to one lane by a rule; the lane carries the cloud's whole mass.

    Law: that of the rule; all but `Proportional` drop the guarantee to HEURISTIC.
    """

    rule: Rule

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ChooseInfo]:
        """A cloud of one particle."""
        check_key(key)
        index = self.rule.index(key, cloud).astype(jnp.int32)
        log_z = cloud.log_z
        chosen = Particles(
            take_lanes(cloud.values, index[None]),
            jnp.where(log_z > -jnp.inf, 0.0, -jnp.inf).astype(log_z.dtype)[None],
            jnp.where(log_z > -jnp.inf, log_z, 0.0),
            jnp.zeros((1,), cloud.log_twist.dtype),
        )
        return chosen, ChooseInfo(status_if(False, Status.OK), index)

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
