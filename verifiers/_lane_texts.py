"""The texts of a language model's cloud as a verifier may read them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from probinf.verifiers._verifier import REPLACEMENT


@runtime_checkable
class Decoder(Protocol):
    """What turns token identifiers into text.

    Law: if one list of tokens starts with another, so do their texts, but for replacement characters at the
    other's end.
    """

    def decode(self, ids: list[int], /) -> str:
        """Text of the tokens; tokens that only mark structure (end of text) give none."""
        ...


class LaneText(NamedTuple):
    """The part of a lane's text that no further token changes, and whether that is all of it."""

    text: str
    finished: bool


def settle(text: str, finished: bool, stop: str | None) -> LaneText:
    """Cut a text before its first `stop` string, which finishes it.

    While the text goes on, what may turn out otherwise is left away: replacement characters at the end (bytes
    of an incomplete character) and the beginning of a stop string.
    """
    if stop is not None and stop in text:
        return LaneText(text.partition(stop)[0], True)
    if finished:
        return LaneText(text, True)
    text = text.rstrip(REPLACEMENT)
    longest = min(len(stop) - 1, len(text)) if stop else 0
    begun = next((size for size in range(longest, 0, -1) if text.endswith((stop or "")[:size])), 0)
    return LaneText(text[: len(text) - begun], False)


def lane_texts(generation: Any, tokenizer: Decoder, stop: str | None) -> Sequence[LaneText]:
    """Decode a `Generation`, or one lane of it, up to each lane's length or stop string."""
    tokens = np.atleast_2d(generation.tokens)
    length, finished = np.atleast_1d(generation.length), np.atleast_1d(generation.finished)
    return [
        settle(tokenizer.decode(row[:size].tolist()), bool(done), stop)
        for row, size, done in zip(tokens, length, finished, strict=True)
    ]
