"""Which of a cloud's solutions is the answer: the same rules after every search.

    argmax     Choose(Best(FinalReward()))
    vote       Choose(Majority(answer, FinalReward()))    each lane votes with its final reward
    majority   Choose(Majority(answer, Measure()))        each lane has one vote
    draw       Choose(Proportional())                     by weight: the only rule that keeps the cloud's law

`select` applies all four at once to what is left of a cloud: answers, rewards and weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import alike, real, whole
from probinf._choice import choice
from probinf._measure import Factor
from probinf._primitives._choose import best_lane, voted_lane
from probinf.lm import history_of
from probinf.samplers._weight_rules import Aggregate, check_aggregate, log_aggregate


class FinalReward(Factor):
    """The reward of a solution as far as it is written: that of its last step, the product, or the minimum.

    Law: log-density log r in nats, NaN where there is no reward. Where nothing is written, as after a failed request,
    it is -inf: such a solution must not win.

    Raises: ValueError for another aggregate.
    """

    aggregate: Aggregate = eqx.field(static=True, default="last")
    name: str = eqx.field(static=True, default="final reward")

    def __check_init__(self):
        """Rejects unknown aggregates."""
        check_aggregate(self.aggregate)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-reward of one solution."""
        return self.log_density_lanes(jax.tree.map(lambda leaf: leaf[None], x), 1)[0]

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """Log-reward of each lane, of a cloud on the device or on the host."""
        del n
        history = history_of(values)
        return jnp.where(history.steps > 0, log_aggregate(history, self.aggregate), -jnp.inf)


class Selected(NamedTuple):
    """The lane that each rule chooses."""

    argmax: Int[Array, ""]
    vote: Int[Array, ""]
    majority: Int[Array, ""]
    draw: Int[Array, ""]


def select(
    key: PRNGKeyArray, answers: Int[Array, " n"], log_rewards: Float[Array, " n"], log_weights: Float[Array, " n"]
) -> Selected:
    """The lane that each rule chooses; ties go to the first lane.

    answers: an integer that names each lane's answer, negative for none. log_rewards: log r of the final rewards.
    log_weights: of the lanes; those at -inf are dead, and chosen only where all are. For many problems use `jax.vmap`.

    Raises: TypeError or ValueError for shapes that differ, and for weights that are NaN.
    """
    answers, log_weights = whole("answers", answers, "lanes"), real("log_weights", log_weights, "lanes")
    if not isinstance(log_rewards, Tracer):
        # NaN is a reward that never wins.
        real("log_rewards", np.nan_to_num(log_rewards, nan=0.0), "lanes")
    log_rewards = jnp.asarray(log_rewards)
    alike(answers=answers, log_rewards=log_rewards, log_weights=log_weights)
    return Selected(
        argmax=best_lane(log_rewards, log_weights),
        vote=voted_lane(answers, log_rewards, log_weights),
        majority=voted_lane(answers, jnp.zeros_like(log_weights), log_weights),
        draw=choice(key, log_weights),
    )
