"""A language model that counts the tokens it computes."""

from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from probinf._particles import LaneState, take_lanes
from probinf.lm._protocol import LanguageModel


class MeteredState(LaneState):
    """The model's state, and how many tokens each lane of the batch has computed.

    `computed` belongs to the lane and not to the text in it: a copy of a text does not take it along.
    """

    state: Any
    computed: Int[Array, " n"]

    def take(self, ancestors: Int[Array, " n"]) -> Self:
        """Moves the texts; the counters stay."""
        return type(self)(take_lanes(self.state, ancestors), self.computed)


class Metered(LanguageModel):
    """A language model with a counter of computed tokens in each lane.

    Law: that of the model. A token counts when the network is advanced over it in a lane that is active:
    tokens of texts that are given up later count, idle lanes and the prompt (read once for all lanes) do
    not.
    """

    lm: LanguageModel

    @property
    def vocabulary_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's."""
        return self.lm.vocabulary_size

    @property
    def context_length(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's."""
        return self.lm.context_length

    @property
    def stop_tokens(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's."""
        return self.lm.stop_tokens

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> MeteredState:
        """Reads the prompt; nothing is counted yet."""
        state = self.lm.start(prompt_ids, lanes, max_new_tokens, prompt_length)
        return MeteredState(state, jnp.zeros(lanes, jnp.int32))

    def logits(self, state: MeteredState) -> Float[Array, "n vocabulary"]:
        """The model's."""
        return self.lm.logits(state.state)

    def advance(
        self, state: MeteredState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> MeteredState:
        """Appends one token to each active lane, and counts it."""
        computed = state.computed + (1 if active is None else active.astype(jnp.int32))
        return eqx.tree_at(
            lambda s: (s.state, s.computed), state, (self.lm.advance(state.state, tokens, active), computed)
        )
