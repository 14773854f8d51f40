"""Numbers as texts state them, read as exact fractions: the grammar is that of the docstring of `Answer`."""

import re
from fractions import Fraction
from typing import NamedTuple

_SPACE = "[ \\t\N{NO-BREAK SPACE}\N{FIGURE SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}]"
MINUS = "-\N{MINUS SIGN}\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{FULLWIDTH HYPHEN-MINUS}"
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_HIGH = "[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4}(?![⁰¹²³⁴⁵⁶⁷⁸⁹])"
_SEPARATOR = r"(?P<by>,|\{,\}|\\,|'|" + f"\N{RIGHT SINGLE QUOTATION MARK}|{_SPACE})"
_GROUPED = rf"(?P<grouped>[1-9][0-9]{{0,2}}{_SEPARATOR}[0-9]{{3}}(?:(?P=by)[0-9]{{3}})*(?![0-9]))"
_DECIMAL = re.compile(rf"(?:{_GROUPED}|(?P<plain>[0-9]+))?(?:\.(?P<fraction>[0-9]+))?")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")
_OVER = re.compile(r"\s*[/÷\N{FRACTION SLASH}]\s*([0-9]+)")
_EXPONENT = rf"(?:\{{\s*([{MINUS}+]?[0-9]{{1,4}})\s*\}}|([{MINUS}+]?[0-9]{{1,4}})(?![0-9]))"
_POWER = re.compile(rf"(?:\s*(?:\^|\*\*)\s*{_EXPONENT}|(⁻?{_HIGH}))")
_TIMES = r"\s*(?:×|x|\*|·|⋅|\\times|\\cdot)\s*10"
_TENS = re.compile(
    rf"(?:e([{MINUS}+]?[0-9]{{1,4}})(?![0-9])|{_TIMES}\s*(?:\^|\*\*)\s*{_EXPONENT}|{_TIMES}(⁻?{_HIGH}))", re.IGNORECASE
)
_PERCENT = re.compile(r"\s*(?:\\?%|per\s?cent(?![^\W\d_]))", re.IGNORECASE)
# What may go on being part of a number: signs, digits, powers of ten, the beginnings of "percent" and of commands.
_NUMBERISH = re.compile(
    r"(?:[^\W_a-zA-Z]|[\s.,'\"’^*{}()\[\]$_`/÷\N{FRACTION SLASH}×·⋅+%]|"
    rf"[{MINUS}⁻]|[ex]|\\[a-z]*|p(?:e(?:r(?:\s?c(?:e(?:nt?)?)?)?)?)?)*",
    re.IGNORECASE,
)
# Longer numbers are not read: no answer has as many digits, and their powers would not end.
_DIGITS = 4000


class Numeral(NamedTuple):
    """A number without its sign, None where it is not one that is read, and where it ends in the text."""

    value: Fraction | None
    end: int


def read_numeral(text: str, start: int) -> Numeral:
    """The longest number of the grammar at `start`, where a digit, a point or a LaTeX fraction stands."""
    fraction = _FRACTION.match(text, start)
    if fraction:
        return _percent(text, fraction.end(), _ratio(*fraction.groups()))
    found = _DECIMAL.match(text, start)
    if not found or found.end() == start:
        return Numeral(None, start)
    whole, part = re.sub("[^0-9]", "", found["grouped"] or found["plain"] or "0"), found["fraction"] or ""
    end = found.end()
    if len(whole) + len(part) > _DIGITS:
        return Numeral(None, end)
    value: Fraction | None = Fraction(int(whole + part), 10 ** len(part))
    if found["plain"] and (tens := _TENS.match(text, end)):
        return _percent(text, tens.end(), value * Fraction(10) ** _exponent(tens))
    if found["plain"] and not part:
        if power := _POWER.match(text, end):
            return _percent(text, power.end(), _power(value, len(whole), _exponent(power)))
        if over := _OVER.match(text, end):
            return _percent(text, over.end(), _ratio(whole, over[1]))
    return _percent(text, end, value)


def may_go_on(text: str, start: int) -> bool:
    """Whether what stands from `start` to the end of the text may all be part of one number."""
    return _NUMBERISH.fullmatch(text, start) is not None


def _percent(text: str, end: int, value: Fraction | None) -> Numeral:
    sign = _PERCENT.match(text, end)
    return Numeral(value / 100 if sign and value is not None else value, sign.end() if sign else end)


def _exponent(match: re.Match[str]) -> int:
    found = next(group for group in match.groups() if group).translate(_RAISED)
    return int(re.sub(f"[{MINUS}]", "-", found))


def _power(base: Fraction, digits: int, exponent: int) -> Fraction | None:
    return None if digits * abs(exponent) > _DIGITS or (base == 0 and exponent <= 0) else base**exponent


def _ratio(above: str, below: str) -> Fraction | None:
    too_long = max(len(above), len(below)) > _DIGITS
    return None if too_long or int(below) == 0 else Fraction(int(above), int(below))
