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
from jaxtyping import Array, Float

# Up to this many steps are written out, which the compiler fuses; more would be slow to compile.
_WRITTEN_OUT = 4


def cholesky(a: Float[Array, "D D"]) -> Float[Array, "D D"]:
    """The lower triangular L with L L' = a; NaN where a is not positive definite."""
    n = a.shape[-1]
    places = jnp.arange(n)

    def column(j: Any, lower: Array) -> Array:
        left = a[:, j] - jnp.sum(lower * lower[j][None, :], axis=1)
        entries = jnp.where(places >= j, left / jnp.sqrt(left[j]), 0.0)
        return jnp.where(places[None, :] == j, entries[:, None], lower)

    return _repeat(n, column, jnp.zeros_like(a))


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

    Rows of full rank are made orthogonal one after another, twice each, which is as precise as reflections are.
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
        length = jnp.sqrt(jnp.sum(left**2))
        entries = jnp.where(places == i, length, entries)
        here = places[:, None] == i
        return jnp.where(here, (left / length)[None, :], directions), jnp.where(here, entries[None, :], lower)

    directions, lower = _repeat(n, row, (jnp.zeros_like(root), jnp.zeros((n, n), root.dtype)))
    return lower, directions


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
