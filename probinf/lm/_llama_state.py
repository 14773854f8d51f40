"""The key-value cache of a cloud of language-model lanes."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from probinf._particles import LaneState

_COPIED_SLOTS = 32  # slots of a row that are copied together


class LayerCache(eqx.Module):
    """One layer's keys and values: the prompt's once, with its keys transposed, then one row per lane.

    A lane's slots are contiguous, so that writing a token and copying the filled part of a row are cheap.
    """

    prompt_keys: Float[Array, "key_value_heads head_dimension prompt_slots"]
    prompt_values: Float[Array, "key_value_heads prompt_slots head_dimension"]
    keys: Float[Array, "rows key_value_heads slots head_dimension"]
    values: Float[Array, "rows key_value_heads slots head_dimension"]


class LlamaState(LaneState):
    """What a Llama decoder remembers of N lanes that share a prompt.

    Lane i lives in row `row_of_lane[i]` of the caches; `row_of_lane` is a permutation, so that resampling can
    leave every surviving row where it is.
    """

    layers: tuple[LayerCache, ...]
    prompt_length: Int[Array, ""]
    row_of_lane: Int[Array, " n"]
    length: Int[Array, " n"]
    hidden: Float[Array, "n dimension"]

    def take(self, ancestors: Int[Array, " n"]) -> Self:
        """Return the state whose lane i is lane `ancestors[i]` of this one; only rows of dead lanes are
        written.
        """
        if ancestors.shape != self.length.shape:
            return self._gather(ancestors)
        row_of_lane, source, moved = plan_moves(self.row_of_lane, ancestors)
        order = jnp.argsort(~moved, stable=True)

        slots = self.layers[0].keys.shape[2]
        block = min(_COPIED_SLOTS, slots)
        row_length = jnp.zeros_like(self.length).at[self.row_of_lane].set(self.length)

        def copy_row(step: Int[Array, ""] | int, caches: tuple) -> tuple:
            row = order[step]
            origin = source[row]

            def copy_block(index: Int[Array, ""] | int, caches: tuple) -> tuple:
                # Near the end both slices are clamped alike, so the last blocks overlap and agree.
                def copied(cache: Array) -> Array:
                    size = (1, cache.shape[1], block, cache.shape[3])
                    piece = lax.dynamic_slice(cache, (origin, 0, index * block, 0), size)
                    return lax.dynamic_update_slice(cache, piece, (row, 0, index * block, 0))

                return jax.tree.map(copied, caches)

            return lax.fori_loop(0, -(-row_length[origin] // block), copy_block, caches)

        caches = tuple((layer.keys, layer.values) for layer in self.layers)
        caches = lax.fori_loop(0, moved.sum(), copy_row, caches)
        layers = tuple(
            LayerCache(layer.prompt_keys, layer.prompt_values, keys, values)
            for layer, (keys, values) in zip(self.layers, caches, strict=True)
        )
        return type(self)(layers, self.prompt_length, row_of_lane, self.length[ancestors], self.hidden[ancestors])

    def _gather(self, ancestors: Int[Array, " m"]) -> Self:
        """Change the number of lanes, which needs new caches."""
        rows = self.row_of_lane[ancestors]
        return type(self)(
            layers=tuple(
                LayerCache(layer.prompt_keys, layer.prompt_values, layer.keys[rows], layer.values[rows])
                for layer in self.layers
            ),
            prompt_length=self.prompt_length,
            row_of_lane=jnp.arange(ancestors.shape[0]),
            length=self.length[ancestors],
            hidden=self.hidden[ancestors],
        )


def plan_moves(
    row_of_lane: Int[Array, " n"], ancestors: Int[Array, " n"]
) -> tuple[Int[Array, " n"], Int[Array, " n"], Bool[Array, " n"]]:
    """Plan a resampling that keeps each surviving ancestor's row and refills only the rows of the dead.

    Returns:
        The new `row_of_lane`; for each row the row to copy from; and which rows have to be copied. A row that
        is copied from is never itself overwritten, so the copies may run in any order, in place.
    """
    n = ancestors.shape[0]
    lanes = jnp.arange(n)
    heir = jnp.full(n, n, lanes.dtype).at[ancestors].min(lanes)  # the first lane that descends from each lane
    inherits = heir[ancestors] == lanes
    free = heir == n  # lanes without descendants: their rows are free
    place = jnp.cumsum(~inherits) - 1
    free_lanes = jnp.argsort(~free, stable=True)
    new_row = jnp.where(inherits, row_of_lane[ancestors], row_of_lane[free_lanes[jnp.maximum(place, 0)]])
    source = jnp.zeros_like(row_of_lane).at[new_row].set(row_of_lane[ancestors])
    moved = jnp.zeros(n, bool).at[new_row].set(~inherits)
    return new_row, source, moved
