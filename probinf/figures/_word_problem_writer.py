"""A language model that solves a word problem line by line, and the answers that it states."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf.figures._word_problems import STEPS, TOKENS_PER_STEP, WordProblem, prompt_text, stated_answer
from probinf.lm import Generation, Reasoning, Reward, Solutions, TextModel

TEMPERATURE = 0.6


class NoReward(Reward):
    """Even odds for everything."""

    def log_odds(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Zero."""
        del values
        return jnp.zeros(n)


_NO_REWARD = NoReward()


def writer_of(model: TextModel, problem: WordProblem, reward: Reward | None) -> Reasoning:
    """The writer of solutions, one line a step; the result of the second line is the answer, so it ends there."""
    return Reasoning(
        model.lm,
        model.tokenizer.encode(prompt_text(problem)),
        _NO_REWARD if reward is None else reward,
        max_steps=STEPS,
        tokens_per_step=TOKENS_PER_STEP,
        step_end=model.tokenizer.stop("\n"),
        temperature=TEMPERATURE,
    )


def lane_texts(model: TextModel, solutions: Solutions) -> list[str]:
    """The text of each lane."""
    rows = zip(np.asarray(solutions.generation.tokens), np.asarray(solutions.generation.length), strict=True)
    return [model.tokenizer.decode(row[:length].tolist()) for row, length in rows]


def lane_answers(model: TextModel, solutions: Solutions) -> list[int | None]:
    """The answer that each lane states."""
    return [stated_answer(text) for text in lane_texts(model, solutions)]
