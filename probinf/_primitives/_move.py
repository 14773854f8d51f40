"""Move and Map: values change, the cloud's weights do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Factor, MeaningError, Measure
from probinf._particles import Particles
from probinf._sampler import Info, Kernel, Sampler
from probinf._status import Status, status_if


class MoveInfo(NamedTuple):
    """`kernel`: what the kernel reported at the last transition, one entry per lane."""

    status: Int[Array, ""]
    kernel: Info


class MapInfo(NamedTuple):
    """A push-forward always succeeds."""

    status: Int[Array, ""]


class Move(Sampler):
    """Moves each lane by one transition of a Markov kernel, or by `times`.

    Law: m -> m, if the kernel leaves m invariant (EXACT); `meaning` raises `MeaningError` where it leaves another
    measure invariant, which is the commonest silent bug of resample-move algorithms.

    Raises: ValueError for fewer than one transition.
    """

    kernel: Kernel
    times: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects a move that does not move."""
        if self.times < 1:
            raise ValueError(f"Move makes at least one transition, got times={self.times}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, MoveInfo]:
        """The transitions of every lane."""
        check_key(key)
        values, info = self.kernel.move_lanes(key, cloud.values, cloud.n, self.times)
        return cloud.replace(values=values), MoveInfo(status_if(False, Status.OK), info)

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
