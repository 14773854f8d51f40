"""The words of a text's first line, and the last word while it may still grow."""

import re
from typing import NamedTuple

JOINERS = "'\N{RIGHT SINGLE QUOTATION MARK}-"
_WORD = re.compile(rf"[^\W_]+(?:[{JOINERS}][^\W_]+)*")


class Line(NamedTuple):
    """The first line of a text.

    A word is a longest run of letters and digits, with single apostrophes or hyphens allowed inside it:
    "don't" and "well-known" are one word each, "_dog_" is the word "dog", "dog's" is not the word "dog".
    """

    words: tuple[str, ...]  # complete words, case-folded: no continuation changes them
    tail: str  # case-folded start of a word at the very end, with the joiner that may follow it; "" if none
    ended: bool  # a newline or the end of the text has closed the line

    @property
    def count(self) -> int:
        """Number of words, the growing one included: it never falls when the text goes on."""
        return len(self.words) + bool(self.tail)


def is_word(text: str) -> bool:
    """Whether `text` is exactly one word."""
    return _WORD.fullmatch(text) is not None


def read_line(text: str, finished: bool = False) -> Line:
    """Read the text up to its first newline; the last word is complete if the line has ended."""
    line, newline, _ = text.partition("\n")
    ended = finished or bool(newline)
    matches = list(_WORD.finditer(line))
    tail = ""
    if not ended and matches and matches[-1].end() + (line[-1] in JOINERS) == len(line):
        tail = line[matches.pop().start() :].casefold()
    # casefold works character by character (lower does not: final sigma), so a prefix folds to a prefix
    return Line(tuple(match.group().casefold() for match in matches), tail, ended)
