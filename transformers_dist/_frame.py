"""Affine changes of variables, in which the prior of every problem looks the same."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.distributions import GMM
from probinf.distributions._small_matrices import cholesky, solve_lower


class Frame(eqx.Module):
    """The coordinates u in which x = shift + scale u; `scale` is lower triangular with a positive diagonal.

    Law: exact changes of variables; a mixture of Gaussians stays one, and lower Cholesky factors stay lower triangular.
    """

    shift: Float[Array, " D"]
    scale: Float[Array, "D D"]

    def inward(self, x: Float[Array, " D"]) -> Float[Array, " D"]:
        """A point in these coordinates."""
        return solve_lower(self.scale, x - self.shift)

    def outward(self, u: Float[Array, " D"]) -> Float[Array, " D"]:
        """The point that these coordinates name."""
        return self.shift + self.scale @ u

    def inward_mixture(self, gmm: GMM) -> GMM:
        """The law of u where x follows the mixture."""
        solve = jax.vmap(lambda b: solve_lower(self.scale, b))
        return GMM(gmm.log_weights, solve(gmm.held_means - self.shift[None, :]), solve(gmm.held_scales), gmm.name)

    def outward_mixture(self, gmm: GMM) -> GMM:
        """The law of x where u follows the mixture."""
        scales = jnp.einsum("ij,kjl->kil", self.scale, gmm.scales)
        return GMM(gmm.log_weights, self.shift[None, :] + gmm.means @ self.scale.T, scales, gmm.name)


def frame_of(gmm: GMM) -> Frame:
    """The frame in which the mixture has mean zero and covariance the identity."""
    return Frame(gmm.mean, cholesky(gmm.covariance))


def identity_frame(dimension: int) -> Frame:
    """The frame that changes nothing."""
    return Frame(jnp.zeros(dimension), jnp.eye(dimension))
