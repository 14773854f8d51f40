"""Solutions as people write them: each writer misreads some operations, always in the same way, and sometimes slips."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice, flip
from probinf.arithmetic._task import Problem, apply, draw_problem, prompt_of, write_as
from probinf.arithmetic._vocabulary import MODULUS, MOST

# How often each operation is read as it stands, and what it is read as otherwise: + - * ~ #
_READ_WELL = (0.95, 0.62, 0.58, 0.42, 0.45)
_MISREAD_AS = (1, 3, 0, 1, 0)
_SLIP = 0.03  # share of steps whose result is off by a random amount


class Trace(NamedTuple):
    """A question and a solution as tokens, each zero from its length on."""

    prompt: Int[Array, "*traces prompt_slots"]
    prompt_length: Int[Array, "*traces"]
    tokens: Int[Array, "*traces slots"]
    length: Int[Array, "*traces"]


def draw_trace(key: PRNGKeyArray) -> Trace:
    """Draw a problem of the language model's split and somebody's solution of it.

    Law: the writer reads each operation well or in one wrong way, by a coin of its own that holds for the whole trace;
    each result is off by a uniform amount with probability 0.03; the answer is the last result.
    """
    keys = jax.random.split(key, 4)
    problem = draw_problem(keys[0], "language model")
    well = flip(keys[1], jnp.log(jnp.array(_READ_WELL)))
    meaning = jnp.where(well, jnp.arange(len(_READ_WELL)), jnp.array(_MISREAD_AS))
    read = meaning[problem.operations]
    slipped = flip(keys[2], jnp.full(MOST, jnp.log(_SLIP)))
    offsets = jnp.where(slipped, 1 + choice(keys[3], jnp.zeros(MODULUS - 1), draws=(MOST,)), 0)
    prompt, prompt_length = prompt_of(problem)
    tokens, length = write_as(problem, read, _results(problem, read, offsets))
    return Trace(prompt, prompt_length, tokens, length)


def _results(problem: Problem, read: Int[Array, " most"], offsets: Int[Array, " most"]) -> Int[Array, " most"]:
    def step(value: Array, row: tuple) -> tuple:
        operation, operand, offset = row
        value = (apply(operation, value, operand) + offset) % MODULUS
        return value, value

    return jax.lax.scan(step, problem.first, (read, problem.operands, offsets))[1]


def corpus_accuracy(traces: Trace, answers: Int[Array, " traces"]) -> Float[Array, ""]:
    """Share of traces whose answer is right."""
    last = jnp.take_along_axis(traces.tokens, (traces.length - 2)[:, None], axis=1)[:, 0]
    return jnp.mean(last == answers)
