"""Four procedures on short rows of symbols, carried out one operation at a time.

Source: the kinds of task of ProcBench, arXiv 2410.03117; the instances are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from probinf._arguments import is_count, whole

Apply = Callable[[Int[Array, " width"], Int[Array, ""], int | Int[Array, ""]], Int[Array, " width"]]


class Procedure(NamedTuple):
    """What one operation does to a state, a row of symbols from 1 on with 0 in empty places.

    `apply(state, operation, symbols)`; operations are numbers in [0, `operations(width, symbols)`).
    """

    apply: Apply
    operations: Callable[[int, int], int]


class Instance(NamedTuple):
    """A start, the operations to carry out, and how many symbols there are."""

    start: Int[Array, " width"]
    operations: Int[Array, " steps"]
    symbols: int | Int[Array, ""]


def _rotate(state: Array, operation: Array, symbols: int | Array) -> Array:
    """Moves the first 1 + operation symbols to the end."""
    del symbols
    return jnp.roll(state, -(1 + operation))


def _delete(state: Array, operation: Array, symbols: int | Array) -> Array:
    """Deletes the first symbol 1 + operation, if there is one; later symbols move up."""
    del symbols
    hit = state == 1 + operation
    place = jnp.where(jnp.any(hit), jnp.argmax(hit), state.shape[0])
    moved = jnp.append(state[1:], 0)
    return jnp.where(jnp.arange(state.shape[0]) >= place, moved, state)


def _push_pop(state: Array, operation: Array, symbols: int | Array) -> Array:
    """Operation 0 takes the last symbol away, operation k puts symbol k behind it; a full row or none stays."""
    del symbols
    count, each = jnp.sum(state > 0), jnp.arange(state.shape[0])
    popped = jnp.where(each == count - 1, 0, state)
    return jnp.where(operation == 0, popped, jnp.where(each == count, operation, state))


def _count(state: Array, operation: Array, symbols: int | Array) -> Array:
    """Raises the counter at place `operation` by one, from the highest symbol back to 1."""
    raised = 1 + state % symbols
    return jnp.where(jnp.arange(state.shape[0]) == operation, raised, state)


PROCEDURES = {
    "rotate": Procedure(_rotate, lambda width, symbols: width - 1),
    "delete": Procedure(_delete, lambda width, symbols: symbols),
    "push and pop": Procedure(_push_pop, lambda width, symbols: symbols + 1),
    "count": Procedure(_count, lambda width, symbols: width),
}


def procedure_instance(key: PRNGKeyArray, name: str, *, steps: int, width: int = 4, symbols: int = 4) -> Instance:
    """A random full start and random operations.

    Raises: ValueError for an unknown procedure, no step, fewer than two places, or no symbol.
    """
    procedure = _named(name)
    if not is_count(steps) or not is_count(width, 2) or not is_count(symbols):
        raise ValueError(f"an instance has a step, two places and a symbol or more, got {steps}, {width}, {symbols}")
    start_key, operation_key = jax.random.split(key)
    start = jax.random.randint(start_key, (width,), 1, symbols + 1)
    count = procedure.operations(width, symbols)
    return Instance(start, jax.random.randint(operation_key, (steps,), 0, count), symbols)


def states_of(name: str, instance: Instance) -> Int[Array, "steps width"]:
    """The state after each operation; the last is the answer.

    Raises: ValueError for an unknown procedure.
    """
    procedure = _named(name)

    def step(state: Array, operation: Array) -> tuple[Array, Array]:
        state = procedure.apply(state, operation, instance.symbols).astype(instance.start.dtype)
        return state, state

    return jax.lax.scan(step, instance.start, instance.operations)[1]


def _named(name: str) -> Procedure:
    if name not in PROCEDURES:
        raise ValueError(f"there is no procedure {name!r}: choose one of {', '.join(PROCEDURES)}")
    return PROCEDURES[name]


class PrefixMatch(NamedTuple):
    """`length`: states right from the first on; `accuracy`: that over the longer of both sequences; `all`: every one;
    `final`: the last state is right, whatever stands before it."""

    length: Int[Array, ""]
    accuracy: Array
    all: Bool[Array, ""]
    final: Bool[Array, ""]


def prefix_match(
    told: Int[Array, "told width"], count: int | Int[Array, ""], truth: Int[Array, "steps width"]
) -> PrefixMatch:
    """Compares the first `count` states of `told` with all true ones.

    Law: prefix match length, prefix accuracy, sequential and final match of ProcBench.

    Raises: TypeError or ValueError for what are no two tables of states of one width, with at least one state each.
    """
    told, truth = whole("told", told, "states width"), whole("truth", truth, "steps width")
    count = whole("count", count, "", low=0)
    if told.shape[1] != truth.shape[1] or not len(told) or not len(truth):
        raise ValueError(f"told and truth must hold states of one width, got shapes {told.shape} and {truth.shape}")
    steps = truth.shape[0]
    rows = max(steps, told.shape[0])
    padded = [jnp.pad(x, ((0, rows - x.shape[0]), (0, 0)), constant_values=-1) for x in (told, truth)]
    each = jnp.arange(rows)
    right = jnp.all(padded[0] == padded[1], axis=1) & (each < count) & (each < steps)
    length = jnp.sum(jnp.cumprod(right.astype(jnp.int32)))
    accuracy = length / jnp.maximum(count, steps)
    last = told[jnp.clip(count - 1, 0, told.shape[0] - 1)]
    return PrefixMatch(length, accuracy, (length == steps) & (count == steps), jnp.all(last == truth[-1]) & (count > 0))
