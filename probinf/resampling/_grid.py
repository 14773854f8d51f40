"""The line of length N on which lane i owns an interval of length N w_i, and how points on it become
ancestors.

Everything is a prefix sum or a scatter: O(N), no sorting, no binary search.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probinf._choice import prefix_sum, safe_cdf


def interval_ends(weights: Float[Array, " N"]) -> Float[Array, " N"]:
    """Right ends of the lanes' intervals, in [0, N].

    A lane of weight zero ends exactly where its predecessor does, and the first lane that reaches the total
    ends at N exactly, so that rounding can give offspring to no lane without weight.
    """
    n = weights.shape[0]
    cdf = safe_cdf(weights)
    total = cdf[-1]
    ends = cdf / jnp.where(total > 0, total, 1.0) * n
    # On accelerators a number divided by itself need not be one.
    return jnp.where(cdf >= total, n, ends)


def expand(ends: Int[Array, " N"]) -> Int[Array, " N"]:
    """Lane of each slot, given the first slot after each lane's own: slot n belongs to #{j: ends[j] <= n}.

    `ends` is sorted with values in [0, N]. A slot at or after the last end gets N, which is no lane.
    """
    n = ends.shape[0]
    marks = jnp.zeros(n + 1, jnp.int32).at[ends].add(1, indices_are_sorted=True)
    return prefix_sum(marks[:n])


def rotate_to_front(ancestors: Int[Array, " N"], slot: Int[Array, ""]) -> Int[Array, " N"]:
    """Rotates the retained slot to the front. Rounding may have moved its point across an end, so it is set
    to 0."""
    return jnp.roll(ancestors, -slot).at[0].set(0)


def swap_to_front(ancestors: Int[Array, " N"], slot: Int[Array, ""]) -> Int[Array, " N"]:
    """Exchanges the retained slot, whose parent is 0, with the first."""
    return ancestors.at[slot].set(ancestors[0]).at[0].set(0)
