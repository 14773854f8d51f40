"""Which values of a computation are one atom: equal up to the rounding of the type that they were computed in."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

# Two numbers are one atom if they are closer than this many units of rounding of their type, relative to the larger or
# to a hundredth of the column's largest. In float64 that is 1e-12.
_UNITS = 4096


def atom_codes(*values: Any) -> list[Int[np.ndarray, " K"]]:
    """Number the distinct atoms of several lists of values (leading axis on every leaf) in one common numbering.

    NaN equals NaN, and zero has one sign. Two float64 numbers that differ by more than 1e-12 (relative) are two atoms.
    """
    sizes = [_count(tree) for tree in values]
    leaves = [jax.tree.leaves(tree) for tree in values]
    columns = []
    for column in zip(*leaves, strict=True):
        arrays = [np.asarray(leaf) for leaf in column]
        rows = [leaf.reshape(len(leaf), math.prod(leaf.shape[1:])) for leaf in arrays]
        joined = np.concatenate(rows)
        unit = max(_rounding(leaf.dtype) for leaf in arrays)
        columns += [_column_codes(joined[:, j], unit) for j in range(joined.shape[1])]
    if not columns:
        return [np.zeros(size, np.int64) for size in sizes]
    table = np.ascontiguousarray(np.stack(columns, axis=1))
    names = table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1])))[:, 0]
    _, codes = np.unique(names, return_inverse=True)
    return np.split(codes.reshape(-1), np.cumsum(sizes)[:-1])


def undefined_rows(values: Any, count: int) -> np.ndarray:
    """Which rows hold a NaN."""
    found = np.zeros(count, bool)
    for leaf in map(np.asarray, jax.tree.leaves(values)):
        if leaf.size and jnp.issubdtype(leaf.dtype, jnp.inexact):
            found |= (leaf != leaf).reshape(count, -1).any(axis=1)
    return found


def _count(tree: Any) -> int:
    leaves = jax.tree.leaves(tree)
    return len(leaves[0]) if leaves else 1


def _rounding(dtype: Any) -> float:
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.inexact) else 0.0


def _column_codes(column: np.ndarray, unit: float) -> np.ndarray:
    if np.iscomplexobj(column):
        real, imaginary = (_column_codes(part, unit) for part in (np.real(column), np.imag(column)))
        return real * (int(imaginary.max(initial=0)) + 1) + imaginary
    if unit == 0.0:
        return np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64)
    distinct, codes = np.unique(column.astype(np.float64), return_inverse=True)
    finite = np.isfinite(distinct)
    size = np.abs(np.where(finite, distinct, 0.0))
    closeness = _UNITS * unit * np.maximum(size, 0.01 * size.max(initial=0.0))
    with np.errstate(invalid="ignore"):
        new = ~(np.diff(distinct) <= closeness[1:]) & ~(np.isnan(distinct[1:]) & np.isnan(distinct[:-1]))
    groups = np.concatenate([[0], np.cumsum(new)]).astype(np.int64) if len(distinct) else np.zeros(0, np.int64)
    return groups[codes.reshape(-1)]
