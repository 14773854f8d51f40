"""Chained arithmetic modulo a prime: problems, the one right solution of each, and what is wrong with a wrong one.

Source: the design follows process-verified word problems (Lightman et al., arXiv:2305.20050) at a size that two cores
can train and sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from probinf._choice import choice
from probinf.arithmetic._vocabulary import (
    ANSWER,
    END,
    FEWEST,
    FIRST_OPERATION,
    MODULUS,
    MOST,
    OPERATIONS,
    QUESTION,
    SOLUTION_SLOTS,
    STEP_END,
    TOKENS_PER_STEP,
    VOCABULARY,
)

# Residues of a problem's fingerprint that belong to each split: first one, how many.
_RESIDUES: dict[str, tuple[int, int]] = {"evaluation": (0, 2), "reward": (2, 4), "language model": (6, MODULUS - 6)}
# How likely a problem uses one, two, ... different operations: this is what makes some problems easy. The language
# model sees more of the easy ones, as in a curriculum.
_EASY, _HARD = (0.24, 0.28, 0.22, 0.16, 0.10), (0.12, 0.24, 0.28, 0.22, 0.14)


class Problem(NamedTuple):
    """Start at `first`, then apply `count` operations from left to right; entries from `count` on are not read.

    Operations are numbered as in `OPERATIONS`, operands lie in [1, 18], everything is modulo 19.
    """

    first: Int[Array, "*problems"]
    operations: Int[Array, "*problems most"]
    operands: Int[Array, "*problems most"]
    count: Int[Array, "*problems"]


def apply(operation: Int[Array, "*s"], a: Int[Array, "*s"], b: Int[Array, "*s"]) -> Int[Array, "*s"]:
    """The result of one operation, in [0, 19)."""
    results = [a + b, a - b, a * b, b - a, 2 * a + b]
    return jnp.select([operation == i for i in range(len(results))], results) % MODULUS


def fingerprint(problem: Problem) -> Int[Array, ""]:
    """A hash of one problem in [0, 19), by which the splits are kept apart.

    Law: for every choice of operations and operands it is a bijection of the first number, so that each split contains
    the same share of every kind of problem.
    """
    used = jnp.arange(MOST) < problem.count
    words = jnp.where(used, 1 + problem.operations * MODULUS + problem.operands, 0).astype(jnp.uint32)
    mixed = jnp.uint32(2166136261)
    for t in range(MOST):
        mixed = (mixed ^ words[t]) * jnp.uint32(16777619)
        mixed = mixed ^ (mixed >> 15)
    return ((mixed % MODULUS).astype(jnp.int32) + problem.first) % MODULUS


def draw_problem(key: PRNGKeyArray, split: str) -> Problem:
    """Draw a problem of one split; problems of different splits are never equal.

    Law: four to eight operations, equally likely; they come from a random set of one to five different ones; the
    operands are uniform; the first number is uniform over those whose fingerprint lies in the split.

    Raises: ValueError for a split other than `language model`, `reward` and `evaluation`.
    """
    if split not in _RESIDUES:
        raise ValueError(f"there is no split {split!r}: choose one of {sorted(_RESIDUES)}")
    keys = jax.random.split(key, 5)
    sets = np.arange(1, 1 << len(OPERATIONS))
    sizes = np.array([int(s).bit_count() for s in sets])
    variety = _EASY if split == "language model" else _HARD
    weights = np.array([variety[size - 1] / np.sum(sizes == size) for size in sizes])
    chosen = 1 + choice(keys[0], jnp.log(jnp.array(weights.tolist())))
    allowed = (chosen >> jnp.arange(len(OPERATIONS))) & 1
    operations = choice(keys[1], jnp.where(allowed == 1, 0.0, -jnp.inf), draws=(MOST,))
    operands = 1 + choice(keys[2], jnp.zeros(MODULUS - 1), draws=(MOST,))
    count = FEWEST + choice(keys[3], jnp.zeros(MOST - FEWEST + 1))
    begin, size = _RESIDUES[split]
    residue = begin + choice(keys[4], jnp.zeros(size))
    rest = Problem(jnp.zeros((), jnp.int32), operations, operands, count)
    return rest._replace(first=(residue - fingerprint(rest)) % MODULUS)


@jax.jit
def running_values(problem: Problem) -> Int[Array, " most"]:
    """The right result after each operation; after the last one it stays."""

    def step(value: Array, row: tuple) -> tuple:
        t, operation, operand = row
        value = jnp.where(t < problem.count, apply(operation, value, operand), value)
        return value, value

    return jax.lax.scan(step, problem.first, (jnp.arange(MOST), problem.operations, problem.operands))[1]


def prompt_of(problem: Problem) -> tuple[Int[Array, " slots"], Int[Array, ""]]:
    """The question as tokens, zero from its length on, and its length: operations and operands, then the first number.

    The first number comes last, so that the value a step starts from always stands three tokens before the operand.
    """
    pairs = jnp.stack([FIRST_OPERATION + problem.operations, problem.operands], axis=-1).reshape(-1)
    ids = jnp.concatenate([jnp.array([QUESTION], jnp.int32), pairs, jnp.zeros(2, jnp.int32)])
    end = 1 + 2 * problem.count
    slot = jnp.arange(ids.shape[0])
    ids = jnp.select([slot < end, slot == end, slot == end + 1], [ids, problem.first, STEP_END], 0)
    return ids.astype(jnp.int32), end + 2


def write(problem: Problem, results: Int[Array, " most"]) -> tuple[Int[Array, " slots"], Int[Array, ""]]:
    """A solution as tokens whose steps give `results`, zero from its length on, and its length.

    Each step repeats the problem's operation and operand and gives a result; the answer repeats the last one.
    """
    return write_as(problem, problem.operations, results)


def write_as(
    problem: Problem, operations: Int[Array, " most"], results: Int[Array, " most"]
) -> tuple[Int[Array, " slots"], Int[Array, ""]]:
    """The same with the operations of somebody who may have misread those of the problem."""
    ends = jnp.full(MOST, STEP_END)
    steps = jnp.stack([FIRST_OPERATION + operations, problem.operands, results, ends], axis=-1).reshape(-1)
    steps = jnp.concatenate([steps, jnp.zeros(3, steps.dtype)])
    begin = TOKENS_PER_STEP * problem.count
    slot = jnp.arange(SOLUTION_SLOTS)
    last = [jnp.int32(ANSWER), results[problem.count - 1], jnp.int32(END)]
    tokens = jnp.select([slot < begin, *(slot == begin + i for i in range(3))], [steps, *last], 0)
    return tokens.astype(jnp.int32), begin + 3


def answer_of(tokens: Int[Array, "*texts slots"], length: Int[Array, "*texts"]) -> Int[Array, "*texts"]:
    """The number after the first answer mark, or -1 where there is none yet."""
    number = tokens[..., 1:]
    slot = jnp.broadcast_to(jnp.arange(number.shape[-1]), number.shape)
    complete = slot + 1 < length[..., None]
    given = (tokens[..., :-1] == ANSWER) & complete & (number < MODULUS)
    place = jnp.argmax(given, axis=-1)
    found = jnp.take_along_axis(number, place[..., None], axis=-1)[..., 0]
    return jnp.where(jnp.any(given, axis=-1), found, -1)


def right_answer(problem: Problem) -> Int[Array, ""]:
    """The number that the problem asks for."""
    return running_values(problem)[-1]


def is_correct(problem: Problem, tokens: Int[Array, "n slots"], length: Int[Array, " n"]) -> Bool[Array, " n"]:
    """Whether each text gives the right answer, whatever its steps say."""
    return answer_of(tokens, length) == right_answer(problem)


def is_sound(problem: Problem, tokens: Int[Array, "n slots"], length: Int[Array, " n"]) -> Bool[Array, " n"]:
    """Whether all tokens written so far are those of the right solution, of which there is one."""
    truth, end = write(problem, running_values(problem))
    slot = jnp.arange(tokens.shape[-1])
    agree = (slot[None, :] >= length[:, None]) | (tokens == truth[None, : tokens.shape[-1]])
    return jnp.all(agree, axis=-1) & (length <= end)


def render_problem(problem: Problem) -> str:
    """One problem as readable text, such as `7 * 3 - 4`."""
    pairs = zip(np.asarray(problem.operations), np.asarray(problem.operands), strict=True)
    return " ".join([str(int(problem.first))] + [f"{OPERATIONS[o]} {b}" for o, b in list(pairs)[: int(problem.count)]])


def render_solution(
    problem: Problem, tokens: Sequence[int] | Int[Array, " slots"], length: int | Int[Array, ""]
) -> str:
    """One solution as readable text, one line a step, such as `7 * 3 = 2`; a step of another form is kept as it is."""
    words = [VOCABULARY[int(t)] for t in np.asarray(tokens)[: int(length)]]
    lines, value, step = [], str(int(problem.first)), []
    for word in words:
        step.append(word)
        if word not in (VOCABULARY[STEP_END], VOCABULARY[END]):
            continue
        if len(step) == TOKENS_PER_STEP and step[0] in OPERATIONS:
            lines.append(f"{value} {step[0]} {step[1]} = {step[2]}")
            value = step[2]
        elif step[0] == VOCABULARY[ANSWER] and len(step) == 3:
            lines.append(f"answer {step[1]}")
        else:
            lines.append(" ".join(step))
        step = []
    return "\n".join(lines + ([" ".join(step)] if step else []))
