"""How good a beginning is, by Monte Carlo: complete it several times and count the right answers.

Source: Math-Shepherd, arXiv:2312.08935, section 3.3 (soft estimation).
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from probinf._particles import take_lanes
from probinf.arithmetic._task import draw_problem, is_correct, prompt_of
from probinf.arithmetic._vocabulary import MAX_STEPS, SOLUTION_SLOTS, TOKENS_PER_STEP
from probinf.arithmetic._writers import prompt_for, step_end
from probinf.lm._continue import Continue
from probinf.lm._protocol import LanguageModel


class Rollouts(NamedTuple):
    """One solution of each problem, and how completions of its beginnings came out.

    `ends[i, t]` is the number of tokens after step t, `written[i, t]` whether that step was written, and
    `right[i, t, k]` whether completion k of the first t + 1 steps gave the right answer.
    """

    prompt: Int[Array, "problems prompt_slots"]
    prompt_length: Int[Array, " problems"]
    tokens: Int[Array, "problems slots"]
    ends: Int[Array, "problems max_steps"]
    written: Bool[Array, "problems max_steps"]
    right: Bool[Array, "problems max_steps rollouts"]


def roll_out(key: PRNGKeyArray, lm: LanguageModel, problems: int, rollouts: int, chunk: int = 100) -> Rollouts:
    """Write one solution of each of some problems of the reward split; complete each beginning `rollouts` times.

    Law: the fraction of right completions is unbiased for the probability that the model, going on from that beginning
    at temperature one, gives the right answer. The first problems do not depend on how many there are.
    """
    chunks = [
        _roll_out_chunk(jax.random.fold_in(key, begin), lm, min(chunk, problems - begin), rollouts)
        for begin in range(0, problems, chunk)
    ]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *chunks)


@eqx.filter_jit
def _roll_out_chunk(key: PRNGKeyArray, lm: LanguageModel, problems: int, rollouts: int) -> Rollouts:
    return jax.vmap(lambda key: _roll_out_one(key, lm, rollouts))(jax.random.split(key, problems))


def _roll_out_one(key: PRNGKeyArray, lm: LanguageModel, rollouts: int) -> Rollouts:
    keys = jax.random.split(key, 2 + 2 * MAX_STEPS)
    problem = draw_problem(keys[0], "reward")
    text = prompt_for(lm, problem).sample_lanes(keys[1], (), 1)
    step = Continue(lm, TOKENS_PER_STEP, step_end())
    ends, written, right = [], [], []
    for t in range(MAX_STEPS):
        written.append(~text.finished[0])
        text = step.sample_lanes(keys[2 + 2 * t], text, 1)
        ends.append(text.length[0])
        copies = take_lanes(text, jnp.zeros(rollouts, jnp.int32))
        left = SOLUTION_SLOTS - TOKENS_PER_STEP * (t + 1)
        if left > 0:
            copies = Continue(lm, left).sample_lanes(keys[3 + 2 * t], copies, rollouts)
        right.append(is_correct(problem, copies.tokens, copies.length))
    prompt, prompt_length = prompt_of(problem)
    return Rollouts(prompt, prompt_length, text.tokens[0], jnp.stack(ends), jnp.stack(written), jnp.stack(right))
