"""A second network reads along while the first one writes, and a reward is read off what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from probinf.lm._protocol import Generation, LanguageModel
from probinf.lm._reward import Reward


class ReadAlongState(NamedTuple):
    """What the writer and the reader remember of the same texts."""

    writer: Any
    reader: Any


class ReadAlong(LanguageModel):
    """A language model that writes, and a second one that reads the same tokens without a say in them.

    Law: that of the writer. The reader's state is a function of the text, so it survives resampling like a cache.

    Raises: ValueError where their vocabularies have different sizes.
    """

    writer: LanguageModel
    reader: LanguageModel
    stop_tokens: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, writer: LanguageModel, reader: LanguageModel) -> None:
        if writer.vocabulary_size != reader.vocabulary_size:
            raise ValueError(
                f"the writer has {writer.vocabulary_size} tokens and the reader {reader.vocabulary_size}: "
                "both must read the same vocabulary"
            )
        self.writer, self.reader, self.stop_tokens = writer, reader, writer.stop_tokens

    @property
    def vocabulary_size(self) -> int:
        return self.writer.vocabulary_size

    @property
    def context_length(self) -> int | None:
        limits = [m.context_length for m in (self.writer, self.reader) if m.context_length is not None]
        return min(limits, default=None)

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> ReadAlongState:
        models = (self.writer, self.reader)
        return ReadAlongState(*(model.start(prompt_ids, lanes, max_new_tokens, prompt_length) for model in models))

    def logits(self, state: ReadAlongState) -> Float[Array, "n vocabulary"]:
        return self.writer.logits(state.writer)

    def advance(
        self, state: ReadAlongState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> ReadAlongState:
        return ReadAlongState(
            self.writer.advance(state.writer, tokens, active), self.reader.advance(state.reader, tokens, active)
        )


class StateReward(Reward):
    """A reward that is read off the state of the language model, for all lanes at once.

    Law: the log-odds of lane i are entry i of `log_odds_of(state)`, a Module or function [state of n lanes] -> [n].
    A reading network, a probe on the writer's own activations, or a counter are the same thing with another function.
    """

    log_odds_of: Callable[[Any], Float[Array, " n"]]

    @property
    def traceable(self) -> bool:
        """Always: a state lives on the device."""
        return True

    def log_odds(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Log-odds of every lane's text so far."""
        del n
        return jnp.asarray(self.log_odds_of(values.state))
