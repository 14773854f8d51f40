"""Tables of log-probabilities: what they must satisfy, and how they are read."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int


def as_log_table(table: Any) -> Float[Array, "..."]:
    """An array whose last axis holds unnormalized log-probabilities.

    Raises: ValueError for NaN, +inf or a row in which nothing is possible.
    """
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


def log_entry(row: Float[Array, " outcomes"], index: Int[Array, ""]) -> Float[Array, ""]:
    """`row[index]`, and -inf for an index outside the row."""
    inside = (index >= 0) & (index < row.shape[0])
    return jnp.where(inside, row[jnp.clip(index, 0, row.shape[0] - 1)], -jnp.inf)
