"""Stratified resampling: one uniform in each of N equal strata."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice, uniform_cells
from probinf.resampling._grid import expand, rotate_to_front, split_ends
from probinf.resampling._scheme import Scheme
from probinf.resampling._weights import relative_weights, unless_dead


class Stratified(Scheme):
    """Puts the points n + u_n, n = 0..N-1, with independent u_n ~ Uniform[0, 1), on the line of intervals N
    w_i.

    Law: E[count_i] = N w_i and |count_i - N w_i| < 2, in float32 < 2.1 + 1e-6 N w_i for N to 1e7. Ancestors are sorted.

    Source: Kitagawa, Journal of Computational and Graphical Statistics 5 (1996).
    """

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """Sorted ancestors, from N uniforms."""
        return unless_dead(_draw(key, relative_weights(log_weights)), log_weights)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The twin of the scheme on uniformly rotated lanes.

        Derivation: the strata begin at lane 0, so the scheme's law depends on which lane that is. With the
        retained lane always there conditional SMC would miss its target; a uniform rotation first restores
        the symmetry and keeps every law above. Given the rotation, the retained point K + u_K is uniform on
        its lane's interval: K has probability proportional to the overlap of stratum and interval, u_K is
        uniform on the overlap, and the other uniforms are free. The result is rotated so that K comes first.
        """
        return unless_dead(_draw_conditional(key, relative_weights(log_weights)), log_weights)


# Compiled even where the caller is not, so that the N x N breaks, which only the exact checks read, are never
# computed.
@jax.jit
def _draw(key: PRNGKeyArray, weights: Float[Array, " N"]) -> Int[Array, " N"]:
    whole, fraction = split_ends(weights)
    return _ancestors(whole, fraction, uniform_cells(key, _breaks(whole, fraction)))


@jax.jit
def _draw_conditional(key: PRNGKeyArray, weights: Float[Array, " N"]) -> Int[Array, " N"]:
    n = weights.shape[0]
    rotation_key, slot_key, u_key = jax.random.split(key, 3)
    rotation = choice(rotation_key, jnp.zeros(n, weights.dtype))
    whole, fraction = split_ends(jnp.roll(weights, -rotation))
    retained = (n - rotation) % n
    strata = jnp.arange(n)
    starts = jnp.where(retained > 0, _share_of(strata, whole[retained - 1], fraction[retained - 1]), 0.0)
    overlaps = jnp.maximum(_share_of(strata, whole[retained], fraction[retained]) - starts, 0.0)
    slot = choice(slot_key, jnp.log(overlaps))
    here = strata == slot
    # Where lane 0 has no weight there is no overlap; no sampler retains such a lane.
    start = jnp.where(here & (overlaps > 0), starts, 0.0)
    width = jnp.where(here & (overlaps > 0), overlaps, 1.0)
    u = start + width * uniform_cells(u_key, (_breaks(whole, fraction) - start[:, None]) / width[:, None])
    ancestors = (_ancestors(whole, fraction, u) + rotation) % n
    return rotate_to_front(ancestors, slot)


def _share_of(strata: Int[Array, "..."], whole: Int[Array, "..."], fraction: Float[Array, "..."]) -> Array:
    """How much of each stratum lies before an end."""
    return jnp.where(strata < whole, 1.0, jnp.where(strata == whole, fraction, 0.0))


def _breaks(whole: Int[Array, " N"], fraction: Float[Array, " N"]) -> Float[Array, "N cells"]:
    """Where the ancestor of each stratum changes; ends in other strata are moved to its rim."""
    return _share_of(jnp.arange(whole.shape[0])[:, None], whole[None, :-1], fraction[None, :-1])


def _ancestors(whole: Int[Array, " N"], fraction: Float[Array, " N"], u: Float[Array, " N"]) -> Int[Array, " N"]:
    n = whole.shape[0]
    stratum = jnp.minimum(whole, n - 1)
    return expand(jnp.minimum(whole + (u[stratum] < fraction), n).astype(jnp.int32))
