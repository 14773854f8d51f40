"""How the lanes of a cloud lie on devices: in equal blocks, in order, along one axis of a mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from probinf._particles import Particles, is_lane_state


class Layout(eqx.Module):
    """Where lanes live: lane i of N on device `i // (N / devices)` along `axis` of the mesh.

    Law: none; a layout moves numbers and changes none of them.

    Raises: ValueError for an axis that the mesh does not have, or several axes to choose from.
    """

    mesh: Mesh = eqx.field(static=True)
    axis: str = eqx.field(static=True)

    def __init__(self, mesh: Mesh, axis: str | None = None):
        names = tuple(mesh.axis_names)
        if axis is None and len(names) != 1:
            raise ValueError(f"the mesh has axes {names}: say with axis= along which the lanes lie")
        if axis is not None and axis not in names:
            raise ValueError(f"the mesh has axes {names} and none called {axis!r}: name one of them")
        # The compiler, not the type of each array, decides on shardings: samplers are written for one device.
        self.mesh = Mesh(mesh.devices, names, axis_types=(AxisType.Auto,) * len(names))
        self.axis = names[0] if axis is None else axis

    @property
    def devices(self) -> int:
        """How many blocks of lanes there are."""
        return self.mesh.shape[self.axis]

    @property
    def split(self) -> PartitionSpec:
        """The leading axis in blocks, one a device."""
        return PartitionSpec(self.axis)

    @property
    def whole(self) -> PartitionSpec:
        """A copy on every device."""
        return PartitionSpec()

    def sharding(self, spec: PartitionSpec) -> NamedSharding:
        """The sharding that a specification means here."""
        return NamedSharding(self.mesh, spec)

    def by_hand(self, in_specs: Any, out_specs: Any) -> Callable[[Callable], Callable]:
        """Decorates a function that each device runs on its blocks; the compiler's partitioner does not look inside."""
        return jax.shard_map(mesh=self.mesh, in_specs=in_specs, out_specs=out_specs)

    def block(self, lanes: Any) -> Any:
        """Inside `by_hand`: this device's block of arrays that every device holds as a whole."""

        def mine(leaf: Array) -> Array:
            rows = leaf.shape[0] // self.devices
            return jax.lax.dynamic_slice_in_dim(leaf, jax.lax.axis_index(self.axis) * rows, rows)

        return jax.tree.map(mine, lanes)

    def pin(self, tree: Any, n: int) -> Any:
        """The same tree with every leaf of n lanes held in blocks; a cloud of one lane is held by every device.

        Raises: TypeError for a `LaneState`, whose layout is its own.
        """
        if any(map(is_lane_state, jax.tree.leaves(tree, is_leaf=is_lane_state))):
            raise TypeError(
                "lanes that share a LaneState cannot be sharded: run it with sample(), or Map it away first"
            )
        spec = self.sharding(self.whole if n % self.devices else self.split)
        hold = lambda leaf: jax.lax.with_sharding_constraint(leaf, spec)  # noqa: E731
        return jax.tree.map(lambda leaf: hold(leaf) if leaf.ndim and leaf.shape[0] == n else leaf, tree)

    def pin_cloud(self, cloud: Particles) -> Particles:
        """The same cloud with its lanes held in blocks."""
        return self.pin(cloud, cloud.n)
