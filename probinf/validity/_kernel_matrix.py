"""Markov kernels on a finite list of states as exact matrices, and what an invariant law demands of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from probinf._choice import choice
from probinf._maps import release_programs
from probinf.validity._atoms import atom_codes, undefined_rows
from probinf.validity._law import read_law
from probinf.validity._program import Program

# Seeds of the roundings of float32 tables that are tried.
ROUNDINGS = range(4)
# Probabilities below this are rounding, not a way from one state to another.
_NO_WAY = 1e-12
# What float32 leaves of a probability of one.
_ROUNDING = 1e-4


class LeavesStates(ValueError):
    """A kernel reaches what is not on its list of states."""


def kernel_matrix(
    kernel: Callable[[PRNGKeyArray, PyTree], PyTree],
    states: PyTree,
    *,
    limit: int = 2_000_000,
    grid: int = 0,
    double: bool = True,
) -> Float[np.ndarray, "states states"]:
    """Exact transition matrix of `kernel(key, state) -> state` on listed states (leading axis of every leaf).

    Law: `matrix[i, j] = P(kernel(key, state i) = state j)`; every row sums to one. The starting state is one
    more draw, so all rows come from one compiled call; `limit` bounds the states times the scripts.
    `grid` reads kernels of other libraries, as in `enumerate_law`. With `double=False` the kernel is read in the
    precision of production instead of float64; call it where float64 is not enabled.

    Raises: ValueError where the kernel leaves the list of states or a state occurs twice; otherwise as
    `enumerate_law` does.
    """
    states = jax.tree.map(np.asarray, states)
    release_programs()
    with jax.enable_x64(double):
        return _matrix(_program(kernel, states, limit, grid, double=double), states, audit=double)


def rounding_of_invariance(
    kernel: Callable[[PRNGKeyArray, PyTree], PyTree], states: PyTree, log_pi: np.ndarray, *, grid: int = 0
) -> float:
    """How far the rounding of float32 tables may move `invariance_error`; zero where a kernel reads none."""
    states = jax.tree.map(np.asarray, states)
    with jax.enable_x64(True):
        program = _program(kernel, states, 2_000_000, grid, double=True)
        if not program.holds_single:
            return 0.0
        moved = [_matrix(program, states, rounding=seed, audit=False) for seed in ROUNDINGS]
        still = _matrix(program, states, audit=False)
    _, pi = _matrix_and_law(still, log_pi)
    return max(float(np.max(np.abs(pi @ (other - still)))) for other in moved)


def _program(kernel: Callable, states: PyTree, limit: int, grid: int, *, double: bool) -> Program:
    count = len(jax.tree.leaves(states)[0])
    if len(np.unique(atom_codes(states)[0])) < count:
        raise ValueError("kernel_matrix needs distinct states: remove the repeated ones")
    return Program.of(_start_and_move, jax.random.key(0), (kernel, states), limit, grid, double=double)


def _matrix(program: Program, states: PyTree, *, rounding: int | None = None, audit: bool) -> np.ndarray:
    count = len(jax.tree.leaves(states)[0])
    law = read_law(program, rounding=rounding, audit=audit)
    start, reached = law.outputs
    if np.any(undefined_rows(reached, len(start)) & ~undefined_rows(states, count)[start]):
        raise LeavesStates("the kernel returns NaN from a listed state: keep NaN out of what it proposes and accepts")
    known, ends = atom_codes(states, reached)
    index = np.full(int(max(known.max(), ends.max())) + 1, -1)
    index[known] = np.arange(count)
    if np.any(index[ends] < 0):
        strays = len(np.unique(ends[index[ends] < 0]))
        raise LeavesStates(f"the kernel reaches {strays} states that are not listed: list every reachable state")
    matrix = np.zeros((count, count))
    np.add.at(matrix, (start, index[ends]), np.exp(law.log_prob + np.log(count)))
    return matrix


def _start_and_move(key: PRNGKeyArray, kernel: Callable, states: PyTree) -> tuple[Array, PyTree]:
    start_key, move_key = jax.random.split(key)
    start = choice(start_key, jnp.zeros(len(jax.tree.leaves(states)[0])))
    return start, kernel(move_key, jax.tree.map(lambda x: x[start], states))


def invariance_error(matrix: Float[np.ndarray, "states states"], log_pi: Float[Array | np.ndarray, " states"]) -> float:
    """Largest entry of `|pi K - pi|`, `pi` proportional to `exp(log_pi)`; zero means that K keeps `pi`.

    Raises: TypeError and ValueError for what is no square matrix or no law of its states, NaN too.
    """
    matrix, pi = _matrix_and_law(matrix, log_pi)
    return float(np.max(np.abs(pi @ matrix - pi)))


def detailed_balance_error(
    matrix: Float[np.ndarray, "states states"], log_pi: Float[Array | np.ndarray, " states"]
) -> float:
    """Largest entry of `|pi_i K_ij - pi_j K_ji|`; zero means that K is reversible for `exp(log_pi)`.

    Raises: as `invariance_error`.
    """
    matrix, pi = _matrix_and_law(matrix, log_pi)
    flow = pi[:, None] * matrix
    return float(np.max(np.abs(flow - flow.T)))


def row_sum_error(matrix: Float[np.ndarray, "states states"]) -> float:
    """Largest distance of a row sum from one.

    Raises: TypeError and ValueError for what is no square matrix of numbers, NaN too.
    """
    return float(np.max(np.abs(np.sum(_square(matrix), axis=1) - 1.0)))


def ergodicity_failure(
    matrix: Float[np.ndarray, "states states"], log_pi: Float[Array | np.ndarray, " states"]
) -> str | None:
    """Say why many steps of a kernel would not lead to `pi` from every listed state; None where they do.

    Law checked: on the states of positive density the kernel is irreducible and aperiodic, and from those of zero
    density it reaches them: then powers of the matrix converge to `pi`.

    Raises: as `invariance_error`.

    Source: Levin and Peres, "Markov Chains and Mixing Times", 2nd edition (2017), chapter 4.
    """
    matrix, pi = _matrix_and_law(matrix, log_pi)
    ways, support = matrix > _NO_WAY, pi > 0.0
    reach = _reachable(ways)
    inner = reach[np.ix_(support, support)]
    if not np.all(inner):
        start, end = (int(np.flatnonzero(support)[i]) for i in np.argwhere(~inner)[0])
        return f"from state {start} it never reaches state {end}, which has positive density"
    lost = np.flatnonzero(~support & ~reach[:, support].any(axis=1))
    if len(lost):
        return f"it never leaves state {int(lost[0])} and others of zero density"
    period = _period(ways[np.ix_(support, support)])
    return None if period == 1 else f"it is periodic, with period {period}"


def _reachable(ways: np.ndarray) -> np.ndarray:
    """Which states can be reached from which, in no step or more."""
    reach = ways | np.eye(len(ways), dtype=bool)
    for _ in range(max(1, int(np.ceil(np.log2(len(ways) + 1))))):
        reach = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
    return reach


def _period(ways: np.ndarray) -> int:
    """The greatest common divisor of the lengths of all cycles of an irreducible chain."""
    level = np.full(len(ways), -1)
    level[0], queue, period = 0, [0], 0
    while queue:
        i = queue.pop()
        for j in np.flatnonzero(ways[i]):
            if level[j] < 0:
                level[j] = level[i] + 1
                queue.append(int(j))
            else:
                period = int(np.gcd(period, level[i] + 1 - level[j]))
    return period


def _matrix_and_law(matrix: Any, log_pi: Any) -> tuple[np.ndarray, np.ndarray]:
    matrix = _square(matrix)
    log_pi = _numbers("log_pi", log_pi)
    if log_pi.shape != (len(matrix),):
        raise ValueError(f"log_pi must have one entry for each of {len(matrix)} states, got shape {log_pi.shape}")
    if not np.isfinite(np.max(log_pi)):
        raise ValueError("log_pi must be finite in at least one state, and never +inf: give log-densities")
    weights = np.exp(log_pi - np.max(log_pi))
    return matrix, weights / np.sum(weights)


def _square(matrix: Any) -> np.ndarray:
    found = _numbers("matrix", matrix)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not len(found):
        raise ValueError(f"matrix must be square with one row a state, got shape {found.shape}")
    if np.any(found < -_NO_WAY) or np.any(found > 1.0 + _ROUNDING):
        raise ValueError("matrix must hold probabilities: a kernel's entries lie between 0 and 1")
    return found


def _numbers(name: str, x: Any) -> np.ndarray:
    """In float64, whatever the precision of JAX is."""
    found = np.asarray(x)
    if found.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got {found.dtype}: take the part that is meant")
    if np.any(np.isnan(found)):
        raise ValueError(f"{name} must be real numbers, got NaN: keep NaN out of what it is made from")
    return found.astype(np.float64)
