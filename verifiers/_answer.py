"""Constraint: the text states the right answer to a problem with an integer solution."""

import operator
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import equinox as eqx

from probinf.verifiers._numeral import MINUS, may_go_on, read_numeral
from probinf.verifiers._verifier import Verifier, check_strength

_OPENING = r"(?:[\s$€£¥*_`\"'(\[]|\\[\[($,;! ]|\\(?:boxed|text|textbf|mathbf|mathrm)\s*\{)*+"
_STATEMENT = re.compile(
    rf"(?:the\s+(?:final\s+|correct\s+)?answer\s+is\s*:?|\#\#\#\#|(?=\\boxed\s*\{{))(?P<opening>{_OPENING}"
    rf"(?:(?P<sign>[{MINUS}+]){_OPENING})?)(?=\.?[0-9]|\\[dt]?frac\s*\{{)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.…](?![0-9])|[?!\n]")
_COMMANDS = ("text", "textbf", "mathrm", "mathbf", "quad", "circ", "degree")
_WORD = r"[^\W\d_]+(?:\^?\{?[0-9]\}?|[²³])?"
# What may follow a number in its sentence: units, words and marks, but no further number and no operation.
_FOLLOWING = re.compile(
    rf"(?:{_WORD}(?:[-'’/·.]{_WORD})*|/{_WORD}|[\s,;:'\"’”“()\[\]{{}}*_`$€£¥°—]|\\[\])$,;! ]|"
    rf"\^?\\(?:{'|'.join(_COMMANDS)})(?![a-zA-Z]))*"
)
_CLOSING = rf"(?:[\s*_`$)\]}}]|\\[\])$,;! ]|\\(?:{'|'.join(_COMMANDS)})\s*\{{?)*"
_FIRST_WORD = re.compile(rf"{_CLOSING}([^\W\d_]+)")
# Words that change the number before them.
_CHANGING = frozenset(
    "and or to plus minus times over by divided squared cubed factorial mod half halves third thirds quarter quarters "
    "hundred hundreds thousand thousands million millions billion billions trillion dozen dozens "
    "e i k n x y z pi π".split()
)
_NUMERAL = r"([0-9][0-9,]*)(?:\.([0-9]+))?"
_NUMBER = re.compile(_NUMERAL)


class _Stated(NamedTuple):
    value: Fraction | None  # None where the sentence does not state one number of the grammar
    negative: bool
    growing: bool  # whether all of it may still be the beginning of another number
    start: int


def _first_statement(text: str) -> _Stated | None:
    match = _STATEMENT.search(text)
    if match is None:
        return None
    start, negative = match.end(), match["sign"] not in (None, "+")
    numeral = read_numeral(text, start)
    end = _SENTENCE_END.search(text, numeral.end)
    rest = text[numeral.end : end.start() if end else len(text)]
    value = numeral.value
    first = _FIRST_WORD.match(rest)
    unclosed = match["opening"].count("{") + rest.count("{") - rest.count("}")
    factorial = text[numeral.end :].startswith("!")
    changed = first is not None and first[1].casefold() in _CHANGING
    if changed or factorial or unclosed > 0 or not _FOLLOWING.fullmatch(rest):
        value = None
    growing = may_go_on(text, start) and (end is None or end.group() == "." and end.end() == len(text))
    return _Stated(-value if negative and value is not None else value, negative, growing, match.start())


def _plain(digits: str, fraction: str | None) -> tuple[str, str]:
    """Digits without commas and leading zeros, and those after the point without trailing ones."""
    return digits.replace(",", "").lstrip("0"), (fraction or "").rstrip("0")


def _grows(text: str, end: int) -> bool:
    """Whether the numeral that ends at `end` may go on after `text`: "1" to "12", "12." to "12.5"."""
    return end == len(text) or text[end:] == "."


def _endings(prefix: str) -> Iterable[str]:
    """Ends that complete a word, a unit's power or a command, and close what is open."""
    command = re.search(r"\\([a-z]*)$", prefix, re.IGNORECASE)
    rests = [c[len(command[1]) :] for c in _COMMANDS if c.startswith(command[1])] if command else []
    for rest in ("", "a", "2", *rests):
        yield rest
        for size in range(1, 4):
            yield rest + "}" * size


def _as_integers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(operator.index(value) for value in values)


class Answer(Verifier):
    r"""Accepts a text whose first statement of an answer states `value`, and no other number beside it.

    A statement begins with "the answer is" ("final" or "correct" may stand before "answer"), "####" or a box, and goes
    to the end of its sentence or line. What follows it does not count: a base model often goes on with a problem of
    its own. The number is read exactly, with its sign (a hyphen or a Unicode minus), as one of

        12, 12.0, .5     a decimal point, always; 1,200, 1 200, 1'200 and 1{,}200 in groups of three, 1,2 is two numbers
        24/2, \frac{24}{2}                 a fraction of whole numbers, by its value
        2^10, 2**10, 2^{10}, 2¹⁰            a power of whole numbers
        5e3, 5 × 10^3, 5 \times 10^{3}     a power of ten
        50%, 50 percent                     a hundredth of it: 50% is one half, never 50

    in bold, quotes, brackets, a closed box or LaTeX, with a currency before it and units or words after it. The
    sentence states no single answer where it holds another number ("5 or 6", "4 + 8 = 12", "1 1/2"), an operation
    ("5!", "12 + x") or a word that changes the number ("12 million", "12 and a half", "5 or six").

    Progress: `strength` for each `intermediate` result that stands as a number before the statement, and once more for
    a statement whose number is complete.

    Law: `alive` is false only where no continuation is accepted, and exact once the first statement has ended; until
    then a number may become another one ("2" may become 24/2), and only a wrong sign is dead.

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

    def accepts(self, text: str) -> bool:
        stated = _first_statement(text)
        return stated is not None and stated.value == self.value

    def alive(self, prefix: str) -> bool:
        stated = _first_statement(prefix)
        if stated is None:
            return True
        if self.value != 0 and stated.negative != (self.value < 0):
            return False
        return stated.growing or any(self.accepts(prefix + end) for end in _endings(prefix))

    def progress(self, text: str, finished: bool) -> float:
        first = _first_statement(text)
        complete = first is not None and (finished or not first.growing)
        reasoning = text[: first.start] if first else text
        seen = {
            _plain(*number.groups())
            for number in _NUMBER.finditer(reasoning)
            if finished or first or not _grows(text, number.end())
        }
        found = sum(_plain(str(value), None) in seen for value in self.intermediate)
        return self.strength * (complete + found)

    def instruction(self) -> str:
        return 'Solve the problem step by step and end with "The answer is" and the number.'

    def rejection(self, text: str) -> str:
        del text
        return f"it does not state that the answer is {self.value}"
