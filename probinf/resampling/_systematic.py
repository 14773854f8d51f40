"""Systematic resampling: one uniform shifts a regular grid."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice, uniform_cells
from probinf.resampling._grid import expand, rotate_to_front, split_ends
from probinf.resampling._scheme import Scheme
from probinf.resampling._weights import relative_weights, unless_dead


class Systematic(Scheme):
    """Puts the points n + u, n = 0..N-1, with one u ~ Uniform[0, 1), on the line of intervals N w_i.

    Law: E[count_i] = N w_i and |count_i - N w_i| < 1, in float32 < 1.1 + 1e-6 N w_i for N to 1e7. Equal weights give
    every lane back once. Ancestors are sorted.

    Source: Carpenter, Clifford and Fearnhead, IEE Proceedings F 146 (1999).
    """

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """Sorted ancestors, from one uniform."""
        whole, fraction = split_ends(relative_weights(log_weights))
        u = uniform_cells(key, fraction[:-1])
        return unless_dead(_ancestors(whole, fraction, u), log_weights)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """A cyclic run of ancestors that starts with the retained one.

        Derivation: the law of u is weighted by #{k: k + u < N w_0}, so slot K and u together are uniform on
        the pairs with K + u < N w_0: K has probability proportional to clip(N w_0 - K, 0, 1), and u is
        uniform below that. A rotation of the lanes only shifts u, so rotating K to the front keeps the
        scheme's law; any other relabeling would change which lanes are neighbors, and is not exact.

        Source: Chopin and Singh (arXiv 1304.1887).
        """
        slot_key, u_key = jax.random.split(key)
        whole, fraction = split_ends(relative_weights(log_weights))
        slots = jnp.arange(whole.shape[0])
        widths = jnp.where(slots < whole[0], 1.0, jnp.where(slots == whole[0], fraction[0], 0.0))
        slot = choice(slot_key, jnp.log(widths))
        # Only a lane of weight zero, which no sampler retains, has no width.
        width = jnp.where(widths[slot] > 0, widths[slot], 1.0)
        u = width * uniform_cells(u_key, fraction[:-1] / width)
        return unless_dead(rotate_to_front(_ancestors(whole, fraction, u), slot), log_weights)


def _ancestors(whole: Int[Array, " N"], fraction: Float[Array, " N"], u: Float[Array, ""]) -> Int[Array, " N"]:
    """The ancestors change as a function of u where it passes a fraction; that of the last end is zero."""
    return expand(jnp.minimum(whole + (fraction > u), whole.shape[0]).astype(jnp.int32))
