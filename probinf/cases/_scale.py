"""Resampling on several devices: what each may do by itself, and what it may not.

The sharded program draws inside a `shard_map`, which the exact checks do not enter; tests compare it with the program
of one device, to the bit. Here islands stand for devices.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from probinf import Info, Particles, Resample
from probinf.resampling import Multinomial, Stratified
from probinf.validity import KernelCase, SamplerCase
from probinf.validity.planted import small_filter, small_paths


class CallsLocalGlobal(Resample):
    """Each device resamples its own lanes, the mean of all weights is banked, and each device's mass is forgotten."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples in islands, then banks as if there were none."""
        after, info = super()._apply(key, cloud, **how)
        return after.replace(log_weights=jnp.zeros_like(after.log_weights), log_evidence=cloud.log_z), info


def scale_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """Local resampling that keeps the mass of each device in the weights of its lanes."""
    local = small_filter(Resample(Stratified(), islands=2), 2)
    return (SamplerCase("Resample(islands=2) as two devices", local, n=4, target=small_paths(2)),)


def scale_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """Local resampling that is called global."""
    local = small_filter(CallsLocalGlobal(Multinomial(), islands=2), 2)
    return (SamplerCase("resampled on each device as if on all", local, n=4, target=small_paths(2)),)
