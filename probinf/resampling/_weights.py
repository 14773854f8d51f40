"""Weights on the linear scale, and clouds that have none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def usable(log_weights: Float[Array, " N"]) -> Float[Array, " N"]:
    """Log-weights with NaN read as weight zero and infinity as the largest float; no derivative flows
    through."""
    log_weights = _real_weights(log_weights)
    largest = jnp.finfo(log_weights.dtype).max
    return jax.lax.stop_gradient(jnp.minimum(jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights), largest))


def _real_weights(log_weights: Float[Array, " N"]) -> Float[Array, " N"]:
    """Refuse what has no order, or no lanes; NaN is read as weight zero."""
    if jnp.ndim(log_weights) != 1 or not jnp.issubdtype(jnp.result_type(log_weights), jnp.floating):
        raise ValueError(
            f"log_weights must be an array [N] of real numbers, got {jnp.result_type(log_weights)} of shape "
            f"{jnp.shape(log_weights)}"
        )
    return jnp.asarray(log_weights)


def relative_weights(log_weights: Float[Array, " N"]) -> Float[Array, " N"]:
    """Weights relative to the largest, which becomes one; all zero for a dead cloud."""
    log_weights = usable(log_weights)
    top = jnp.max(log_weights)
    return jnp.exp(log_weights - jnp.where(top > -jnp.inf, top, 0.0))


def unless_dead(ancestors: Int[Array, " N"], log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
    """The ancestors, or each lane its own where no lane has weight."""
    alive = jnp.max(usable(log_weights)) > -jnp.inf
    return jnp.where(alive, ancestors, jnp.arange(ancestors.shape[0])).astype(jnp.int32)
