"""How many lanes the weights are worth."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.resampling._weights import relative_weights


def effective_sample_size(log_weights: Float[Array, " N"]) -> Float[Array, ""]:
    """(sum w)^2 / sum w^2: between 1 and N, and 0 for a cloud without weight. NaN counts as weight zero.

    Source: Kong, Liu and Wong, Journal of the American Statistical Association 89 (1994).
    """
    weights = relative_weights(log_weights)
    squares = jnp.sum(weights**2)
    return jnp.sum(weights) ** 2 / jnp.where(squares > 0, squares, 1.0)
