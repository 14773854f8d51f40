"""Some coordinates of a mixture of Gaussians: their law, and the law of the others given their values."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf.distributions._gmm import GMM
from probinf.distributions._gmm_linear import lower_root
from probinf.distributions._small_matrices import solve_lower


def marginal(gmm: GMM, indices: tuple[int, ...]) -> GMM:
    """The law of some coordinates, in the order in which they are named.

    Law: exact. Shapes: a mixture of as many components in `len(indices)` dimensions.

    Raises: ValueError for no index, an index outside `0 ... D - 1`, and one that occurs twice.
    """
    rows = _rows(gmm, indices)
    return GMM(gmm.log_weights, gmm.held_means[:, rows], lower_root(gmm.held_scales[:, rows, :]), gmm.name)


def condition_on_values(gmm: GMM, indices: tuple[int, ...], values: Float[Array, " E"]) -> tuple[GMM, Float[Array, ""]]:
    """The law of the other coordinates, in their old order, given the values of some; and the log-density of these.

    Law: exact: `p(x) = p(values) p(others | values)`. Shapes: `values` [len(indices)]; the mixture has as many
    components, in `D - len(indices)` dimensions.

    Raises: ValueError for indices that are no proper subset of the coordinates, values of another number, and values
    that are not finite (where this can be seen).
    """
    seen = _rows(gmm, indices)
    others = np.setdiff1d(np.arange(gmm.dimension), seen)
    if others.size == 0:
        raise ValueError("no coordinate is left: for the density of all of them use marginal(gmm, indices).log_density")
    if values.shape != seen.shape:
        raise ValueError(f"{seen.size} coordinates need as many values, got values of shape {values.shape}")
    if not isinstance(values, Tracer) and not np.isfinite(np.asarray(values)).all():
        raise ValueError("the values to condition on must be finite: leave out the indices of what is missing")
    # With what is seen in front, a triangular factor holds the marginal, the regression and the rest as its blocks.
    order, front = np.concatenate([seen, others]), seen.size
    means, scales = gmm.held_means[:, order], lower_root(gmm.held_scales[:, order, :])
    z = jax.vmap(solve_lower)(scales[:, :front, :front], values[None, :] - means[:, :front])
    log_det = jnp.sum(jnp.log(jnp.diagonal(scales[:, :front, :front], axis1=-2, axis2=-1)), axis=-1)
    log_weights = gmm.log_weights - 0.5 * jnp.sum(z**2, axis=-1) - log_det
    total = jax.nn.logsumexp(log_weights)
    shifted = means[:, front:] + jnp.einsum("kij,kj->ki", scales[:, front:, :front], z)
    rest = GMM(log_weights - total, shifted, scales[:, front:, front:], gmm.name)
    return rest, total - 0.5 * front * jnp.log(2 * jnp.pi)


def _rows(gmm: GMM, indices: tuple[int, ...]) -> np.ndarray:
    rows = np.array(indices, dtype=int)
    inside = all(0 <= i < gmm.dimension for i in indices)
    if rows.size == 0 or not inside or len(set(indices)) < rows.size:
        raise ValueError(
            f"indices must be different numbers from 0 to {gmm.dimension - 1}, at least one of them, got {indices}"
        )
    return rows
