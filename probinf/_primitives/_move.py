"""Move and Map: values change, the cloud's weights do not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Factor, MeaningError, Measure
from probinf._particles import COPIES, Particles, distinct_lanes, is_lane_state, shows_copies, undefined_lanes
from probinf._sampler import Info, Kernel, Sampler
from probinf._status import Status, status_if

# With as many lanes, a move that fewer than one in as many accept has not moved the cloud.
_MANY = 100


class MoveInfo(NamedTuple):
    """`kernel`: what the kernel reported at the last transition, one entry per lane.

    acceptance: the share of the living lanes that accepted then, where the kernel reports it; otherwise the share whose
    value changed. distinct: how many different values the living lanes hold afterwards (all count as different where
    equal values need not be copies, see `Move`).
    """

    status: Int[Array, ""]
    kernel: Info
    acceptance: Float[Array, ""]
    distinct: Int[Array, ""]


class MapInfo(NamedTuple):
    """A push-forward always succeeds."""

    status: Int[Array, ""]


class Move(Sampler):
    """Moves each lane by one transition of a Markov kernel, or by `times`.

    Law: m -> m, if the kernel leaves m invariant (EXACT); `meaning` raises `MeaningError` where it leaves another
    measure invariant, which is the commonest silent bug of resample-move algorithms.

    A kernel that hardly accepts leaves the copies that resampling made, and averages over copies are worth no more than
    over the few values that they are copies of: where the lanes hold ten copies or more of each value, or of a hundred
    lanes or more fewer than one in a hundred accepts, the status is COLLAPSED. Only floating-point values are judged
    so, as equal draws from a law with a density must be copies; values of whole numbers alone, and texts, may be equal
    by right. A move that leaves NaN makes the status INVALID, and the lane weigh nothing.

    Raises: ValueError for fewer than one transition.
    """

    kernel: Kernel
    times: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects a move that does not move."""
        if not is_count(self.times):
            raise ValueError(f"Move makes at least one transition, got times={self.times}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, MoveInfo]:
        """The transitions of every lane."""
        check_key(key)
        values, info = self.kernel.move_lanes(key, cloud.values, cloud.n, self.times)
        acceptance = acceptance_of(info, cloud, values)
        moved, status, distinct = after_move(cloud.replace(values=values), acceptance)
        return moved, MoveInfo(status, info, acceptance, distinct)

    def meaning(self, m: Measure) -> Measure:
        """m, if the kernel keeps it.

        Raises: MeaningError otherwise.
        """
        if not m.same_law(self.kernel.invariant):
            raise MeaningError(
                f"{type(self.kernel).__name__} leaves '{self.kernel.invariant.name}' invariant, but the cloud means "
                f"'{m.name}': build the kernel for the measure at this point of the composition"
            )
        return m


def after_move(cloud: Particles, acceptance: Float[Array, ""]) -> tuple[Particles, Int[Array, ""], Int[Array, ""]]:
    """The cloud without the weight of lanes that hold NaN, how the move ended, and how many values are different."""
    undefined = undefined_lanes(cloud.values, cloud.n) & (cloud.log_weights > -jnp.inf)
    cloud = cloud.replace(log_weights=jnp.where(undefined, -jnp.inf, cloud.log_weights))
    living = cloud.log_weights > -jnp.inf
    lanes = jnp.sum(living, dtype=jnp.int32)
    status = status_if(undefined, Status.INVALID)
    if not shows_copies(cloud.values):
        return cloud, status, lanes
    distinct = distinct_lanes(cloud.values, living)
    copies = (lanes >= COPIES) & (lanes >= COPIES * distinct)
    stuck = (lanes >= _MANY) & (acceptance < 1.0 / _MANY)
    return cloud, jnp.maximum(status, status_if(copies | stuck, Status.COLLAPSED)), distinct


def acceptance_of(info: Info, before: Particles, values: Any) -> Float[Array, ""]:
    """The share of the living lanes that accepted, as the kernel reports it, or else of those that changed."""
    living = before.log_weights > -jnp.inf
    accepted = _reported(info)
    if accepted is None:
        held = jax.tree.leaves((before.values, values), is_leaf=is_lane_state)
        old, new = (held[: len(held) // 2], held[len(held) // 2 :])
        changed = [
            jnp.any((a != b).reshape(before.n, -1), axis=1)
            for a, b in zip(old, new, strict=True)
            if not is_lane_state(a)
        ]
        accepted = functools.reduce(jnp.logical_or, changed, jnp.zeros(before.n, bool))
    # Kernels with several parts or steps report one entry for each.
    rate = jnp.mean(accepted.astype(before.log_weights.dtype).reshape(before.n, -1), axis=1)
    return jnp.sum(jnp.where(living, rate, 0.0)) / jnp.maximum(jnp.sum(living), 1)


def _reported(info: Info) -> Array | None:
    """The first field anywhere in a nested info that says whether a proposal was accepted."""
    if not isinstance(info, tuple):
        return None
    fields = getattr(info, "_fields", ())
    for name in ("accepted", "is_accepted", "acceptance_rate"):
        if name in fields:
            return jnp.asarray(getattr(info, name))
    return next((found for part in info if (found := _reported(part)) is not None), None)


class Map(Sampler):
    """Applies a function to each value.

    Law: push-forward of m along the function (EXACT).
    """

    function: Callable[[Any], Any]

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, MapInfo]:
        """Maps values; the key is not used."""
        check_key(key)
        values = jax.vmap(self.function, axis_size=cloud.n)(cloud.values)
        return cloud.replace(values=values), MapInfo(status_if(False, Status.OK))

    def meaning(self, m: Measure) -> Measure:
        """The push-forward, whose density is in general not available in closed form."""
        pushed = Pushforward(getattr(self.function, "__name__", type(self.function).__name__), self.function, m)
        return Measure((pushed,), (1.0,), m.guarantee)


class Pushforward(Factor):
    """The law of f(x) for x ~ m, as one opaque factor."""

    function_name: str = eqx.field(static=True)
    function: Callable[[Any], Any]
    source: Measure

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The function applied to the source, as text."""
        return f"{self.function_name}({self.source.name})"

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Not available.

        Raises: MeaningError always: finite models can use `probinf.validity.denote`.
        """
        del x
        raise MeaningError(f"the density of the push-forward '{self.name}' is not known in closed form")
