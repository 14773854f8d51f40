"""Reading a long prompt ahead of a run, piece by piece."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from probinf.lm._llama import Llama, PromptReading, piece_size
from probinf.lm._llama_state import LlamaState
from probinf.lm._prompt import Prompt
from probinf.lm._protocol import LanguageModel


def read_prompt(
    lm: LanguageModel,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    progress: Callable[[int, int], None] | None = None,
) -> LanguageModel:
    """Prefill a prompt in pieces, and return the model that starts from it.

    A long prompt takes long to read. Here each piece is a run of its own, with the same result as `lm.start`, so
    that the caller sees how far it is.

    Args:
        lm: The model. Only a `Llama` reads in pieces; any other is returned as it is.
        prompt_ids: The prompt's token identifiers.
        progress: Called after each piece with the numbers of tokens read and to be read.

    Returns:
        A model with the law of `lm`, for this prompt only: after another one its logits are NaN.

    Raises:
        ValueError: the prompt is empty, too long, or has an identifier outside the vocabulary.

    Example:
        ```python
        lm = read_prompt(model.lm, ids, lambda done, total: print(f"{done} of {total} tokens"))
        sampler = best_of_n(lm, ids, accepted=accepted, max_new_tokens=48)
        ```
    """
    prompt = Prompt(lm, prompt_ids, 1)
    if not isinstance(lm, Llama):
        return lm
    total, slots = int(prompt.prompt_length), prompt.prompt_ids.shape[0]
    size = piece_size(slots)
    padded = np.pad(np.asarray(prompt.prompt_ids), (0, -slots % size))
    reading = lm.open_prompt(slots)
    for offset in range(0, total, size):
        fixed = (lm, jnp.asarray(padded[offset : offset + size]), jnp.asarray(offset), prompt.prompt_length)
        reading = _read_piece(fixed, reading)
        reading.hidden.block_until_ready()
        if progress is not None:
            progress(min(offset + size, total), total)
    return AfterPrompt(  # pyright: ignore[reportCallIssue]
        lm=lm, prompt_ids=prompt.prompt_ids, prompt_length=prompt.prompt_length, reading=reading
    )


class AfterPrompt(LanguageModel):
    """A `Llama` that has read one prompt.

    Law: that of `lm` after this prompt; NaN after another one.
    """

    lm: Llama
    prompt_ids: Int[Array, " bucket"]
    prompt_length: Int[Array, ""]
    reading: PromptReading

    @property
    def vocabulary_size(self) -> int:
        return self.lm.vocabulary_size

    @property
    def context_length(self) -> int:
        return self.lm.context_length

    @property
    def stop_tokens(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.lm.stop_tokens

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> LlamaState:
        length = prompt_ids.shape[0] if prompt_length is None else prompt_length
        size = max(prompt_ids.shape[0], self.prompt_ids.shape[0])
        given, read = (jnp.pad(ids, (0, size - ids.shape[0])) for ids in (prompt_ids, self.prompt_ids))
        same = jnp.all((given == read) | (jnp.arange(size) >= length)) & (length == self.prompt_length)
        # The first layer's values reach every later token.
        doubt = jnp.where(same, 0.0, jnp.nan).astype(self.reading.hidden.dtype)
        reading = eqx.tree_at(lambda r: (r.hidden, r.caches[0][1]), self.reading, replace_fn=lambda x: x + doubt)
        return self.lm.begin(reading, self.prompt_length, lanes, max_new_tokens)

    def logits(self, state: LlamaState) -> Float[Array, "n vocabulary"]:
        return self.lm.logits(state)

    def advance(self, state: LlamaState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None) -> Any:
        return self.lm.advance(state, tokens, active)


@eqx.filter_jit(donate="all-except-first")
def _read_piece(fixed: tuple[Llama, Array, Array, Array], reading: PromptReading) -> PromptReading:
    lm, piece, offset, length = fixed
    return lm.read_piece(reading, piece, offset, length)
