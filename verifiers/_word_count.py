"""Constraint: the line has exactly k words."""

import operator

import equinox as eqx

from probinf._arguments import is_count
from probinf.verifiers._line import read_line
from probinf.verifiers._verifier import Verifier, check_strength

_SENTENCE_ENDS = (".", "!", "?")


class WordCount(Verifier):
    """Accepts a text whose first line has exactly `count` words.

    Progress: `strength` once the line has `count` words and a sentence end after them, or has ended.

    Law: `alive` is exact: it is false if and only if no continuation is accepted.

    Raises: ValueError when `count` is below one.
    """

    count: int = eqx.field(static=True, converter=operator.index)
    strength: float = eqx.field(static=True, default=1.5, converter=float)

    def __check_init__(self) -> None:
        check_strength(self.strength)
        if not is_count(self.count):
            raise ValueError(f"count must be at least one word, but it is {self.count}.")

    @property
    def name(self) -> str:
        return f"count:{self.count}" + ("" if self.strength == 1.5 else f";strength={self.strength}")

    def accepts(self, text: str) -> bool:
        return read_line(text, finished=True).count == self.count

    def alive(self, prefix: str) -> bool:
        line = read_line(prefix)
        return line.count == self.count if line.ended else line.count <= self.count

    def progress(self, text: str, finished: bool) -> float:
        line = read_line(text, finished)
        closed = line.ended or text.rstrip().endswith(_SENTENCE_ENDS)
        return self.strength * (closed and line.count == self.count)

    def instruction(self) -> str:
        return f"Write one sentence of exactly {self.count} word{'' if self.count == 1 else 's'}."

    def rejection(self, text: str) -> str:
        count = read_line(text, finished=True).count
        return f"it has {count} word{'' if count == 1 else 's'}, not {self.count}"
