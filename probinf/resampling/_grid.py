"""The line of length N on which lane i owns an interval of length N w_i, and how points on it become
ancestors.

Everything is a prefix sum or a scatter: O(N), no sorting, no binary search.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from probinf._choice import prefix_sum, safe_cdf

# Up to as many lanes the running sum of float32 is right to a hundredth of a slot.
_FLOATS = 65_536


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


def split_ends(weights: Float[Array, " N"]) -> tuple[Int[Array, " N"], Float[Array, " N"]]:
    """The right ends as whole slots and fractions of a slot in [0, 1).

    Above 65,536 lanes a running sum of float32 has too few fractions left. There the sum is one of integers, whole
    slots and parts of 2^-32 of a slot, with a carry wherever the parts run over: right to .1 slots for N to 1e7.
    """
    n = weights.shape[0]
    if n <= _FLOATS or weights.dtype != jnp.float32:
        ends = interval_ends(weights)
        whole = jnp.floor(ends)
        return whole.astype(jnp.int32), ends - whole
    total = jnp.sum(weights)
    # A little less than N in all, whatever the rounding of the total; what is missing is added by weight.
    expected = weights * (n / jnp.where(total > 0, total, 1.0)) * (1 - 2.0**-18)
    slots, parts = _fixed(expected)
    whole, run = _carried(slots, parts)
    missing = (n - whole[-1]).astype(jnp.float32) - _fraction(run[-1])
    more_slots, more_parts = _fixed(expected * (missing / n))
    added = parts + more_parts
    # To the nearest 64 parts, so that equal weights have whole slots.
    rounded = added + jnp.uint32(32)
    carry = (added < parts).astype(jnp.int32) + (rounded < added).astype(jnp.int32)
    whole, run = _carried(slots + more_slots + carry, rounded & jnp.uint32(0xFFFFFFC0))
    living = prefix_sum((weights > 0).astype(jnp.int32))
    full = (living == living[-1]) | (whole >= n)
    return jnp.where(full, n, whole), jnp.where(full, 0.0, _fraction(run))


def _fixed(x: Float[Array, " N"]) -> tuple[Int[Array, " N"], UInt32[Array, " N"]]:
    """Numbers that are not negative as whole ones, and parts of 2^-32."""
    whole = jnp.floor(x)
    return whole.astype(jnp.int32), ((x - whole) * 2.0**32).astype(jnp.uint32)


def _carried(slots: Int[Array, " N"], parts: UInt32[Array, " N"]) -> tuple[Int[Array, " N"], UInt32[Array, " N"]]:
    """Running sum of slots and parts; the parts have run over where their sum has fallen."""
    run = prefix_sum(parts)
    carry = jnp.concatenate([jnp.zeros(1, jnp.int32), (run[1:] < run[:-1]).astype(jnp.int32)])
    return prefix_sum(slots + carry), run


def _fraction(parts: UInt32[Array, "..."]) -> Float[Array, "..."]:
    """Parts of 2^-32 as a fraction below one, in the 24 bits that float32 has."""
    return (parts >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)


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
