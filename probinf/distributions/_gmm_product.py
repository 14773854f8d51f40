"""The product of two mixtures of Gaussians."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.distributions._gmm import GMM
from probinf.distributions._gmm_linear import condition_gaussian
from probinf.distributions._small_matrices import solve_lower


def multiply(a: GMM, b: GMM) -> tuple[GMM, Float[Array, ""]]:
    """The law with density proportional to the product of two mixtures' densities, and the log of their integral.

    Law: exact: `a(x) b(x) = exp(log_mass) product(x)`. Shapes: K components times J give K J, those of the first
    component of `a` first; a pair of which one is absent is absent. The name is that of `a`.

    Raises: ValueError for mixtures of different dimensions.
    """
    if a.dimension != b.dimension:
        raise ValueError(
            f"the factors of a product must have the same dimension, got {a.dimension} and {b.dimension}: bring them "
            "there with push_affine or marginal"
        )
    # A component of b is a whitened observation of every coordinate.
    eye = jnp.eye(b.dimension, dtype=b.scales.dtype)
    rows = jax.vmap(lambda scale: solve_lower(scale, eye))(b.held_scales)
    values = jnp.einsum("jde,je->jd", rows, b.held_means)
    given = jax.vmap(jax.vmap(condition_gaussian, (None, None, 0, 0)), (0, 0, None, None))
    means, scales, log_masses = given(a.held_means, a.held_scales, rows, values)
    log_det = jnp.sum(jnp.log(jnp.diagonal(b.held_scales, axis1=-2, axis2=-1)), axis=-1)
    log_weights = (a.log_weights[:, None] + (b.log_weights - log_det)[None, :] + log_masses).reshape(-1)
    total = jax.nn.logsumexp(log_weights)
    n, d = log_weights.size, a.dimension
    product = GMM(log_weights - total, means.reshape(n, d), scales.reshape(n, d, d), a.name)
    return product, total - 0.5 * d * jnp.log(2 * jnp.pi)
