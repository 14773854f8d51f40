"""Routing: a probe looks at each question and picks the sampler that answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Factor, MeaningError, Measure
from probinf._particles import Particles, add_log, is_lane_state
from probinf._sampler import Info, Sampler
from probinf._status import Status, status_if


class RouteInfo(NamedTuple):
    """`taken`: the sampler that each lane went to; `routes`: what each sampler reports, zeros where none went."""

    status: Int[Array, ""]
    taken: Int[Array, " n"]
    routes: tuple[Info, ...]


class Route(Sampler):
    """Sends each lane to one of several samplers, such as a short, a normal and a long budget.

    Law: m -> sum_k m restricted to {x: route(x) = k}, then sampler k: the mixture by route, with the weakest of the
    samplers' guarantees. Given the question the route is certain, so that each question is answered by one of them, as
    it stands.

    `route` maps the values of all lanes to an index each; what is out of range goes to the nearest. A sampler that no
    lane is sent to does not run. For a single question there is nothing to mix: take `samplers[k]`.

    Raises: ValueError for no samplers, or results of different structure; MeaningError where lanes interact, which
    would mix up routes; TypeError for values that hold a `LaneState`, or a sampler that is not traceable.

    Source: DiffAdapt, arXiv 2510.19669.
    """

    route: Callable[[Any], Int[Array, " n"]]
    samplers: tuple[Sampler, ...] = eqx.field(converter=tuple)

    def __check_init__(self):
        """Rejects routes that cannot stand side by side."""
        if not self.samplers:
            raise ValueError("Route needs at least one sampler")
        if not all(sampler.traceable for sampler in self.samplers):
            raise TypeError("Route runs on the device: on the host, route with samplers[k](key, cloud)")
        if not all(sampler.lanewise for sampler in self.samplers):
            raise MeaningError("Route needs samplers whose lanes are independent: resample after it")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, RouteInfo]:
        """Runs each sampler that has a lane to work for, and keeps of its result those lanes."""
        check_key(key)
        taken = jnp.clip(self.route(cloud.values), 0, len(self.samplers) - 1)
        keys = jax.random.split(key, len(self.samplers))
        shapes = [jax.eval_shape(sampler, keys[0], cloud)[0] for sampler in self.samplers]
        if any(_structure(shape) != _structure(shapes[0]) for shape in shapes):
            raise ValueError("the samplers of a Route must return values of one structure: Map them to it")
        if any(map(is_lane_state, jax.tree.leaves(shapes[0].values, is_leaf=is_lane_state))):
            raise TypeError("Route keeps lanes of several results, but they hold a LaneState: Map it away first")
        results, infos = zip(*map(_run_if_taken, self.samplers, keys, range(len(keys)), (taken,) * len(keys),
                                  (cloud,) * len(keys)), strict=True)  # fmt: skip
        merged = results[0]
        for k, result in enumerate(results[1:], 1):
            merged = _merge(taken == k, result, merged)
        return merged.replace(log_evidence=cloud.log_evidence), RouteInfo(status_if(False, Status.OK), taken, infos)

    def meaning(self, m: Measure) -> Measure:
        """M times the mixture."""
        parts = [sampler.meaning(Measure()) for sampler in self.samplers]
        m = m * Routed(" | ".join(part.name for part in parts))
        for part in parts:
            m = m.claiming(part.guarantee)
        return m


class Routed(Factor):
    """The law of what a route leads to, given the value that chose it."""

    name: str = eqx.field(static=True)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Not a function of the new value alone.

        Raises: MeaningError always.
        """
        del x
        raise MeaningError(f"the density of {self.name} depends on the question: use that of the sampler it goes to")


def _run_if_taken(
    sampler: Sampler, key: PRNGKeyArray, k: int, taken: Int[Array, " n"], cloud: Particles
) -> tuple[Particles, Info]:
    def run(cloud: Particles) -> tuple[Particles, Info]:
        result, info = sampler(key, cloud)
        # What a sampler banked for all lanes becomes part of the weight of its own.
        alive = cloud.log_evidence > -jnp.inf
        banked = jnp.where(alive, result.log_evidence - jnp.where(alive, cloud.log_evidence, 0.0), 0.0)
        return result.replace(log_weights=add_log(result.log_weights, banked)), info

    shape = jax.eval_shape(run, cloud)
    idle = lambda cloud: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)  # noqa: E731, ARG005
    return jax.lax.cond(jnp.any(taken == k), run, idle, cloud)


def _merge(here: Any, new: Particles, old: Particles) -> Particles:
    return jax.tree.map(lambda a, b: jnp.where(here.reshape(-1, *[1] * (a.ndim - 1)), a, b) if a.ndim else b, new, old)


def _structure(tree: Any) -> Any:
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]
