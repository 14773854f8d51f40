"""Constraint: the text states the right answer to a problem with an integer solution."""

import operator
import re
from collections.abc import Iterable
from typing import NamedTuple

import equinox as eqx

from probinf.verifiers._verifier import Verifier, check_strength

_NUMERAL = r"([0-9][0-9,]*)(?:\.([0-9]+))?"
_STATEMENT = re.compile(rf"the answer is:?\s*\$?(-?){_NUMERAL}", re.IGNORECASE)
_NUMBER = re.compile(_NUMERAL)


class _Stated(NamedTuple):
    sign: str  # "-" or ""
    digits: str  # without commas and leading zeros; "" is zero
    fraction: str  # digits after the point, without trailing zeros


def _state(sign: str, digits: str, fraction: str | None) -> _Stated:
    return _Stated(sign, digits.replace(",", "").lstrip("0"), (fraction or "").rstrip("0"))


def _grows(text: str, end: int) -> bool:
    """Whether the numeral that ends at `end` may go on after `text`: "1" to "12", "12." to "12.5"."""
    return end == len(text) or text[end:] == "."


def _as_integers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(operator.index(value) for value in values)


class Answer(Verifier):
    """Accepts a text that states "the answer is `value`" (case ignored); the first such statement decides.

    A statement is those words, an optional colon and dollar sign, and a number; commas in the number are
    dropped, so "1,200", "1200" and "1200.0" are equal. What follows the first statement does not count: a
    base model often goes on with a problem of its own. "The answer is 4 + 8 = 12" states 4. Progress:
    `strength` for each `intermediate` result that stands as a number before the statement, and once more for
    the right answer.

    Law: `alive` is exact: it is false if and only if no continuation is accepted.

    Raises: ValueError when an intermediate result is negative or given twice.
    """

    value: int = eqx.field(static=True, converter=operator.index)
    intermediate: tuple[int, ...] = eqx.field(static=True, default=(), converter=_as_integers)
    strength: float = eqx.field(static=True, default=1.5, converter=float)

    def __check_init__(self) -> None:
        check_strength(self.strength)
        steps = self.intermediate
        if any(value < 0 for value in steps) or len(set(steps)) < len(steps):
            raise ValueError(f"intermediate results must be distinct numbers of zero or more, not {steps}.")

    @property
    def name(self) -> str:
        steps = f";intermediate={','.join(map(str, self.intermediate))}" if self.intermediate else ""
        strength = "" if self.strength == 1.5 else f";strength={self.strength}"
        return f"answer:{self.value}{steps}{strength}"

    def _right(self, stated: _Stated, growing: bool) -> bool:
        """Whether the number is, or if `growing` may still become, the value."""
        if self.value != 0 and (stated.sign == "-") != (self.value < 0):
            return False
        target = _state("", str(abs(self.value)), None).digits
        near = target.startswith(stated.digits) if growing else target == stated.digits
        return near and not stated.fraction

    def accepts(self, text: str) -> bool:
        match = _STATEMENT.search(text)
        return match is not None and self._right(_state(*match.groups()), growing=False)

    def alive(self, prefix: str) -> bool:
        match = _STATEMENT.search(prefix)
        # only the digits before the point can still come nearer to the value
        growing = match is not None and match.end() == len(prefix) and match.group(3) is None
        return match is None or self._right(_state(*match.groups()), growing)

    def progress(self, text: str, finished: bool) -> float:
        match = _STATEMENT.search(text)
        stated = match is not None and (finished or not _grows(text, match.end()))
        reasoning = text[: match.start()] if match else text
        seen = {
            _state("", *number.groups())
            for number in _NUMBER.finditer(reasoning)
            if finished or match or not _grows(text, number.end())
        }
        found = sum(_state("", str(value), None) in seen for value in self.intermediate)
        return self.strength * (stated + found)

    def instruction(self) -> str:
        return 'Solve the problem step by step and end with "The answer is" and the number.'
