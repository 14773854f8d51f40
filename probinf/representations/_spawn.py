"""Spawn: a population out of every lane.

Law: m -> m (EXACT): n copies of weight w / n each are the lane of weight w.

Source: arXiv 1711.03219, the step that opens every particle method; here on a cloud rather than on a program.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Measure
from probinf._particles import Particles, take_lanes
from probinf._sampler import Sampler
from probinf._status import Status, status_if


class SpawnInfo(NamedTuple):
    """Spawning always succeeds."""

    status: Int[Array, ""]


class Spawn(Sampler):
    """Replaces every lane by n lanes of the same value and weight, side by side.

    Law: m -> m (EXACT). A cloud is the *mean* of its weighted lanes, so copies keep their weight: 1 / n is in the mean.
    Lane i becomes lanes i * n to i * n + n - 1; held to a reference, lane 0 stays it, and its copies share its past.

    Raises: ValueError for n < 1.
    """

    n: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects a population of nobody."""
        if not is_count(self.n):
            raise ValueError(f"Spawn needs at least one copy of a lane, got n={self.n}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, SpawnInfo]:
        """The larger cloud; the key is not used."""
        check_key(key)
        source = jnp.repeat(jnp.arange(cloud.n), self.n)
        copies = cloud.replace(
            values=take_lanes(cloud.values, source),
            log_weights=jnp.take(cloud.log_weights, source),
            log_twist=jnp.take(cloud.log_twist, source),
        )
        return copies, SpawnInfo(status_if(False, Status.OK))

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: object) -> tuple[Particles, SpawnInfo]:
        """Lane 0 stays the reference, since copies stand side by side."""
        del reference
        return self(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        """The same measure m."""
        return m

    @property
    def lanewise(self) -> bool:
        """False: the number of lanes changes."""
        return False
