"""The shipped models together, and writers of solutions made from them."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf.arithmetic._checker import ArithmeticReward
from probinf.arithmetic._task import Problem, answer_of, is_correct, is_sound, prompt_of
from probinf.arithmetic._vocabulary import (
    MAX_STEPS,
    PROMPT_SLOTS,
    SOLUTION_SLOTS,
    STEP_END,
    TOKENS_PER_STEP,
    VOCABULARY,
)
from probinf.lm._prompt import Prompt
from probinf.lm._protocol import Generation, LanguageModel
from probinf.lm._read_along import ReadAlong
from probinf.lm._reasoning import Reasoning
from probinf.lm._small_transformer import SmallTransformer
from probinf.lm._solutions import Solutions
from probinf.lm._stop import StopTable, stop_table


class ArithmeticModels(eqx.Module):
    """A language model of chained arithmetic and process rewards of several qualities.

    `rewards` has `weak`, `medium` and `strong`, which are learned, and `oracle`, which is exact up to its stated error.
    """

    lm: SmallTransformer
    rewards: dict[str, ArithmeticReward]

    def writer(
        self,
        reward: str | ArithmeticReward,
        *,
        temperature: float | Float[Array, ""] = 1.0,
        max_steps: int = MAX_STEPS,
    ) -> Reasoning:
        """A writer of solutions that are scored by a reward, for a problem that `for_problem` puts in.

        Raises: ValueError for an unknown name of a reward.
        """
        if isinstance(reward, str):
            if reward not in self.rewards:
                raise ValueError(f"there is no reward {reward!r}: choose one of {sorted(self.rewards)}")
            reward = self.rewards[reward]
        return Reasoning(
            ReadAlong(self.lm, reward.reader),
            [0] * PROMPT_SLOTS,
            reward.reward,
            max_steps=max_steps,
            tokens_per_step=TOKENS_PER_STEP,
            max_new_tokens=SOLUTION_SLOTS,
            step_end=step_end(),
            temperature=temperature,
            # Made for `jax.vmap` over problems.
            skip_finished=False,
        )


def for_problem(writer: Reasoning, problem: Problem) -> Reasoning:
    """The writer for one problem; all of it is data, so `jax.vmap` over problems compiles once."""
    ids, length = prompt_of(problem)
    bucket = writer.prompt.prompt_ids.shape[0]
    return writer.with_prompt(jnp.pad(ids, (0, bucket - ids.shape[0])), length)


def prompt_for(lm: LanguageModel, problem: Problem) -> Prompt:
    """The start of plain sampling for one problem."""
    ids, length = prompt_of(problem)
    prompt = Prompt(lm, [0] * PROMPT_SLOTS, SOLUTION_SLOTS)
    padded = jnp.pad(ids, (0, prompt.prompt_ids.shape[0] - ids.shape[0]))
    return eqx.tree_at(lambda p: (p.prompt_ids, p.prompt_length), prompt, (padded, length))


def step_end() -> StopTable:
    """The automaton that ends a step at `;`."""
    return stop_table([piece.encode() for piece in VOCABULARY], [VOCABULARY[STEP_END].encode()])


class Graded(NamedTuple):
    """Solutions of a problem with the truth about them: the answer (-1: none), whether it is right, and all steps."""

    answers: Int[Array, " n"]
    correct: Bool[Array, " n"]
    sound: Bool[Array, " n"]


def grade(problem: Problem, texts: Generation | Solutions) -> Graded:
    """Grade the solutions of one problem."""
    texts = texts.generation if isinstance(texts, Solutions) else texts
    arguments = (problem, texts.tokens, texts.length)
    return Graded(answer_of(texts.tokens, texts.length), is_correct(*arguments), is_sound(*arguments))


def write_all(key: PRNGKeyArray, writer: Reasoning, problem: Problem, n: int) -> Solutions:
    """Write n solutions of one problem independently of each other and of the reward."""
    writer = for_problem(writer, problem)
    solutions = writer.start().sample_lanes(key, (), n)
    step = writer.step()

    def further(solutions: Solutions, key: PRNGKeyArray) -> tuple[Solutions, None]:
        return step.sample_lanes(key, solutions, n), None

    return jax.lax.scan(further, solutions, jax.random.split(key, writer.max_steps))[0]
