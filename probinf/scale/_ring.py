"""Rows change devices by passing blocks around a ring, so that no device ever holds more than a few blocks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


def ring_take(values: Any, ancestors: Int[Array, " N"], axis: str, devices: int) -> Any:
    """This device's block of the rows `ancestors` of the values, whose blocks lie on the devices in order.

    Runs inside a `shard_map` over `axis`; `ancestors` is the same on every device. Each block travels only as far as
    some device needs it, up or down the ring by the shorter way: two turns where ancestors stay near their offspring,
    as those of systematic resampling do, and at most devices - 1. A device holds what it has, what it builds and the
    block in passing.

    Law: row i of the blocks together is row `ancestors[i]` of the values, to the bit.
    """
    rows = ancestors.shape[0] // devices
    me = jax.lax.axis_index(axis)
    turns_up, turns_down = ring_turns(ancestors, devices)
    mine = jax.lax.dynamic_slice_in_dim(ancestors, me * rows, rows)
    home, row = mine // rows, mine % rows

    def collect(found: Any, passing: Any, source: Array) -> Any:
        here = home == source
        return jax.tree.map(
            lambda old, block: jnp.where(here.reshape(-1, *[1] * (old.ndim - 1)), jnp.take(block, row, axis=0), old),
            found,
            passing,
        )

    def travel(found: Any, turns: Array, step: int) -> Any:
        to = [(i, (i + step) % devices) for i in range(devices)]

        def turn(t: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            found, passing = carry
            passing = jax.tree.map(lambda block: jax.lax.ppermute(block, axis, to), passing)
            return collect(found, passing, (me - step * (t + 1)) % devices), passing

        return jax.lax.fori_loop(0, turns, turn, (found, values))[0]

    found = jax.tree.map(lambda block: jnp.take(block, row, axis=0), values)
    return travel(travel(found, turns_up, 1), turns_down, -1)


def ring_turns(ancestors: Int[Array, " N"], devices: int) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """How many places up, and how many down the ring, blocks have to travel for every lane to meet its ancestor."""
    lanes = jnp.arange(ancestors.shape[0], dtype=ancestors.dtype)
    rows = ancestors.shape[0] // devices
    up = (lanes // rows - ancestors // rows) % devices
    goes_up = up <= devices // 2
    return jnp.max(jnp.where(goes_up, up, 0)), jnp.max(jnp.where(goes_up, 0, devices - up))
