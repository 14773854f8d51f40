"""Micro-tasks whose answer is a number."""

from __future__ import annotations

import re
from collections.abc import Callable

from probinf.figures._micro_tasks import Check, MicroTask, Test

_SUMS = ((7, 8), (9, 6), (8, 5), (14, 9), (27, 5), (23, 14), (35, 27), (16, 7))
_DIFFERENCES = ((17, 9), (62, 25))
_PRODUCTS = ((6, 14), (9, 12), (3, 27))
# No worked example has the answer of a task.
_EXAMPLES = {
    "sum": (("24 + 51 =", "75"), ("6 + 5 =", "11"), ("37 + 16 =", "53"), ("18 + 3 =", "21")),
    "difference": (("75 - 24 =", "51"), ("14 - 5 =", "9"), ("53 - 17 =", "36"), ("21 - 4 =", "17")),
    "product": (("What is 6 * 7?", "42"), ("What is 5 * 13?", "65"), ("What is 2 * 36?", "72")),
    "number": (
        ("Name an even number between 10 and 20.", "14"),
        ("Name a multiple of 5 between 30 and 60.", "55"),
        ("Name an odd number between 70 and 90.", "83"),
    ),
}


def number_tasks() -> tuple[MicroTask, ...]:
    """Sums, differences, products, and numbers with a property."""
    return (
        *(_result("sum", f"{a} + {b} =", a + b, _tens(a) + _tens(b), 10) for a, b in _SUMS),
        *(_result("difference", f"{a} - {b} =", a - b, _tens(a) - _tens(b), 10) for a, b in _DIFFERENCES),
        *(_result("product", f"What is {a} * {b}?", a * b, a * _tens(b), 5 * a) for a, b in _PRODUCTS),
        _property("a multiple of 5", 60, 90, _modulo(5, 0), ("two digits", lambda n: 10 <= n <= 99),
                  ("multiple of 5", _modulo(5, 0))),
        _property("an odd number", 20, 40, _modulo(2, 1), ("two digits", lambda n: 10 <= n <= 99),
                  ("odd", _modulo(2, 1))),
        _property("a number whose digits sum to 9", 10, 100, lambda n: n // 10 + n % 10 == 9,
                  ("multiple of 3", _modulo(3, 0)), ("not below 18", lambda n: n >= 18)),
    )  # fmt: skip


def integer(answer: str) -> int | None:
    """The integer that an answer is, written with digits alone; None where it is none."""
    return int(answer) if re.fullmatch(r"-?[0-9]{1,9}", answer) else None


def _on_integer(test: Callable[[int], bool]) -> Test:
    def passes(answer: str) -> bool:
        number = integer(answer)
        return number is not None and test(number)

    return passes


def _result(kind: str, question: str, result: int, estimate: int, tolerance: int) -> MicroTask:
    """A calculation; the last check compares with an estimate from numbers that are rounded to tens."""
    checks = (
        Check("an integer", _on_integer(lambda n: True)),
        Check("parity", _on_integer(lambda n: n % 2 == result % 2)),
        Check("number of digits", _on_integer(lambda n: len(str(n)) == len(str(result)))),
        Check("last digit", _on_integer(lambda n: n % 10 == result % 10)),
        Check(f"within {tolerance} of the estimate {estimate}", _on_integer(lambda n: abs(n - estimate) <= tolerance)),
    )
    return MicroTask(kind, question, _EXAMPLES[kind], _on_integer(lambda n: n == result), checks)


def _tens(n: int) -> int:
    return (n + 5) // 10 * 10


def _property(
    what: str, low: int, high: int, right: Callable[[int], bool], *more: tuple[str, Callable[[int], bool]]
) -> MicroTask:
    """A number strictly between two others with a property, of which two consequences are checked."""
    named = (("an integer", lambda n: True), (f"above {low}", lambda n: n > low), (f"below {high}", lambda n: n < high))
    checks = tuple(Check(name, _on_integer(test)) for name, test in (*named, *more))
    question = f"Name {what} between {low} and {high}."
    return MicroTask(
        "number", question, _EXAMPLES["number"], _on_integer(lambda n: low < n < high and right(n)), checks
    )


def _modulo(divisor: int, *remainders: int) -> Callable[[int], bool]:
    return lambda n: n % divisor in remainders
