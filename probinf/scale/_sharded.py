"""From a composition for one device to the same composition for several."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from probinf._measure import Measure
from probinf._particles import Particles
from probinf._primitives import Choose, Proportional, Resample, Scan, While
from probinf._sampler import Chain, Info, Sampler
from probinf.scale._choose import ShardedChoose
from probinf.scale._lanes import Layout
from probinf.scale._resample import ShardedResample


def sharded(sampler: Sampler, mesh: Mesh, *, axis: str | None = None) -> Sampler:
    """The same composition with its lanes in blocks along one axis of a mesh.

    Every `Resample` becomes a `ShardedResample`, also one that a stage of a `Scan` builds from its row; every stage
    whose lanes do not look at each other runs as it is, each device on its block. The composition itself, its keys and
    its meaning stay what they were. The number of lanes must be a multiple of the number of devices.

    Law: that of `sampler`: for each key the draws are the same, and so is the outcome, up to how the compiler rounds
    the sampler's own arithmetic when it fuses it (see docs/scale.md).

    Raises: TypeError for what runs on the host, and for what looks across lanes and has no sharded form; ValueError for
    an axis that the mesh does not have.
    """
    return shard(sampler, Layout(mesh, axis))


class ShardedLanes(Sampler):
    """A stage whose lanes do not look at each other, with its cloud held in blocks.

    Law: that of the stage.
    """

    stage: Sampler
    layout: Layout

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Runs the stage."""
        cloud, info = self.stage(key, cloud)
        return self.layout.pin_cloud(cloud), self.layout.pin(info, cloud.n)

    def meaning(self, m: Measure) -> Measure:
        """That of the stage."""
        return self.stage.meaning(m)


class ShardedStage(eqx.Module):
    """What builds the stage of a `Scan` from a row, sharded."""

    build: Callable[[Any], Sampler]
    layout: Layout

    def __call__(self, row: Any) -> Sampler:
        """The sharded stage for this row."""
        return shard(self.build(row), self.layout)


def shard(sampler: Sampler, layout: Layout) -> Sampler:
    """`sharded` on a layout."""
    if not sampler.traceable:
        raise TypeError(f"{type(sampler).__name__} runs on the host and cannot be sharded: run it with sample()")
    # Exactly these types: a subclass may have changed what its parent does.
    if type(sampler) is Chain:
        return Chain(tuple(shard(stage, layout) for stage in sampler.stages))
    if type(sampler) is Scan:
        stage = sampler.stage
        twin = shard(stage, layout) if isinstance(stage, Sampler) else ShardedStage(stage, layout)
        return dataclasses.replace(sampler, stage=twin)
    if type(sampler) is While:
        return dataclasses.replace(sampler, stage=shard(sampler.stage, layout))
    if type(sampler) is Resample:
        return ShardedResample(sampler, layout)
    if type(sampler) is Choose and type(sampler.rule) is Proportional:
        return ShardedChoose(sampler, layout)
    if not sampler.lanewise:
        name = f"Choose({type(sampler.rule).__name__})" if isinstance(sampler, Choose) else type(sampler).__name__
        raise TypeError(
            f"{name} looks across lanes and has no sharded form: put it in Nested, or apply it to the fetched result"
        )
    return ShardedLanes(sampler, layout)
