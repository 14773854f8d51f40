"""Factorizations of small matrices, written so that many of them at once are plain arithmetic.

JAX 0.10.2 on the CPU hands a batch of matrices to LAPACK on the threads of its own pool and waits for them there. Two
such calls that do not depend on each other can take all threads of a machine with few cores, and then wait for ever.
What is below needs no such call, and is faster for the few dimensions that mixtures have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Up to this many steps are written out, which the compiler fuses; more would be slow to compile.
_WRITTEN_OUT = 4
# How many roundings a sum may have gone through before its remainder says something.
_ROUNDING = 64


def cholesky(a: Float[Array, "D D"]) -> Float[Array, "D D"]:
    """The lower triangular L with L L' = a; NaN where a is not positive definite."""
    n = a.shape[-1]
    places = jnp.arange(n)

    def column(j: Any, lower: Array) -> Array:
        left = a[:, j] - jnp.sum(lower * lower[j][None, :], axis=1)
        entries = jnp.where(places >= j, left / jnp.sqrt(left[j]), 0.0)
        return jnp.where(places[None, :] == j, entries[:, None], lower)

    return _repeat(n, column, jnp.zeros_like(a))


def is_cholesky_factor(scale: np.ndarray, *, singular: bool = False) -> bool:
    """Whether all matrices [..., D, D] are lower triangular with a positive diagonal (with zeros, if `singular`)."""
    diagonal = np.diagonal(scale, axis1=-2, axis2=-1)
    return not np.triu(scale, 1).any() and bool((diagonal >= 0 if singular else diagonal > 0).all())


def solve_lower(lower: Float[Array, "D D"], b: Float[Array, "D *M"]) -> Float[Array, "D *M"]:
    """The z with lower z = b."""
    return _substitute(lower, b, backward=False)


def solve_upper(upper: Float[Array, "D D"], b: Float[Array, "D *M"]) -> Float[Array, "D *M"]:
    """The z with upper z = b."""
    return _substitute(upper, b, backward=True)


def lower_root(roots: Float[Array, "K E F"]) -> Float[Array, "K E E"]:
    """The Cholesky factors of roots roots', found without squaring."""
    return jax.vmap(lambda root: orthogonalized(root)[0])(roots)


def orthogonalized(root: Float[Array, "E F"]) -> tuple[Float[Array, "E E"], Float[Array, "E F"]]:
    """Lower triangular L with positive diagonal, and Q with orthonormal rows, with L Q = root.

    Rows are made orthogonal one after another, twice each, which is as precise as reflections are. A row that the rows
    before it span, up to rounding, gets a zero on the diagonal and a direction of zeros.
    """
    n = root.shape[0]
    places = jnp.arange(n)

    def row(i: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        directions, lower = carry
        left = root[i]
        entries = jnp.zeros(n, root.dtype)
        for _ in range(2):
            along = jnp.sum(directions * left[None, :], axis=1)
            left = left - jnp.sum(directions * along[:, None], axis=0)
            entries = entries + along
        total = jnp.sum(left**2)
        spanned = total <= (4 * jnp.finfo(root.dtype).eps) ** 2 * jnp.sum(root[i] ** 2)
        length = jnp.sqrt(jnp.where(spanned, 1.0, total))
        entries = jnp.where(places == i, jnp.where(spanned, 0.0, length), entries)
        direction = jnp.where(spanned, 0.0, left / length)
        here = places[:, None] == i
        return jnp.where(here, direction[None, :], directions), jnp.where(here, entries[None, :], lower)

    directions, lower = _repeat(n, row, (jnp.zeros_like(root), jnp.zeros((n, n), root.dtype)))
    return lower, directions


def absorb_row(
    lower: Float[Array, "D D"],
    right: Float[Array, "D M"],
    row: Float[Array, " D"],
    size: Float[Array, " D"],
    value: Float[Array, " M"],
) -> tuple[Float[Array, "D D"], Float[Array, "D M"], Float[Array, " M"]]:
    """Least squares with one equation more: (L, r) stand for L x = r, and `row @ x = value` joins them, M times.

    `size` bounds the terms whose sums the entries of `row` are. Rotations keep what they cancel to the precision of its
    terms, and what is left below that precision counts as zero: else rounding would pass for knowledge wherever L knows
    almost nothing, as from a diffuse start. Returns L, r, and the new equation's residual, of the same sum of squares.
    """
    n = row.shape[0]
    places = jnp.arange(n)
    rounding = _ROUNDING * jnp.finfo(row.dtype).eps

    def rotate(i: Any, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        lower, right, row, size, value = carry
        k = n - 1 - i
        old, entry = lower[k], jnp.where(jnp.abs(row[k]) > rounding * size[k], row[k], 0.0)
        length = jnp.hypot(old[k], entry)
        c, s = old[k] / length, entry / length
        # What rounding may have changed in the entry shows in all that it is eliminated from.
        size = jnp.abs(c) * size + size[k] / length * jnp.abs(old)
        left = jnp.where((places == k) | (jnp.abs(c * row - s * old) <= rounding * size), 0.0, c * row - s * old)
        right_k = right[k]
        lower = jnp.where(places[:, None] == k, (c * old + s * row)[None, :], lower)
        right = jnp.where(places[:, None] == k, (c * right_k + s * value)[None, :], right)
        return lower, right, left, size, c * value - s * right_k

    lower, right, _, _, residual = _repeat(n, rotate, (lower, right, row, size, value))
    return lower, right, residual


def absorb_measurement(
    lower: Float[Array, "D D"], row: Float[Array, " D"]
) -> tuple[Float[Array, "D D"], Float[Array, " D"], Float[Array, ""]]:
    """The Cholesky factor after x ~ N(m, L L') was measured as `row @ x` with unit noise, without squaring.

    Returns the factor, the gain K (the mean moves by K times the surprise) and the surprise's deviation.

    Source: Carlson, AIAA Journal 11 (1973).
    """
    n = row.shape[0]
    places = jnp.arange(n)
    seen = lower.T @ row

    def rotate(i: Any, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        lower, gain, deviation = carry
        k = n - 1 - i
        longer = jnp.hypot(deviation, seen[k])
        c, s, column = deviation / longer, seen[k] / longer, lower[:, k]
        lower = jnp.where(places[None, :] == k, (c * column - s * gain)[:, None], lower)
        return lower, s * column + c * gain, longer

    start = (lower, jnp.zeros_like(row), jnp.ones((), row.dtype))
    lower, gain, deviation = _repeat(n, rotate, start)
    return lower, gain / deviation, deviation


def _substitute(matrix: Array, b: Array, *, backward: bool) -> Array:
    n = matrix.shape[-1]
    places = jnp.arange(n)
    wide = b.reshape(n, -1)

    def step(i: Any, left: Array) -> Array:
        i = n - 1 - i if backward else i
        solved = left[i] / matrix[i, i]
        later = places < i if backward else places > i
        rest = left - jnp.where(later, matrix[:, i], 0.0)[:, None] * solved[None, :]
        return jnp.where(places[:, None] == i, solved[None, :], rest)

    return _repeat(n, step, wide).reshape(b.shape)


def _repeat(n: int, step: Callable[[Any, Any], Any], start: Any) -> Any:
    if n > _WRITTEN_OUT:
        return jax.lax.fori_loop(0, n, step, start)
    for i in range(n):
        start = step(i, start)
    return start
