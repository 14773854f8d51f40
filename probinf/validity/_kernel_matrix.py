"""Markov kernels on a finite list of states as exact matrices, and what an invariant law demands of them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from probinf._choice import choice
from probinf.validity._law import as_rows, enumerate_law


def kernel_matrix(
    kernel: Callable[[PRNGKeyArray, PyTree], PyTree],
    states: PyTree,
    *,
    limit: int = 2_000_000,
    grid: int = 0,
) -> Float[np.ndarray, "states states"]:
    """Exact transition matrix of `kernel(key, state) -> state` on listed states (leading axis of every leaf).

    Law: `matrix[i, j] = P(kernel(key, state i) = state j)`; every row sums to one. The starting state is one
    more draw, so all rows come from one compiled call; `limit` bounds the states times the scripts.
    `grid` reads kernels of other libraries, as in `enumerate_law`.

    Raises: ValueError where the kernel leaves the list of states or a state occurs twice; otherwise as
    `enumerate_law` does.
    """
    states = jax.tree.map(np.asarray, states)
    names = _names(states)
    index = {name: i for i, name in enumerate(names)}
    if len(index) < len(names):
        raise ValueError("kernel_matrix needs distinct states: remove the repeated ones")

    def start_and_move(key: PRNGKeyArray, states: PyTree) -> tuple[Array, PyTree]:
        start_key, move_key = jax.random.split(key)
        start = choice(start_key, jnp.zeros(len(names)))
        return start, kernel(move_key, jax.tree.map(lambda x: x[start], states))

    law = enumerate_law(start_and_move, jax.random.key(0), states, limit=limit, grid=grid)
    start, reached = law.outputs
    ends = _names(reached)
    if stray := set(ends) - set(index):
        raise ValueError(f"the kernel reaches {len(stray)} states that are not listed: list every reachable state")
    matrix = np.zeros((len(names), len(names)))
    np.add.at(matrix, (start, [index[name] for name in ends]), np.exp(law.log_prob + np.log(len(names))))
    return matrix


def invariance_error(matrix: Float[np.ndarray, "states states"], log_pi: Float[Array | np.ndarray, " states"]) -> float:
    """Largest entry of `|pi K - pi|`, `pi` proportional to `exp(log_pi)`; zero means that K keeps `pi`."""
    pi = _normalized(log_pi)
    return float(np.max(np.abs(pi @ matrix - pi)))


def detailed_balance_error(
    matrix: Float[np.ndarray, "states states"], log_pi: Float[Array | np.ndarray, " states"]
) -> float:
    """Largest entry of `|pi_i K_ij - pi_j K_ji|`; zero means that K is reversible for `exp(log_pi)`."""
    flow = _normalized(log_pi)[:, None] * matrix
    return float(np.max(np.abs(flow - flow.T)))


def row_sum_error(matrix: Float[np.ndarray, "states states"]) -> float:
    """Largest distance of a row sum from one."""
    return float(np.max(np.abs(np.sum(matrix, axis=1) - 1.0)))


def _normalized(log_pi: Array | np.ndarray) -> np.ndarray:
    weights = np.exp(np.asarray(log_pi, dtype=np.float64) - np.max(np.asarray(log_pi)))
    return weights / np.sum(weights)


def _names(states: PyTree) -> list[bytes]:
    """One name for each state, equal for states that agree to nine decimals."""
    rows = np.concatenate([as_rows(x) for x in jax.tree.leaves(states)], axis=1)
    return [row.tobytes() for row in rows]
