"""Stopping early where a probe is confident: for good, which changes the law, or by chance, which need not."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._choice import check_key, flip
from probinf._measure import Guarantee, Measure
from probinf._particles import Particles
from probinf._primitives import Draw, Scan
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.lm import Reasoning, Solutions, log_odds_of


def confidence_stop(writer: Reasoning, *, threshold: float | Float[Array, ""] = 0.5) -> Sampler:
    """Writes solutions step by step, and ends each after the first step at which the probe reaches the threshold.

    Law: () -> the law of x[:tau] (CHANGES_TARGET), where x is a solution of the model and tau the first step whose
    reward is at least the threshold. As tau does not look ahead, the density of a text that can come out is the
    probability of its own tokens, its `log_prob`; p_LM(x, tau = infinity) is kept as it was. No weights bring p_LM
    back, since what would have followed a stop has no chance to be written: for that see `confidence_roulette`.

    The probe is the writer's reward: one that asks for a confident word is `probinf.lm.ConfidenceProbe`. To stop only
    after an answer, give zero before there is one. No reward (NaN) does not stop.

    Raises: ValueError for a threshold outside [0, 1].

    Source: arXiv 2505.04881, its early stopping.
    """
    return _stopped(writer, StopWhereConfident(threshold))


def confidence_roulette(
    writer: Reasoning, *, threshold: float | Float[Array, ""] = 0.5, stop_chance: float | Float[Array, ""] = 0.5
) -> Sampler:
    """Gives up a solution with a chance at each step at which the probe reaches the threshold, and weighs the others.

    Law: () -> p_LM(x) (PROPER): a solution that goes on is worth 1 / (1 - stop_chance) times as much, one that was
    given up is worth nothing. What is saved is the tokens after the stop, what is paid is variance.

    Raises: ValueError for a threshold outside [0, 1], or a chance outside [0, 1).

    Source: Kahn and Harris, National Bureau of Standards Applied Mathematics Series 12 (1951), their Russian roulette.
    """
    return _stopped(writer, RouletteWhereConfident(threshold, stop_chance))


def _stopped(writer: Reasoning, stop: Sampler) -> Sampler:
    sampler = Draw(writer.start()) >> Draw(writer.step())
    if writer.max_steps == 1:
        return sampler
    return sampler >> Scan(stop >> Draw(writer.step()), length=writer.max_steps - 1)


class StopInfo(NamedTuple):
    """`stopped`: which lanes ended here."""

    status: Int[Array, ""]
    stopped: Bool[Array, " n"]


class StopWhereConfident(Sampler):
    """Ends the solutions whose latest reward is at least the threshold.

    Law: m -> m with those solutions at their end (CHANGES_TARGET).

    Raises: ValueError for a threshold outside [0, 1].
    """

    threshold: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        """Rejects what is no probability."""
        _check_probability("threshold", self.threshold)

    def __call__(self, key: PRNGKeyArray, cloud: Particles[Solutions]) -> tuple[Particles[Solutions], StopInfo]:
        """Ends them; the key is not used."""
        check_key(key)
        return _ended(cloud, confident(cloud.values, self.threshold))

    def meaning(self, m: Measure) -> Measure:
        """The factors of m, which now tell of the tokens that were written."""
        return m.claiming(Guarantee.CHANGES_TARGET)


class RouletteWhereConfident(Sampler):
    """Gives up each solution whose latest reward is at least the threshold with a chance, and weighs the others.

    Law: m -> m (PROPER).

    Raises: ValueError for a threshold outside [0, 1], or a chance outside [0, 1).
    """

    threshold: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    stop_chance: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        """Rejects a roulette that nobody survives."""
        _check_probability("threshold", self.threshold)
        _check_probability("stop_chance", self.stop_chance)
        if not isinstance(self.stop_chance, Tracer) and float(self.stop_chance) == 1:
            raise ValueError("stop_chance must be below one: no weight makes up for what always stops")

    def __call__(self, key: PRNGKeyArray, cloud: Particles[Solutions]) -> tuple[Particles[Solutions], StopInfo]:
        """One toss for each confident lane."""
        chance = jnp.where(confident(cloud.values, self.threshold), self.stop_chance, 0.0)
        given_up = flip(key, jnp.log(chance))
        worth = jnp.where(given_up, -jnp.inf, -jnp.log1p(-chance)).astype(cloud.log_weights.dtype)
        return _ended(cloud.replace(log_weights=cloud.log_weights + worth), given_up)

    def meaning(self, m: Measure) -> Measure:
        """The same measure, through the weights."""
        return m.claiming(Guarantee.PROPER)


def confident(values: Solutions, threshold: Float[Array, ""]) -> Bool[Array, " n"]:
    """Which of the solutions that go on have a latest reward of at least the threshold."""
    latest = jnp.maximum(values.steps - 1, 0)[:, None]
    log_odds = jnp.take_along_axis(values.log_odds, latest, axis=1)[:, 0]
    going = ~values.generation.finished & (values.steps > 0)
    return going & (log_odds >= log_odds_of(threshold.astype(log_odds.dtype)))


def _ended(cloud: Particles[Solutions], stopped: Bool[Array, " n"]) -> tuple[Particles[Solutions], StopInfo]:
    finished = cloud.values.generation.finished | stopped
    values = eqx.tree_at(lambda s: s.generation.finished, cloud.values, finished)
    return cloud.replace(values=values), StopInfo(status_if(False, Status.OK), stopped)


def _check_probability(name: str, value: Float[Array, ""]) -> None:
    if not isinstance(value, Tracer) and not 0 <= float(value) <= 1:
        raise ValueError(f"{name} is a probability, in [0, 1], got {float(value)}")
