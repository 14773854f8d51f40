"""The acceptance ratio that all Metropolis-Hastings kernels here share, safe against NaN and dead values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def log_accept_ratio(
    log_old: Float[Array, ""], log_new: Float[Array, ""], log_proposal: Float[Array, ""]
) -> Float[Array, ""]:
    """`log_new - log_old + log_proposal`, with impossible values settled first.

    Law: -inf (never accepted) where the new density is zero, NaN or +inf or the way back is impossible;
    otherwise +inf (always accepted) where the old one is zero or NaN, so that a chain started outside the
    support enters it.
    """
    alive = jnp.isfinite(log_new)
    usable = alive & ~jnp.isnan(log_proposal) & (log_proposal > -jnp.inf)
    started = jnp.isfinite(log_old)
    ratio = jnp.where(usable & started, log_new, 0.0) - jnp.where(usable & started, log_old, 0.0)
    ratio = ratio + jnp.where(usable & started, log_proposal, 0.0)
    return jnp.where(started, jnp.where(usable, ratio, -jnp.inf), jnp.where(alive, jnp.inf, -jnp.inf))


def select(accepted: Bool[Array, ""], new: Any, old: Any) -> Any:
    """The new value if accepted, else the old one, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)
