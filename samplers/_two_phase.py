"""Two budgets: so many tokens to think in, and so many to answer in."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._measure import Distribution
from probinf._primitives import Draw
from probinf._sampler import Sampler
from probinf.lm import Continue, Generation, LanguageModel, Prompt, StopTable
from probinf.samplers._own_target import OwnTarget


def two_phase(
    lm: LanguageModel,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    *,
    end: StopTable,
    end_ids: Sequence[int],
    thinking_tokens: int,
    answer_tokens: int,
    temperature: float | Float[Array, ""] = 1.0,
) -> Sampler:
    """Thinks until the string `end`, for at most so many tokens, has it written if need be, and then answers.

    Law: () -> the law of the truncated program, at this temperature (CHANGES_TARGET): p_LM(thinking) p_LM(answer |
    thinking, end), where a text that did not end its thinking by itself goes on as if it had. What is forced is not
    drawn: it adds nothing to `log_prob`, which is the log-probability of the whole text. A text whose thinking ends
    within the budget has the probability that the model gives it; with budgets that no text exceeds the law is the
    model's at this temperature.

    `end_ids` are the tokens that are forced, such as those of "</think>"; `end` finds that string however it is
    written. Both budgets count drawn tokens only. A stop token of the model ends the text in either phase.

    Raises: ValueError where the forced tokens do not complete `end` or hold a stop token of the model, or a knob is out
    of range.

    Source: Elastic Reasoning, arXiv 2505.05315, section 3.
    """
    room = thinking_tokens + len(end_ids) + answer_tokens
    return OwnTarget(
        Draw(Prompt(lm, prompt_ids, room))
        >> Draw(Continue(lm, thinking_tokens, end, temperature, name="thinking"))
        >> Draw(EndOfThinking(lm, end, end_ids))
        >> Draw(Continue(lm, answer_tokens, None, temperature, name="answer"))
    )


class EndOfThinking(Distribution):
    """The end of thinking, written wherever a text has not stopped by itself.

    Law: a point mass, log-density zero.

    Raises: ValueError where the tokens do not complete the string `end`, or one of them ends the whole text.
    """

    write: Continue
    end_ids: Int[Array, " tokens"]
    name: str = eqx.field(static=True, default="end of thinking")

    def __init__(self, lm: LanguageModel, end: StopTable, end_ids: Sequence[int]) -> None:
        reading = jnp.zeros(1, jnp.int32)
        for token in end_ids:
            reading = end.step(reading, jnp.array([token]))
        if not bool(end.found(reading)[0]):
            raise ValueError(f"the forced tokens {list(end_ids)} must complete the stop string that ends thinking")
        if set(end_ids) & set(lm.stop_tokens):
            raise ValueError(f"{list(end_ids)} holds a stop token of the model, after which there is no answer")
        self.write = Continue(lm, len(end_ids))
        self.end_ids = jnp.asarray(end_ids, jnp.int32)
        self.name = "end of thinking"

    def sample(self, key: PRNGKeyArray, x: Generation) -> Generation:
        """Refuse, as a continuation does."""
        return self.write.sample(key, x)

    def sample_lanes(self, key: PRNGKeyArray, values: Generation, n: int) -> Generation:
        """Write it in the lanes that were cut; nothing is drawn."""
        del key
        # For this step the other lanes are said to be finished.
        idle = eqx.tree_at(lambda g: g.finished, values, values.finished | values.stopped)
        ended = self.write.replay_lanes(idle, n, self.end_ids)
        return eqx.tree_at(
            lambda g: (g.finished, g.log_prob, g.latest_log_prob),
            ended,
            (values.finished, values.log_prob, jnp.zeros_like(values.log_prob)),
        )

    def log_density(self, x: Generation) -> Float[Array, ""]:
        """Zero."""
        del x
        return jnp.zeros(())

    def log_density_lanes(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Zero in each lane."""
        del values
        return jnp.zeros(n)
