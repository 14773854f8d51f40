"""Constraint: the line contains all the given words."""

from collections.abc import Iterable

import equinox as eqx

from probinf._arguments import is_count
from probinf.verifiers._line import JOINERS, is_word, read_line
from probinf.verifiers._verifier import Verifier, check_strength


def _as_words(words: Iterable[str]) -> tuple[str, ...]:
    if isinstance(words, str):
        raise TypeError(f"words must be a sequence of words, so write ({words!r},) instead of {words!r}.")
    return tuple(words)


def spoken(words: tuple[str, ...]) -> str:
    """Words as an English list: "dog, river and moon"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


class Words(Verifier):
    """Accepts a text whose first line contains each of `words` as a whole word, in at most `max_words` words.

    The case of letters is ignored. Progress: `strength` for each required word that is complete.

    Law: `alive` is exact: it is false if and only if no continuation is accepted.

    Raises: ValueError for no word, a repeated word, something that is not one word, or a limit below the
    number of words; TypeError for a single string.
    """

    words: tuple[str, ...] = eqx.field(static=True, converter=_as_words)
    max_words: int | None = eqx.field(static=True, default=None)
    strength: float = eqx.field(static=True, default=1.5, converter=float)

    def __check_init__(self) -> None:
        check_strength(self.strength)
        if not self.words:
            raise ValueError('Words needs at least one word, for example Words(("lamp",)).')
        for word in self.words:
            if not is_word(word):
                raise ValueError(
                    f"{word!r} is not one word: give letters and digits, apostrophes or hyphens only inside."
                )
        if len({word.casefold() for word in self.words}) < len(self.words):
            raise ValueError(f"give each required word once (case is ignored), not {', '.join(self.words)}.")
        if self.max_words is not None and not is_count(self.max_words, len(self.words)):
            raise ValueError(f"{len(self.words)} required words do not fit in {self.max_words} words; raise max_words.")

    @property
    def name(self) -> str:
        limit = "" if self.max_words is None else f";max={self.max_words}"
        strength = "" if self.strength == 1.5 else f";strength={self.strength}"
        return f"words:{','.join(self.words)}{limit}{strength}"

    def _missing(self, seen: tuple[str, ...]) -> set[str]:
        return {word.casefold() for word in self.words} - set(seen)

    def accepts(self, text: str) -> bool:
        words = read_line(text, finished=True).words
        return not self._missing(words) and (self.max_words is None or len(words) <= self.max_words)

    def alive(self, prefix: str) -> bool:
        line = read_line(prefix)
        if line.ended:
            return self.accepts(prefix)
        if self.max_words is None:
            return True
        missing = self._missing(line.words)
        # the growing word can still become one missing word, or already be it
        bare = line.tail.rstrip(JOINERS)
        hit = bool(line.tail) and any(word == bare or word.startswith(line.tail) for word in missing)
        return len(missing) - hit <= self.max_words - line.count

    def progress(self, text: str, finished: bool) -> float:
        seen = len(self.words) - len(self._missing(read_line(text, finished).words))
        return self.strength * seen

    def instruction(self) -> str:
        noun = "word" if len(self.words) == 1 else "words"
        limit = "" if self.max_words is None else f" of at most {self.max_words} words"
        return f"Write one sentence{limit} that contains the {noun} {spoken(self.words)}."

    def rejection(self, text: str) -> str:
        words = read_line(text, finished=True).words
        if missing := [word for word in self.words if word.casefold() in self._missing(words)]:
            return f"it lacks {spoken(tuple(missing))}"
        return f"it has {len(words)} words, more than {self.max_words}"
