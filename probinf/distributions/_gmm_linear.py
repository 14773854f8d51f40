"""What is exact and linear about mixtures of Gaussians: push-forward and conditioning."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf._arguments import floating
from probinf.distributions._gmm import GMM
from probinf.distributions._small_matrices import (
    is_cholesky_factor,
    lower_root,
    orthogonalized,
    solve_lower,
    solve_upper,
)


def push_affine(
    gmm: GMM,
    matrix: Float[Array, "E D"],
    shift: Float[Array, " E"] | None = None,
    noise_scale: Float[Array, "E E"] | None = None,
) -> GMM:
    """The law of `matrix @ x + shift + N(0, noise_scale noise_scale')` where x follows the mixture.

    Law: exact. Shapes: `matrix` [E, D] of full row rank unless there is noise; `noise_scale` any square root.

    Raises: ValueError for more rows than there are dimensions and no noise: such a law has no density.
    """
    if noise_scale is None and matrix.shape[0] > gmm.dimension:
        raise ValueError(
            f"{matrix.shape[0]} linear functions of {gmm.dimension} coordinates have no joint density: keep at most "
            f"{gmm.dimension} rows, or give noise_scale"
        )
    if shift is not None:
        shift = floating("shift", shift, "rows")
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

    Law: exact: m -> m * p(y | x), a mixture of as many components times the evidence. Shapes: `noise_scale` is lower
    triangular with a positive diagonal.

    Raises: ValueError for another noise scale and for numbers that are not finite, where these can be seen.
    """
    matrix, y = floating("matrix", matrix, "rows coordinates"), floating("y", y, "rows")
    noise_scale = floating("noise_scale", noise_scale, "rows rows")
    if matrix.shape != (y.size, gmm.dimension) or noise_scale.shape != (y.size, y.size):
        raise ValueError(
            f"{y.size} rows about {gmm.dimension} coordinates need a matrix {(y.size, gmm.dimension)} and a noise "
            f"scale {(y.size, y.size)}, got {matrix.shape} and {noise_scale.shape}"
        )
    _check_observation(matrix, y, noise_scale)
    rows = solve_lower(noise_scale, matrix)
    values = solve_lower(noise_scale, y)
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
    means, scales, log_masses = jax.vmap(condition_gaussian)(gmm.held_means, gmm.held_scales, rows, values)
    log_weights = gmm.log_weights + log_masses
    return GMM(log_weights - jax.nn.logsumexp(log_weights), means, scales, gmm.name), log_masses


def condition_gaussian(
    mean: Float[Array, " D"], scale: Float[Array, "D D"], rows: Float[Array, "R D"], values: Float[Array, " R"]
) -> tuple[Float[Array, " D"], Float[Array, "D D"], Float[Array, ""]]:
    """One Gaussian given `values = rows @ x + N(0, I)`: its mean, Cholesky factor, and log-evidence without constant.

    Law: exact, found in the frame in which the Gaussian is standard: there the posterior precision is I + rows' rows.
    """
    d, seen = mean.size, rows @ scale
    surprise = values - rows @ mean
    eye = jnp.eye(d, dtype=mean.dtype)
    # Least squares for [I; seen] z = [0; surprise] without squaring, which would lose what precise rows leave open.
    # Turned around, so that precision = upper upper' and the posterior's factor stays lower triangular.
    lower, directions = orthogonalized(jnp.concatenate([eye, seen.T], axis=1)[::-1])
    upper = lower[::-1, ::-1]
    inverse = solve_upper(upper, eye)
    z = inverse.T @ (directions[:, d:] @ surprise)[::-1]
    # A sum of squares, least at z, where the difference of squares would cancel.
    misfit = surprise - seen @ z
    log_mass = -0.5 * (misfit @ misfit + z @ z) - jnp.sum(jnp.log(jnp.diagonal(upper)))
    return mean + scale @ z, scale @ inverse.T, log_mass


def _check_observation(matrix: Array, y: Array, noise_scale: Array) -> None:
    if any(isinstance(x, Tracer) for x in (matrix, y, noise_scale)):
        return
    if not all(np.isfinite(np.asarray(x)).all() for x in (matrix, y, noise_scale)):
        raise ValueError("matrix, y and noise_scale must be finite: leave out the rows of what is missing")
    if not is_cholesky_factor(np.asarray(noise_scale)):
        raise ValueError(
            "noise_scale must be lower triangular with a positive diagonal: take the Cholesky factor of the noise's "
            "covariance"
        )
