"""Nodes and weights for means under a Beta distribution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import eigh_tridiagonal
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._gamma import log_beta

# Tails below exp(-40) are cut: they are lost in float64 anyway.
_TAIL = 40.0


def double_exponential(
    alpha: Float[Array, ""], beta: Float[Array, ""], nodes: int
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Log-odds and weights of the trapezoid rule in s, where log(p / (1 - p)) = sinh(s) and p ~ Beta(alpha, beta).

    Law: errs by exp(-c nodes) for functions that are analytic about (0, 1), with whatever singularity at its ends;
    so powers (1 - q)^K of any K are no harder than small ones.

    Source: Takahasi and Mori, Publ. RIMS 9 (1974).
    """
    low, high = (jax.lax.stop_gradient(jnp.arcsinh(_TAIL / x)) for x in (alpha, beta))
    s = -low + (low + high) * jnp.arange(nodes, dtype=alpha.dtype) / (nodes - 1)
    log_odds = jnp.sinh(s)
    log_density = alpha * jax.nn.log_sigmoid(log_odds) + beta * jax.nn.log_sigmoid(-log_odds) - log_beta(alpha, beta)
    return log_odds, jnp.exp(log_density) * jnp.cosh(s) * (low + high) / (nodes - 1)


def gauss_jacobi(
    alpha: Float[Array, ""], beta: Float[Array, ""], nodes: int
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Nodes in (0, 1) and weights that give the mean under Beta(alpha, beta) of each polynomial up to degree 2 n - 1.

    Law: exact up to rounding; differentiable in alpha and beta.

    Source: Golub and Welsch, Math. Comp. 23 (1969).
    """
    a, b = beta - 1, alpha - 1
    k = jnp.asarray(np.arange(1, nodes + 1), alpha.dtype)
    total = 2 * k + a + b
    center = jnp.concatenate([jnp.atleast_1d((b - a) / (a + b + 2)), (b**2 - a**2) / (total * (total + 2))])[:nodes]
    # At k = 1 a factor cancels that is zero for alpha + beta = 1.
    tail = 4 * k * (k + a) * (k + b) * (k + a + b) / jnp.where(k > 1, total**2 * (total**2 - 1), 1.0)
    spread = jnp.sqrt(jnp.where(k > 1, tail, 4 * (1 + a) * (1 + b) / ((2 + a + b) ** 2 * (3 + a + b))))
    start = eigh_tridiagonal(jax.lax.stop_gradient(center), jax.lax.stop_gradient(spread[:-1]), eigvals_only=True)

    def orthonormal(x: Array) -> tuple[Array, Array]:
        """The polynomial whose zeros are the nodes, and the sum of squares of those before it."""

        def climb(state: tuple[Array, Array, Array], row: tuple[Array, Array, Array]) -> tuple[tuple, None]:
            before, now, squares = state
            middle, below, above = row
            return (now, ((x - middle) * now - below * before) / above, squares + now**2), None

        rows = (center, jnp.concatenate([jnp.zeros(1, spread.dtype), spread[:-1]]), spread)
        zero = jnp.zeros_like(x)
        (_, last, squares), _ = jax.lax.scan(climb, (zero, jnp.ones_like(x), zero), rows)
        return last, squares

    # Newton from the eigenvalues: for the last digits, and the last step for the derivative by alpha and beta.
    x = start
    for _ in range(2):
        x = jax.lax.stop_gradient(x)
        slope = jax.vmap(jax.grad(lambda y: orthonormal(y)[0]))(x)
        x = x - jax.vmap(lambda y: orthonormal(y)[0])(x) / jax.lax.stop_gradient(slope)
    weights = 1 / jax.vmap(lambda y: orthonormal(y)[1])(x)
    return (1 + x) / 2, weights
