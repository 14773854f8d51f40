"""Finished solutions as single values: their law under the model, the reward they have earned, and how to pick one.

Kernels move one solution at a time. Such a value is a `Solutions` without the axis of lanes, at rest: the model's state
is dropped, what only concerns its next step is cleared, and its ledger says what the way to it has cost in all.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._measure import Distribution, Factor
from probinf._particles import Particles, take_lanes
from probinf.lm import History, Solutions
from probinf.samplers._reasoning_filter import Writer
from probinf.samplers._weight_rules import WeightRule


class SolutionLaw(Distribution):
    """What a writer writes when no reward is looked at.

    Law: p_LM(x) on finished solutions at rest; the log-density is the one that the solution carries.
    """

    writer: Writer
    name: str = eqx.field(static=True, default="p_LM")

    def sample(self, key: PRNGKeyArray, x: Any) -> Solutions:
        """One finished solution."""
        return picked(self.sample_lanes(key, x, 1), jnp.int32(0))

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Solutions:
        """Write n solutions side by side."""
        del values
        step = self.writer.step()
        start_key, *keys = jax.random.split(key, 1 + self.writer.max_steps)
        lanes = self.writer.start().sample_lanes(start_key, (), n)
        return at_rest(jax.lax.scan(lambda x, k: (step.sample_lanes(k, x, n), None), lanes, jnp.stack(keys))[0])

    def log_density(self, x: Solutions) -> Float[Array, ""]:
        """Log-probability of its tokens, in nats."""
        return x.generation.log_prob


class RewardTotal(Factor):
    """The product of the potentials of all rounds in which a finished solution was written.

    Law: the factor of the rule in the table of `probinf.samplers._weight_rules`; what is no number counts as zero.
    """

    rule: WeightRule

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The name of the rule."""
        return f"{self.rule.name} of all steps"

    def log_density(self, x: Solutions) -> Float[Array, ""]:
        """Sum of the log-potentials, each looking at the steps that were written by then."""
        rounds = jnp.arange(1, x.log_odds.shape[0] + 1)
        steps = jnp.minimum(rounds, x.steps)
        written = rounds[None, :] <= steps[:, None]
        log_odds = jnp.where(written, x.log_odds[None, :], 0.0)
        # One row a round: the rule reads them as it reads lanes.
        history = History(log_odds, steps, rounds <= x.steps, (x.steps <= rounds) & x.generation.finished)
        log_g = jnp.where(self.rule.counted(history), self.rule.log_potential(history), 0.0)
        return jnp.sum(jnp.where(jnp.isnan(log_g) | (log_g == jnp.inf), -jnp.inf, log_g))


def first_solution(key: PRNGKeyArray, cloud: Particles[Solutions]) -> Solutions:
    """One solution of a finished cloud by weight, at rest: where a chain of `reasoning_gibbs` starts.

    Law: index i with probability proportional to weight i; of a dead cloud, lane 0. It costs what the cloud has cost.
    """
    check_key(key)
    return picked(at_rest(cloud.values), choice(key, cloud.log_weights))


def picked(values: Solutions, index: Int[Array, ""]) -> Solutions:
    """The solution of one lane, which answers for the cost of all."""
    return jax.tree.map(lambda leaf: leaf[0], take_lanes(values, index[None]))


def at_rest(values: Solutions) -> Solutions:
    """Finished solutions as functions of their texts alone, but for the ledger."""
    texts = values.generation
    clear = lambda s: (  # noqa: E731
        s.generation.stopped, s.generation.resumed_at, s.generation.latest_log_prob, s.advanced
    )  # fmt: skip
    values = eqx.tree_at(lambda s: s.generation.state, values, ())
    return eqx.tree_at(
        clear,
        values,
        (
            jnp.zeros_like(texts.stopped),
            jnp.zeros_like(texts.resumed_at),
            jnp.zeros_like(texts.latest_log_prob),
            jnp.zeros_like(values.advanced),
        ),
    )
