"""Two language models that read the same text."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int

from probinf.lm import LanguageModel


class ModelPair(LanguageModel):
    """A target and a draft that read each token together; one of them says what comes next.

    Law: that of the target; of `drafting()`, that of the draft.

    Raises: ValueError where they differ in vocabulary or stop tokens.
    """

    target: LanguageModel
    draft: LanguageModel
    drafts: bool = eqx.field(static=True)
    stop_tokens: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, target: LanguageModel, draft: LanguageModel, *, drafts: bool = False) -> None:
        if target.vocabulary_size != draft.vocabulary_size or set(target.stop_tokens) != set(draft.stop_tokens):
            raise ValueError(
                f"the models must share vocabulary and stop tokens, got {target.vocabulary_size} tokens with stops "
                f"{target.stop_tokens}, and {draft.vocabulary_size} with {draft.stop_tokens}"
            )
        self.target, self.draft, self.drafts = target, draft, drafts
        self.stop_tokens = target.stop_tokens

    def drafting(self) -> ModelPair:
        """The same pair, of which the draft says what comes next."""
        return ModelPair(self.target, self.draft, drafts=True)

    @property
    def vocabulary_size(self) -> int:
        return self.target.vocabulary_size

    @property
    def context_length(self) -> int | None:
        lengths = [m.context_length for m in (self.target, self.draft) if m.context_length is not None]
        return min(lengths, default=None)

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> tuple[Any, Any]:
        both = (self.target, self.draft)
        return tuple(m.start(prompt_ids, lanes, max_new_tokens, prompt_length) for m in both)  # pyright: ignore

    def logits(self, state: tuple[Any, Any]) -> Float[Array, "n vocabulary"]:
        return self.draft.logits(state[1]) if self.drafts else self.target.logits(state[0])

    def advance(
        self, state: tuple[Any, Any], tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> tuple[Any, Any]:
        return self.target.advance(state[0], tokens, active), self.draft.advance(state[1], tokens, active)
