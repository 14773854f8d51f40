"""Prune: keep the best lanes, and copy them in place of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Factor, Guarantee, Measure, as_factor
from probinf._particles import Particles, take_lanes
from probinf._primitives._choose import living_score
from probinf._primitives._lanes import on_lanes
from probinf._primitives._weight import checked_log_density
from probinf._sampler import Sampler


class PruneInfo(NamedTuple):
    """`ancestors`: where each lane came from; None in the info of a `Scan`, unless recorded there. `pruned`: which
    islands were."""

    status: Int[Array, ""]
    ancestors: Any
    pruned: Bool[Array, " islands"]


class Prune(Sampler):
    """Keeps the 1 / width of the lanes with the best scores, `width` copies of each side by side, the best first.

    Law: none claimed (HEURISTIC). Ties go to the first lane. A copy has the weight of its ancestor, and nothing is
    banked. Dead lanes come last; a score of NaN or +inf is the worst of the living, and makes the status INVALID.

    With `island_size`, lanes compete only within consecutive groups of that many. `active` maps the values to the lanes
    that still change; an island in which none is alive is left alone.

    Raises: ValueError for a width below one, or where width and island size do not divide the cloud.
    """

    score: Factor = eqx.field(converter=as_factor)
    width: int = eqx.field(static=True)
    island_size: int | None = eqx.field(static=True, default=None)
    active: Callable[[Any], Bool[Array, " N"]] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        """Rejects what keeps no lane whole."""
        if not is_count(self.width):
            raise ValueError(f"pruning keeps one lane of `width`, at least 1, got {self.width}")
        if self.island_size is not None and (self.island_size < 1 or self.island_size % self.width):
            raise ValueError(f"width={self.width} does not divide island_size={self.island_size}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, PruneInfo]:
        """Prunes every island."""
        return self._apply(key, cloud, in_place=False)

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, PruneInfo]:
        """Prunes in place."""
        return self._apply(key, cloud, in_place=True)

    def _apply(self, key: PRNGKeyArray, cloud: Particles, *, in_place: bool) -> tuple[Particles, PruneInfo]:
        check_key(key)
        size = self.island_size or cloud.n
        check_divides(size, cloud.n)
        check_divides(self.width, size)
        # Islands are rows from here on.
        grid = lambda x: x.reshape(-1, size)  # noqa: E731
        score, info = checked_log_density(self.score, cloud)
        order = jnp.argsort(-grid(living_score(score, cloud.log_weights)), axis=1, stable=True)
        copies = jnp.repeat(order[:, : size // self.width], self.width, axis=1)
        alive = cloud.log_weights > -jnp.inf
        active = alive if self.active is None else alive & self.active(cloud.values)
        pruned = jnp.any(grid(active), axis=1)
        first = jnp.arange(0, cloud.n, size)[:, None]
        ancestors = jnp.where(pruned[:, None], copies + first, grid(jnp.arange(cloud.n))).reshape(-1)

        # As in `Resample`, what is not pruned has its own lanes for ancestors, and no branch is needed.
        values = on_lanes(eqx.Partial(take_lanes, ancestors=ancestors), cloud.values, in_place=in_place)
        take = lambda x: jnp.take(x, ancestors)  # noqa: E731
        kept = cloud.replace(values=values, log_weights=take(cloud.log_weights), log_twist=take(cloud.log_twist))
        return kept, PruneInfo(info.status, ancestors, pruned)

    def meaning(self, m: Measure) -> Measure:
        """m, of which nothing more is claimed."""
        return m.claiming(Guarantee.HEURISTIC)

    @property
    def traceable(self) -> bool:
        """Whether the score is."""
        return self.score.traceable

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False


def check_divides(width: int, lanes: int) -> None:
    """Refuses a number of lanes that cannot be shared out.

    Raises: ValueError for it, with the nearest numbers that can.
    """
    if lanes % width:
        below = lanes // width * width
        fit = f"n={below} or n={below + width}" if below else f"n={width}"
        raise ValueError(f"groups of {width} lanes do not divide {lanes} lanes: use {fit}, or another width")
