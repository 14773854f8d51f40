"""A language model that always writes its most likely token."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from probinf.lm._protocol import LanguageModel


class Greedy(LanguageModel):
    """The model that puts all mass on the most likely next token of another one.

    Law: a point mass; of equally likely tokens the first. No temperature changes it, unlike a small temperature, which
    is only close to it.
    """

    lm: LanguageModel
    stop_tokens: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self.stop_tokens = lm.stop_tokens

    @property
    def vocabulary_size(self) -> int:
        return self.lm.vocabulary_size

    @property
    def context_length(self) -> int | None:
        return self.lm.context_length

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> Any:
        return self.lm.start(prompt_ids, lanes, max_new_tokens, prompt_length)

    def logits(self, state: Any) -> Float[Array, "n vocabulary"]:
        logits = self.lm.logits(state)
        best = jnp.argmax(logits, axis=-1)[:, None]
        certain = jnp.arange(logits.shape[-1])[None, :] == best
        # The most likely of numbers one of which is NaN is not known.
        undefined = jnp.any(jnp.isnan(logits), axis=-1, keepdims=True)
        return jnp.where(undefined, jnp.nan, jnp.where(certain, jnp.zeros_like(logits), -jnp.inf))

    def advance(self, state: Any, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None) -> Any:
        return self.lm.advance(state, tokens, active)
