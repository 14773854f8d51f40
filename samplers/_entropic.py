"""Entropic tempering: early in a run, a few lanes of large weight do not take over the cloud at once.

The published version selects by tempered weights and forgets what it did, which changes the target; here the rest of
the weight stays with the survivors, and the target is kept.

Source: entropic particle filtering, arXiv 2510.05825.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import count
from probinf._choice import check_key
from probinf._measure import Measure
from probinf._particles import Particles
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.lm import history_of
from probinf.resampling import effective_sample_size


class Entropic(eqx.Module):
    """When selection is tempered, and how much.

    Law: where the effective sample size is below `threshold * N` and less than the fraction `until` of the steps is
    written, T = max(1, N / ESS * (1 - progress)); else T = 1.

    Raises: ValueError where a fraction is outside (0, 1].
    """

    threshold: float = eqx.field(static=True, default=0.5)
    until: float = eqx.field(static=True, default=0.5)

    def __check_init__(self):
        """Rejects what is no fraction."""
        if not (0.0 < self.threshold <= 1.0 and 0.0 < self.until <= 1.0):
            raise ValueError(f"threshold and until are fractions in (0, 1], got {self.threshold} and {self.until}")

    def temperature(
        self, ess: Float[Array, " islands"], progress: Float[Array, " islands"]
    ) -> Float[Array, " islands"]:
        """T, for effective sample sizes as fractions of N; 1 for a cloud without weight."""
        early = (ess > 0) & (ess < self.threshold) & (progress < self.until)
        return jnp.where(early, jnp.maximum(1.0, (1.0 - progress) / jnp.where(early, ess, 1.0)), 1.0)


class EntropicTwistInfo(NamedTuple):
    """`temperature`: of the next selection, per island."""

    status: Int[Array, ""]
    temperature: Float[Array, " islands"]


class EntropicTwist(Sampler):
    """Has the next resampling select by w^(1/T), with T from the weights themselves and the progress of the solutions.

    Law: m -> m (PROPER with the resampling). Given the cloud, T and so the twist g = w^(1/T - 1) are fixed positive
    numbers, and `Resample` copies lane i in proportion to w_i g_i and gives each copy the weight 1 / g_i times the mean
    of all w g: the expected total of f over the copies is sum_i w_i f(x_i). So given the cloud nothing changes in
    expectation, however g looks at it; only dropping 1 / g_i = w_i^(1 - 1/T) would change the law.

    Values must be solutions (see `history_of`), of at most `max_steps` steps; `islands` as in `Resample`.

    Source: arXiv 2510.05825, there without the correction.
    """

    tempering: Entropic
    max_steps: int = eqx.field(static=True)
    islands: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects what are no numbers of steps and islands."""
        count("max_steps", self.max_steps)
        count("islands", self.islands)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, EntropicTwistInfo]:
        """Sets the twist; the key is not used.

        Raises: ValueError where the islands do not divide the cloud.
        """
        check_key(key)
        if cloud.n % self.islands:
            raise ValueError(f"{self.islands} islands do not divide a cloud of {cloud.n} lanes")
        temperature = self.temperature(cloud)
        exponent = jnp.repeat(1.0 / temperature - 1.0, cloud.n // self.islands)
        dead = cloud.log_weights == -jnp.inf
        log_twist = jnp.where(dead, 0.0, exponent * jnp.where(dead, 0.0, cloud.log_weights))
        return cloud.replace(log_twist=log_twist), EntropicTwistInfo(status_if(False, Status.OK), temperature)

    def temperature(self, cloud: Particles) -> Float[Array, " islands"]:
        """The temperature of each island's next selection."""
        log_w = cloud.log_weights.reshape(self.islands, -1)
        ess = jax.vmap(effective_sample_size)(log_w) / log_w.shape[1]
        steps = jnp.max(history_of(cloud.values).steps.reshape(log_w.shape), axis=1)
        return self.tempering.temperature(ess, steps.astype(log_w.dtype) / self.max_steps)

    def meaning(self, m: Measure) -> Measure:
        """The same measure m."""
        return m

    @property
    def lanewise(self) -> bool:
        """False: the temperature looks at all weights."""
        return False
