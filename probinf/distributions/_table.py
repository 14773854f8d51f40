"""What arrays of parameters must satisfy, and how tables of log-probabilities are read."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from probinf._arguments import floating


def as_float(x: Any) -> Float[Array, "..."]:
    """An array of floating-point numbers, of its own precision where it has one.

    Raises: TypeError for complex numbers and text.
    """
    return x if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating) else floating("parameters", x)


def as_log_table(table: Any) -> Float[Array, "..."]:
    """An array whose last axis holds unnormalized log-probabilities.

    Raises: ValueError for NaN, +inf or a row in which nothing is possible.
    """
    # A copy: else JAX keeps an array of NumPy in float64 after a trace has read it so (findings/jax_float64_trace.sh).
    table = table.astype(jnp.result_type(table)) if isinstance(table, np.ndarray) else table
    table = jnp.asarray(table, float) if not hasattr(table, "dtype") else jnp.asarray(table)
    if table.ndim == 0 or table.shape[-1] == 0:
        raise ValueError(f"log-probabilities need at least one outcome on the last axis, got shape {table.shape}")
    if not jnp.issubdtype(table.dtype, jnp.floating):
        raise ValueError(f"log-probabilities must be floating-point, got {table.dtype}: take the log of probabilities")
    if not isinstance(table, Tracer):
        top = np.max(np.asarray(table), axis=-1)
        if not np.all(np.isfinite(top)):
            raise ValueError("each row of log-probabilities needs a possible outcome, and no NaN or +inf")
    return table


def check_symbols(y: Any, symbols: int) -> None:
    """Refuse what is not an array [T] of symbols; NaN among floating-point ones stands for a symbol not seen.

    Raises:
        ValueError: Another shape; a number that is not whole or outside [0, symbols), where it can be seen.
    """
    if jnp.ndim(y) != 1:
        raise ValueError(f"symbols must be given as [T], one for each row, got shape {jnp.shape(y)}")
    if isinstance(y, Tracer):
        return
    seen = np.asarray(y)[~np.isnan(np.asarray(y))]
    wrong = seen[(seen != np.floor(seen)) | (seen < 0) | (seen >= symbols)]
    if wrong.size:
        raise ValueError(f"symbols must be whole numbers from 0 to {symbols - 1} (NaN: not seen), got {wrong[0]}")


def as_symbol(y: Any) -> Int[Array, "..."]:
    """Symbols as integers; -1, which no table has, for NaN."""
    y = jnp.asarray(y)
    return y if jnp.issubdtype(y.dtype, jnp.integer) else jnp.where(jnp.isnan(y), -1, y).astype(jnp.int32)


def log_entry(row: Float[Array, " outcomes"], index: Int[Array, ""]) -> Float[Array, ""]:
    """`row[index]`, and -inf for an index outside the row."""
    inside = (index >= 0) & (index < row.shape[0])
    return jnp.where(inside, row[jnp.clip(index, 0, row.shape[0] - 1)], -jnp.inf)
