"""Nodes and weights for means under a Beta distribution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import eigh_tridiagonal
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._beta_shape import log_drop, reach

# Tails below exp(-40) of the peak are cut: they are lost in float64 anyway.
_TAIL = 40.0
# Newton's steps from eigenvalues, which are right to a rounding of the largest.
_STEPS = 4


def double_exponential(
    alpha: Float[Array, ""], beta: Float[Array, ""], nodes: int
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Log-odds and weights, with sum one, of the trapezoid rule in s for p ~ Beta(alpha, beta).

    The log-odds are w sinh(s) from their peak on, with w the width of the peak where that is below one.

    Law: errs by exp(-c nodes) for functions that are analytic about (0, 1), with whatever singularity at its ends;
    so powers (1 - q)^K of any K are no harder than small ones.

    Source: Takahasi and Mori, Publ. RIMS 9 (1974).
    """
    fixed = jax.lax.stop_gradient(alpha), jax.lax.stop_gradient(beta)
    width = 1 / jnp.sqrt(1 + 1 / (1 / fixed[0] + 1 / fixed[1]))
    low, high = (jnp.arcsinh(end / width) for end in reach(*fixed, _TAIL))
    s = -low + (low + high) * jnp.arange(nodes, dtype=alpha.dtype) / (nodes - 1)
    delta, peak = width * jnp.sinh(s), jnp.log(alpha) - jnp.log(beta)
    # The nodes stand still while alpha and beta are varied, so the way from the peak to them does not.
    way = delta + jax.lax.stop_gradient(peak) - peak
    ones = jnp.ones_like(way)
    weights = jnp.exp(-log_drop(alpha * ones, beta * ones, way)) * jnp.cosh(s)
    return jax.lax.stop_gradient(peak) + delta, weights / jnp.sum(weights)


def gauss_jacobi(
    alpha: Float[Array, ""], beta: Float[Array, ""], nodes: int
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Nodes in [0, 1] and weights that give the mean under Beta(alpha, beta) of each polynomial up to degree 2 n - 1.

    Law: exact up to rounding; differentiable in alpha and beta.

    Source: Golub and Welsch, Math. Comp. 23 (1969); canonical moments as in Dette and Studden (1997), section 1.5.
    """
    # Seen from the end where most of the mass is, the nodes keep their digits.
    near, far = jnp.minimum(alpha, beta), jnp.maximum(alpha, beta)
    k = jnp.asarray(np.arange(1, nodes + 1), alpha.dtype)
    total = near + far
    # Canonical moments of odd and even order, and one less each: sums and quotients of what is positive.
    odd, odd_rest = near + k - 1, far + k - 1
    even, even_rest = k, total + k - 1
    odd, odd_rest = odd / (total + 2 * k - 2), odd_rest / (total + 2 * k - 2)
    even, even_rest = even / (total + 2 * k - 1), even_rest / (total + 2 * k - 1)
    one, none = jnp.ones(1, alpha.dtype), jnp.zeros(1, alpha.dtype)
    first = jnp.concatenate([one, even_rest[:-1]]) * odd
    second = odd_rest * even
    center = first + jnp.concatenate([none, second[:-1]])
    spread = jnp.sqrt(first * second)
    start = eigh_tridiagonal(jax.lax.stop_gradient(center), jax.lax.stop_gradient(spread[:-1]), eigvals_only=True)

    def orthonormal(x: Array) -> tuple[Array, Array]:
        """The polynomial whose zeros are the nodes, up to a factor, and the log of the sum of squares of those before.

        Far out they grow beyond any float, so what is large is divided out.
        """

        def climb(state: tuple[Array, ...], row: tuple[Array, Array, Array]) -> tuple[tuple[Array, ...], None]:
            before, now, squares, log_scale = state
            middle, below, above = row
            after = ((x - middle) * now - below * before) / above
            size = jax.lax.stop_gradient(jnp.maximum(jnp.abs(now), jnp.abs(after)))
            scale = jnp.where(size > 1e6, size, 1.0)
            return (now / scale, after / scale, (squares + now**2) / scale**2, log_scale + jnp.log(scale)), None

        rows = (center, jnp.concatenate([none, spread[:-1]]), spread)
        zero = jnp.zeros_like(x)
        (_, last, squares, log_scale), _ = jax.lax.scan(climb, (zero, jnp.ones_like(x), zero, zero), rows)
        return last, jnp.log(squares) + 2 * log_scale

    # Newton from the eigenvalues: for the last digits, and the last step for the derivative by alpha and beta.
    x = start
    for _ in range(_STEPS):
        x = jax.lax.stop_gradient(x)
        slope = jax.vmap(jax.grad(lambda y: orthonormal(y)[0]))(x)
        x = x - jax.vmap(lambda y: orthonormal(y)[0])(x) / jax.lax.stop_gradient(slope)
    weights = jax.nn.softmax(-jax.vmap(lambda y: orthonormal(y)[1])(x))
    return jnp.clip(jnp.where(alpha <= beta, x, 1 - x), 0.0, 1.0), weights
