"""A frozen lake in which one cell may give way: those who showed the way knew which, and a learner seldom does.

Five rows and columns; from (2, 0) to (2, 4), and between them a lake of 3 x 3 cells. With probability one half one of
them is a hazard, each as likely. With probability .6 the context says which, or that there is none; else it says
nothing. `reset` and `step` are those of Gymnasium, as pure functions.

Source: arXiv 2402.08733, section 6 (navigation with a variable that only the expert observes). The sizes of rewards are
those of a public environment that follows it; the paper's own could not be had.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

SIZE = 5
START, GOAL = (2, 0), (2, 4)
LAKE = tuple((row, column) for row in (1, 2, 3) for column in (1, 2, 3))
CENTER = (2, 2)
# A hazard is the number of its cell, or this; a context is 0 where nothing is said, else one more than the hazard.
NO_HAZARD = len(LAKE)
HIDDEN = 0
CONTEXTS = 1 + NO_HAZARD + 1
# The moves, numbered as in Gymnasium's lake.
LEFT, DOWN, RIGHT, UP = range(4)
PATHS = SIZE ** (SIZE - 1)
_TOLD = 0.6
_TEMPERATURE = 3.0
# From one border to the other in each column but the last, and a step right.
_LONGEST = SIZE * SIZE


class State(NamedTuple):
    """Where the walker is, where the hazard is, and whether the walk is over."""

    row: Int[Array, ""]
    column: Int[Array, ""]
    hazard: Int[Array, ""]
    done: Bool[Array, ""]


def reset(key: PRNGKeyArray) -> tuple[State, Int[Array, ""]]:
    """A walker at the start of a new lake, and the context: all that a learner sees."""
    there_key, cell_key, told_key = jax.random.split(key, 3)
    cell = jax.random.randint(cell_key, (), 0, len(LAKE))
    hazard = jnp.where(jax.random.bernoulli(there_key), cell, NO_HAZARD)
    return start(hazard), jnp.where(jax.random.bernoulli(told_key, _TOLD), hazard + 1, HIDDEN)


def start(hazard: Int[Array, ""]) -> State:
    """A walker at the start of a lake with this hazard."""
    return State(jnp.asarray(START[0]), jnp.asarray(START[1]), hazard, jnp.asarray(False))


def step(state: State, move: Int[Array, ""]) -> tuple[State, Float[Array, ""], Bool[Array, ""]]:
    """The state after a move, its reward, and whether the walk is over; a move off the board stays.

    Rewards: 40 at the goal and -100 on the hazard, which both end the walk; else -10 in the center of the lake, -5 on
    the rest of it, -3 on land, and 0 once it is over.
    """
    down = jnp.asarray([0, 1, 0, -1])[move]
    right = jnp.asarray([-1, 0, 1, 0])[move]
    row = jnp.where(state.done, state.row, jnp.clip(state.row + down, 0, SIZE - 1))
    column = jnp.where(state.done, state.column, jnp.clip(state.column + right, 0, SIZE - 1))
    at = lambda cell: (row == cell[0]) & (column == cell[1])  # noqa: E731
    # One cell off the board, so that no hazard is nowhere.
    cells = jnp.asarray([*LAKE, (-1, -1)])[state.hazard]
    fell, arrived = at(cells), at(GOAL)
    on_lake = (row >= 1) & (row <= SIZE - 2) & (column >= 1) & (column <= SIZE - 2)
    cost = jnp.where(at(CENTER), -10.0, jnp.where(on_lake, -5.0, -3.0))
    reward = jnp.where(fell, -100.0, jnp.where(arrived, 40.0, cost))
    done = state.done | fell | arrived
    return State(row, column, state.hazard, done), jnp.where(state.done, 0.0, reward), done


def rows_of(path: int) -> tuple[int, ...]:
    """The row in which a path leaves each column but the last; paths are numbered by these, in base five."""
    return tuple(int(digit) for digit in np.base_repr(path, SIZE).zfill(SIZE - 1))


def path_through(*rows: int) -> int:
    """The number of a path by the rows in which it leaves each column."""
    return int("".join(map(str, rows)), SIZE)


def moves_of(path: int) -> list[int]:
    """The moves of a path that never goes back: along each column to its row, a step right, and last to the goal."""
    moves, at = [], START[0]
    for row in rows_of(path):
        moves += [DOWN if row > at else UP] * abs(row - at) + [RIGHT]
        at = row
    return moves + [DOWN if GOAL[0] > at else UP] * abs(GOAL[0] - at)


class Walks(NamedTuple):
    """Every path on every lake: its return, and whether it meets the hazard."""

    returns: Float[np.ndarray, "H P"]
    falls: Bool[np.ndarray, "H P"]


@functools.cache
def walks() -> Walks:
    """All of them, walked step by step."""
    # A walk is over by the time that the padding begins.
    padded = [moves + [LEFT] * (_LONGEST - len(moves)) for moves in map(moves_of, range(PATHS))]

    def walk(hazard: Array, moves: Array) -> tuple[Array, Array]:
        def one(state: State, move: Array) -> tuple[State, tuple[Array, Array]]:
            state, reward, _ = step(state, move)
            return state, (reward, state.done)

        final, (rewards, done) = jax.lax.scan(one, start(hazard), moves)
        return jnp.sum(rewards), (final.column < GOAL[1]) & done[-1]

    every = jax.jit(jax.vmap(jax.vmap(walk, (None, 0)), (0, None)))
    with jax.ensure_compile_time_eval():
        returns, falls = every(jnp.arange(NO_HAZARD + 1), jnp.asarray(padded))
    return Walks(np.asarray(returns, float), np.asarray(falls))


@functools.cache
def truth() -> Float[np.ndarray, "H P"]:
    """The expert's probability of each path: by exp(return / 3) among those that do not meet the hazard."""
    returns, falls = walks()
    weight = np.where(falls, 0.0, np.exp(returns / _TEMPERATURE))
    return weight / weight.sum(axis=1, keepdims=True)


@functools.cache
def inputs() -> Int[np.ndarray, "90 2"]:
    """Contexts and hazards, each pair as often as it occurs: in 90 lakes 45 have no hazard, and 54 are told of."""
    told = [(hazard + 1, hazard) for hazard in range(NO_HAZARD) for _ in range(3)] + [(NO_HAZARD + 1, NO_HAZARD)] * 27
    hidden = [(HIDDEN, hazard) for hazard in range(NO_HAZARD) for _ in range(2)] + [(HIDDEN, NO_HAZARD)] * 18
    return np.array(told + hidden)


def seen(context: Int[Array, ""]) -> Float[Array, " 11"]:
    """What a network sees of a context."""
    return jax.nn.one_hot(context, CONTEXTS)


def draw(key: PRNGKeyArray, responses: int) -> tuple[Float[Array, " 11"], Int[Array, " k"]]:
    """A context, as a network sees it, and independent paths of experts who know the hazard."""
    lake_key, path_key = jax.random.split(key)
    state, context = reset(lake_key)
    # Divided by its last entry, so that every draw of [0, 1) lies below it, and no path of probability zero is met.
    cumulative = np.cumsum(truth(), axis=1)
    ends = jnp.asarray(cumulative / cumulative[:, -1:], jnp.float32)[state.hazard]
    return seen(context), jnp.searchsorted(ends, jax.random.uniform(path_key, (responses,)), side="right")
