"""From a cloud on several devices to one answer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._measure import Measure
from probinf._particles import Particles
from probinf._primitives import Choose
from probinf._primitives._choose import ChooseInfo
from probinf._sampler import Sampler
from probinf.scale._lanes import Layout


class ShardedChoose(Sampler):
    """A `Choose` by weight among all lanes of all devices: the same lane and mass as on one device.

    Every device gathers the N log-weights and one row of each device, and ends up with the same cloud of one particle.

    Law: that of the `Choose`, since for each key the outcome is the same.
    """

    choose: Choose
    layout: Layout

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ChooseInfo]:
        """A cloud of one particle, held by every device."""
        if cloud.n % self.layout.devices:
            return self.choose(key, cloud)
        whole, split, axis = self.layout.whole, self.layout.split, self.layout.axis
        rows = cloud.n // self.layout.devices

        @self.layout.by_hand((whole, whole), whole)
        def decide(key: PRNGKeyArray, weights: Particles) -> tuple[Particles, ChooseInfo]:
            return self.choose(key, weights)

        # Each device offers a row; a sum of masked rows would lose the sign of a zero.
        @self.layout.by_hand((whole, split), split)
        def offer(index: Int[Array, ""], values: Any) -> Any:
            row = jnp.clip(index - jax.lax.axis_index(axis) * rows, 0, rows - 1)
            return jax.tree.map(lambda block: jax.lax.dynamic_slice_in_dim(block, row, 1), values)

        chosen, info = decide(key, cloud.replace(values=()))
        offers = jax.lax.with_sharding_constraint(offer(info.index, cloud.values), self.layout.sharding(whole))
        values = jax.tree.map(lambda leaf: leaf[info.index // rows][None], offers)
        return chosen.replace(values=values), info

    def meaning(self, m: Measure) -> Measure:
        """That of the choice."""
        return self.choose.meaning(m)

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False
