"""Particle Gibbs over steps of reasoning with one wrong line each, two of them as published."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import Particles
from probinf._primitives._resample import Decision, decide
from probinf.lm import Solutions, writing
from probinf.samplers import ReasoningGibbs
from probinf.samplers._reasoning_gibbs import Future


class HeldByFinalReward(ReasoningGibbs):
    """Weighs the held solution by its last reward at every step: it is taken for stopped from the start.

    Source: its_hub, particle_gibbs.py at e4d00d1.
    """

    def log_potential(self, cloud: Particles, reference: Solutions) -> tuple[Float[Array, " n"], Int[Array, ""]]:
        """Right but in lane 0."""
        log_g, status = super().log_potential(cloud, reference)
        return _reward_instead(log_g, cloud, reference, reference.steps - 1), status


class HeldByNextReward(ReasoningGibbs):
    """Weighs the held solution by the reward of the step after: its rewards are read one place too far.

    Source: the released code of arXiv 2502.01618, particle_gibbs_batch.py at f75d461.
    """

    def log_potential(self, cloud: Particles, reference: Solutions) -> tuple[Float[Array, " n"], Int[Array, ""]]:
        """Right but in lane 0."""
        log_g, status = super().log_potential(cloud, reference)
        place = jnp.minimum(cloud.values.steps[0], reference.steps - 1)
        return _reward_instead(log_g, cloud, reference, place), status


class NotRetained(ReasoningGibbs):
    """Puts the held solution among the candidates, but does not keep it: all lanes are drawn and go on freely.

    Source: the released code of arXiv 2502.01618, particle_gibbs_batch.py at f75d461.
    """

    def survivors(self, key: PRNGKeyArray, cloud: Particles) -> Decision:
        """Ancestors of all lanes."""
        return decide(self.resample, key, cloud.replace(values=()), writing(cloud.values), False)

    def write(self, key: PRNGKeyArray, values: Solutions, reference: Solutions) -> Solutions:
        """The first step is held, the others are not."""
        begun = jnp.any(values.steps > 0)
        step = self.writer.step()
        held = lambda values: super(NotRetained, self).write(key, values, reference)  # noqa: E731
        return jax.lax.cond(begun, lambda values: step.sample_lanes(key, values, self.n), held, values)


class PastWithoutLikelihood(ReasoningGibbs):
    """Chooses the past without asking how likely the future is after it."""

    def log_past(self, log_w: Float[Array, " n"], future: Future) -> Float[Array, " n"]:
        """Weight and potentials alone."""
        return super().log_past(log_w, future._replace(log_likelihood=jnp.zeros_like(log_w)))


class PastWithoutPotentials(ReasoningGibbs):
    """Chooses the past as where potentials look at one step only, though here they look at the whole text."""

    def log_past(self, log_w: Float[Array, " n"], future: Future) -> Float[Array, " n"]:
        """Weight and likelihood alone."""
        return super().log_past(log_w, future._replace(log_potential=jnp.zeros_like(log_w)))


class PastWithoutWeight(ReasoningGibbs):
    """Chooses the past by the future alone."""

    def log_past(self, log_w: Float[Array, " n"], future: Future) -> Float[Array, " n"]:
        """Likelihood and potentials alone."""
        return super().log_past(jnp.where(log_w > -jnp.inf, 0.0, -jnp.inf), future)


class AnyCourse(ReasoningGibbs):
    """Takes what the future's tokens become after another past for the same future, though steps end elsewhere."""

    def same_course(
        self, before: Solutions, now: Solutions, reference: Solutions, t: Int[Array, ""]
    ) -> Bool[Array, " n"]:
        """Always."""
        return jnp.ones_like(super().same_course(before, now, reference, t))


def _reward_instead(
    log_g: Float[Array, " n"], cloud: Particles, reference: Solutions, place: Int[Array, ""]
) -> Float[Array, " n"]:
    """The log-potentials of `Product`, with another of its own rewards for lane 0 in every round it writes in."""
    other = jax.nn.log_sigmoid(reference.log_odds[place])
    return log_g.at[0].set(jnp.where(cloud.values.advanced[0], other, log_g[0]))
