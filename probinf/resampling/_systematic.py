"""Systematic resampling: one uniform shifts a regular grid."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice, uniform_cells
from probinf.resampling._grid import expand, interval_ends, rotate_to_front
from probinf.resampling._scheme import Scheme
from probinf.resampling._weights import relative_weights, unless_dead


class Systematic(Scheme):
    """Puts the points n + u, n = 0..N-1, with one u ~ Uniform[0, 1), on the line of intervals N w_i.

    Law: E[count_i] = N w_i and |count_i - N w_i| < 1. Ancestors are sorted.

    Source: Carpenter, Clifford and Fearnhead, IEE Proceedings F 146 (1999).
    """

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """Sorted ancestors, from one uniform."""
        ends = interval_ends(relative_weights(log_weights))
        u = uniform_cells(key, _breaks(ends))
        return unless_dead(_ancestors(ends, u), log_weights)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """A cyclic run of ancestors that starts with the retained one.

        Derivation: the law of u is weighted by #{k: k + u < N w_0}, so slot K and u together are uniform on
        the pairs with K + u < N w_0: K has probability proportional to clip(N w_0 - K, 0, 1), and u is
        uniform below that. A rotation of the lanes only shifts u, so rotating K to the front keeps the
        scheme's law; any other relabeling would change which lanes are neighbors, and is not exact.

        Source: Chopin and Singh (arXiv 1304.1887).
        """
        slot_key, u_key = jax.random.split(key)
        ends = interval_ends(relative_weights(log_weights))
        widths = jnp.clip(ends[0] - jnp.arange(ends.shape[0]), 0.0, 1.0)
        slot = choice(slot_key, jnp.log(widths))
        # Only a lane of weight zero, which no sampler retains, has no width.
        width = jnp.where(widths[slot] > 0, widths[slot], 1.0)
        u = width * uniform_cells(u_key, _breaks(ends) / width)
        return unless_dead(rotate_to_front(_ancestors(ends, u), slot), log_weights)


def _breaks(ends: Float[Array, " N"]) -> Float[Array, " cells"]:
    """Where the ancestors change as a function of u; the last end is N, whose fraction is zero."""
    return (ends - jnp.floor(ends))[:-1]


def _ancestors(ends: Float[Array, " N"], u: Float[Array, ""]) -> Int[Array, " N"]:
    n = ends.shape[0]
    # Above 2^23 float32 rounds N - u itself, so the end of the line is not left to the subtraction.
    after = jnp.where(ends >= n, n, jnp.clip(jnp.ceil(ends - u), 0, n))
    return expand(after.astype(jnp.int32))
