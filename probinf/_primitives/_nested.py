"""Nested: a whole cloud becomes one particle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key, choice
from probinf._measure import Guarantee, Measure
from probinf._particles import Particles, add_log, lane, spawn, take_lanes
from probinf._sampler import Info, Sampler
from probinf._status import Status, status_if


class NestedInfo(NamedTuple):
    """`inner`: the inner sampler's info, one entry per outer lane."""

    status: Int[Array, ""]
    inner: Info


class Nested(Sampler):
    """Runs an inner sampler on a cloud of its own for each lane, and keeps one of its particles, weighted by Z-hat.

    Law: that of the inner sampler, m -> inner.meaning(m) (PROPER): one particle drawn by weight, carrying the inner
    estimate of the mass, is properly weighted again. So any sampler can be a proposal (nested SMC, SMC squared).

    Raises: ValueError for fewer than one inner particle.
    """

    inner: Sampler
    n: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects an empty inner cloud."""
        if not is_count(self.n):
            raise ValueError(f"Nested needs at least one inner particle, got n={self.n}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, NestedInfo]:
        """Runs the inner sampler once per lane."""
        check_key(key)
        keys = jax.random.split(key, cloud.n)
        if self.traceable:
            values, log_z, info = jax.vmap(self._one)(keys, cloud.values)
        else:
            on_host = isinstance(cloud.values, list)
            rows = [self._one(k, lane(cloud.values, i), on_host) for i, k in enumerate(keys)]
            picked, log_zs, infos = zip(*rows, strict=True)
            values = list(picked) if on_host else _stacked(picked)
            log_z, info = _stacked(log_zs), _stacked(infos)
        log_weights = add_log(cloud.log_weights, log_z)
        return cloud.replace(values=values, log_weights=log_weights), NestedInfo(status_if(False, Status.OK), info)

    def _one(self, key: PRNGKeyArray, x: Any, on_host: bool = False) -> tuple[Any, Array, Info]:
        run_key, pick_key = jax.random.split(key)
        repeat = lambda leaf: jnp.broadcast_to(leaf, (self.n, *jnp.shape(leaf)))  # noqa: E731
        copies = [x] * self.n if on_host else jax.tree.map(repeat, x)
        cloud, info = self.inner(run_key, spawn(self.n, copies))
        values, log_z = pick(pick_key, cloud)
        return values, log_z, info

    def meaning(self, m: Measure) -> Measure:
        """The inner meaning."""
        return self.inner.meaning(m).claiming(Guarantee.PROPER)

    @property
    def traceable(self) -> bool:
        """Whether the inner sampler is."""
        return self.inner.traceable


def pick(key: PRNGKeyArray, cloud: Particles) -> tuple[Any, Array]:
    """One value drawn by weight, and the log-mass it carries; the first value, at -inf, for a dead cloud.

    Law: delta(value) * exp(log_z) is properly weighted for whatever the cloud is properly weighted for.
    """
    index = choice(key, cloud.log_weights)
    return lane(take_lanes(cloud.values, index[None]), 0), cloud.log_z


def _stacked(rows: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
