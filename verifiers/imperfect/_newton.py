"""Minima of smooth functions of two or three numbers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def newton(loss: Any, start: Float[Array, " d"], steps: int = 60) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """A minimum of a smooth function of two or three numbers, and the Hessian there, by damped Newton steps."""

    def step(_: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        theta, damping = state
        value, gradient = jax.value_and_grad(loss)(theta)
        hessian = jax.hessian(loss)(theta)
        # Strong enough to be positive definite wherever the function is not convex.
        floor = damping * (1 + jnp.max(jnp.abs(hessian)))
        trial = theta - solve(hessian + floor * jnp.eye(theta.shape[0], dtype=theta.dtype), gradient)
        trial = theta + jnp.clip(trial - theta, -2.0, 2.0)
        better = loss(trial) <= value
        return jnp.where(better, trial, theta), jnp.where(better, damping / 8, jnp.minimum(damping * 8, 1e6))

    theta, _ = jax.lax.fori_loop(0, steps, step, (start, jnp.asarray(1e-3, start.dtype)))
    return theta, jax.hessian(loss)(theta)


def solve(matrix: Float[Array, "d d"], vector: Float[Array, " d"]) -> Float[Array, " d"]:
    """Gaussian elimination without pivots, written out: batched LAPACK calls wait for each other on few cores."""
    rows = [jnp.concatenate([row, v[None]]) for row, v in zip(matrix, vector, strict=True)]
    d = len(rows)
    for i in range(d):
        rows[i] = rows[i] / rows[i][i]
        rows = [row if j == i else row - row[i] * rows[i] for j, row in enumerate(rows)]
    return jnp.stack([row[d] for row in rows])
