"""Runs of several samplers that share their first stages, driven stage by stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
from jaxtyping import Array, Key, PRNGKeyArray

from probinf import Chain, Particles, Sampler, Scan, spawn
from probinf._particles import own


class Run(NamedTuple):
    """A final cloud, and the seconds that its sampler takes, those of shared stages included."""

    cloud: Particles
    seconds: float


def run_side_by_side(key: PRNGKeyArray, samplers: Mapping[str, Sampler], n: int) -> dict[str, Run]:
    """Run each sampler on n fresh particles with the same key; what all of them begin with runs once.

    Law: each cloud is that of `sample(sampler, key, n)`, so methods that begin alike are compared on the same
    beginnings. Every stage is compiled by itself: samplers that differ in weights, resampling or the number of islands
    share the program of their language model, which would otherwise be compiled for each.
    """
    stages = {name: _written_out(sampler) for name, sampler in samplers.items()}
    shared = _common(list(stages.values()))
    # A split into more keys begins with the keys of a split into fewer.
    keys = jax.random.split(key, max(map(len, stages.values())))
    begun = time.perf_counter()
    start = _run(stages[next(iter(stages))][:shared], keys[:shared], spawn(n))
    common = time.perf_counter() - begun
    runs = {}
    for name, rest in stages.items():
        begun = time.perf_counter()
        cloud = start.replace(values=own(start.values))
        cloud = _run(rest[shared:], keys[shared : len(rest)], cloud)
        runs[name] = Run(cloud, common + time.perf_counter() - begun)
    return runs


def stages_of(sampler: Sampler) -> tuple[Sampler, ...]:
    """The stages of a composition."""
    return sampler.stages if isinstance(sampler, Chain) else (sampler,)


def _written_out(sampler: Sampler) -> tuple[Sampler, ...]:
    """The stages, with scans of equal steps as chains; these draw the same keys."""
    return tuple(map(_repeated, stages_of(sampler)))


def _repeated(stage: Sampler) -> Sampler:
    if isinstance(stage, Scan) and stage.length is not None and isinstance(stage.stage, Sampler):
        return Chain((stage.stage,) * stage.steps)
    return stage


def _run(stages: tuple[Sampler, ...], keys: Key[Array, " stages"], cloud: Particles) -> Particles:
    for stage, key in zip(stages, keys, strict=True):
        cloud, _ = stage.consume(key, cloud)
    return jax.block_until_ready(cloud)


def _common(chains: list[tuple[Sampler, ...]]) -> int:
    """How many stages all begin with."""
    alike = 0
    for stage, *others in zip(*chains, strict=False):
        if not all(_same(stage, other) for other in others):
            break
        alike += 1
    return alike


def _same(a: Sampler, b: Sampler) -> bool:
    """Whether two samplers have the same structure and hold the very same arrays."""
    (left, shape), (right, other) = (jax.tree.flatten(sampler) for sampler in (a, b))
    return shape == other and all(x is y for x, y in zip(left, right, strict=True))
