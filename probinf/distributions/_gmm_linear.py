"""What is exact and linear about mixtures of Gaussians: push-forward and conditioning."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from probinf.distributions._gmm import GMM


def push_affine(
    gmm: GMM,
    matrix: Float[Array, "E D"],
    shift: Float[Array, " E"] | None = None,
    noise_scale: Float[Array, "E E"] | None = None,
) -> GMM:
    """The law of `matrix @ x + shift + N(0, noise_scale noise_scale')` where x follows the mixture.

    Law: exact. Shapes: `matrix` [E, D] of full row rank unless there is noise; `noise_scale` any square root.
    """
    means = gmm.held_means @ matrix.T
    roots = jnp.einsum("ed,kdf->kef", matrix, gmm.held_scales)
    if noise_scale is not None:
        noise = jnp.broadcast_to(noise_scale, (gmm.components, *noise_scale.shape))
        roots = jnp.concatenate([roots, noise], axis=-1)
    return GMM(gmm.log_weights, means if shift is None else means + shift[None, :], lower_root(roots), gmm.name)


def condition_linear(
    gmm: GMM,
    matrix: Float[Array, "R D"],
    y: Float[Array, " R"],
    noise_scale: Float[Array, "R R"],
) -> tuple[GMM, Float[Array, ""]]:
    """The law of x given `y = matrix @ x + N(0, noise_scale noise_scale')`, and the log-density of y.

    Law: exact: m -> m * p(y | x), a mixture of as many components times the evidence.
    """
    rows = solve_triangular(noise_scale, matrix, lower=True)
    values = solve_triangular(noise_scale, y, lower=True)
    mixture, log_masses = condition_components(
        gmm, jnp.broadcast_to(rows, (gmm.components, *rows.shape)), jnp.broadcast_to(values, (gmm.components, y.size))
    )
    constant = 0.5 * y.size * jnp.log(2 * jnp.pi) + jnp.sum(jnp.log(jnp.diagonal(noise_scale)))
    return mixture, jax.nn.logsumexp(gmm.log_weights + log_masses) - constant


def condition_components(
    gmm: GMM, rows: Float[Array, "K R D"], values: Float[Array, "K R"]
) -> tuple[GMM, Float[Array, " K"]]:
    """Every component given rows of its own: component k sees `values[k] = rows[k] @ x + N(0, I)`.

    Law: component k becomes its exact posterior, and its weight is multiplied by its evidence, which is returned as
    a log without the constant `-R/2 log(2 pi)`. Rows of zeros with value zero say nothing.
    """
    means, scales, log_masses = jax.vmap(_condition)(gmm.held_means, gmm.held_scales, rows, values)
    log_weights = gmm.log_weights + log_masses
    return GMM(log_weights - jax.nn.logsumexp(log_weights), means, scales, gmm.name), log_masses


def lower_root(roots: Float[Array, "K E F"]) -> Float[Array, "K E E"]:
    """The Cholesky factors of `roots roots'`, found without squaring."""
    upper = jnp.linalg.qr(jnp.swapaxes(roots, -1, -2), mode="r")
    lower = jnp.swapaxes(upper, -1, -2)
    return lower * jnp.where(jnp.diagonal(lower, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., None, :]


def _condition(
    mean: Float[Array, " D"], scale: Float[Array, "D D"], rows: Float[Array, "R D"], values: Float[Array, " R"]
) -> tuple[Array, Array, Array]:
    """One Gaussian in the frame in which it is standard: there the posterior precision is I + rows' rows."""
    seen = rows @ scale
    surprise = values - rows @ mean
    precision = jnp.eye(mean.size, dtype=mean.dtype) + seen.T @ seen
    # Turned around, so that precision = upper upper' and the posterior's factor stays lower triangular.
    upper = jnp.linalg.cholesky(precision[::-1, ::-1])[::-1, ::-1]
    half = solve_triangular(upper, seen.T @ surprise, lower=False)
    inverse = solve_triangular(upper, jnp.eye(mean.size, dtype=mean.dtype), lower=False)
    log_mass = -0.5 * (surprise @ surprise - half @ half) - jnp.sum(jnp.log(jnp.diagonal(upper)))
    return mean + scale @ (inverse.T @ half), scale @ inverse.T, log_mass
