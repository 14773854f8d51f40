"""Micro-tasks whose answer is a text."""

from __future__ import annotations

import json
import re
from typing import Any

from probinf.figures._micro_tasks import Check, MicroTask

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LATER = (("Tuesday", 4), ("Friday", 3), ("Sunday", 2), ("Wednesday", 5))
# First letter and number of letters.
_WORDS = (("b", 5), ("s", 5), ("c", 6), ("p", 4), ("d", 4), ("h", 5))
_LAST = ("table", "robot", "wagon")
_NEXT = ("t", "j")
_CAPITALS = (("Turkey", "Ankara"), ("Australia", "Canberra"), ("Nigeria", "Abuja"), ("Morocco", "Rabat"))
_TABLES = (
    (("Tom", 4), ("Ana", 9), ("Leo", 6), ("Mia", 2)),
    (("Ben", 7), ("Eva", 3), ("Max", 5), ("Zoe", 8)),
    (("Kim", 12), ("Sam", 15), ("Ida", 11), ("Jon", 14)),
    (("Gus", 5), ("Hal", 8), ("Ivy", 1), ("Joe", 7)),
)
_JSON = (("city", "year", 1900, 2000),)
_EXAMPLES = {
    "word": (
        ("Write a word of 4 letters that starts with t.", "talk"),
        ("Write a word of 6 letters that starts with g.", "garden"),
        ("Write a word of 5 letters that starts with a.", "apple"),
        ("Write a word of 4 letters that starts with n.", "nest"),
    ),
    "last": (
        ("What is the last letter of bird?", "d"),
        ("What is the last letter of hill?", "l"),
        ("What is the last letter of drum?", "m"),
    ),
    "next": (
        ("Which letter follows b?", "c"),
        ("Which letter follows m?", "n"),
        ("Which letter follows v?", "w"),
    ),
    "capital": (
        ("What is the capital of France?", "Paris"),
        ("What is the capital of Japan?", "Tokyo"),
        ("What is the capital of Egypt?", "Cairo"),
    ),
    "day": (("What day is 2 days after Monday?", "Wednesday"), ("What day is 3 days after Thursday?", "Sunday")),
    "table": (
        ("Kai has 3 pens. Lou has 8 pens. Pam has 1 pen. Who has the second most pens?", "Kai"),
        ("Ron has 6 pens. Sue has 2 pens. Ted has 9 pens. Who has the second most pens?", "Ron"),
    ),
    "json": (
        ('Write JSON with the keys "color" and "size"; size is a number above 5 and below 8.',
         '{"color": "red", "size": 6}'),
        ('Write JSON with the keys "animal" and "legs"; legs is a number above 1 and below 7.',
         '{"animal": "dog", "legs": 4}'),
    ),
}  # fmt: skip


def text_tasks() -> tuple[MicroTask, ...]:
    """Words, letters, facts, days, names and JSON."""
    return (
        *(_word(*row) for row in _WORDS),
        *(_letter("last", f"What is the last letter of {word}?", word[-1], word) for word in _LAST),
        *(_letter("next", f"Which letter follows {c}?", _ALPHABET[_ALPHABET.index(c) + 1], "") for c in _NEXT),
        *(_text("capital", f"What is the capital of {country}?", city) for country, city in _CAPITALS),
        *(_later(*row) for row in _LATER),
        *(_second(row) for row in _TABLES),
        *(_object(*row) for row in _JSON),
    )


def _word(first: str, length: int) -> MicroTask:
    """Any text of so many lower-case letters counts as a word: no dictionary decides."""
    checks = (
        Check("lower-case letters", lambda a: re.fullmatch("[a-z]+", a) is not None),
        Check("first letter", lambda a: a[:1] == first),
        Check("more than three letters", lambda a: len(a) > 3),
        Check("a vowel", lambda a: any(c in "aeiouy" for c in a)),
        Check("not too long", lambda a: len(a) <= length + 1),
    )
    question = f"Write a word of {length} letters that starts with {first}."

    def right(answer: str) -> bool:
        return re.fullmatch(f"{first}[a-z]{{{length - 1}}}", answer) is not None and checks[3].passes(answer)

    return MicroTask("word", question, _EXAMPLES["word"], right, checks)


def _text(kind: str, question: str, result: str) -> MicroTask:
    """A question with one text for an answer, of which outward signs are checked."""
    checks = (
        Check("letters", lambda a: re.fullmatch("[A-Za-z]+", a) is not None),
        Check("first letter", lambda a: a[:1] == result[0]),
        Check("length up to one", lambda a: abs(len(a) - len(result)) <= 1),
        Check("last letter", lambda a: a[-1:] == result[-1]),
        Check("number of vowels", lambda a: sum(c in "aeiou" for c in a) == sum(c in "aeiou" for c in result)),
    )
    return MicroTask(kind, question, _EXAMPLES[kind], lambda a: a == result, checks)


def _letter(kind: str, question: str, result: str, word: str) -> MicroTask:
    checks = (
        Check("letters", lambda a: re.fullmatch("[A-Za-z]+", a) is not None),
        Check("one letter", lambda a: len(a) == 1),
        Check("lower case", lambda a: a == a.lower()),
        Check("of the word", lambda a: a in word or not word),
        Check("vowel or not", lambda a: (a in tuple("aeiou")) == (result in tuple("aeiou"))),
    )
    return MicroTask(kind, question, _EXAMPLES[kind], lambda a: a == result, checks)


def _later(day: str, days: int) -> MicroTask:
    result = _DAYS[(_DAYS.index(day) + days) % 7]
    checks = (
        Check("ends in day", lambda a: a.endswith("day")),
        Check("a day of the week", lambda a: a in _DAYS),
        Check("not the day of the question", lambda a: a != day),
        Check("not the day after it", lambda a: a != _DAYS[(_DAYS.index(day) + 1) % 7]),
        Check("weekend or not", lambda a: a.startswith("S") == result.startswith("S")),
    )
    return MicroTask("day", f"What day is {days} days after {day}?", _EXAMPLES["day"], lambda a: a == result, checks)


def _second(table: tuple[tuple[str, int], ...]) -> MicroTask:
    ranked = sorted(table, key=lambda row: -row[1])
    number = dict(table)
    checks = (
        Check("a word with a capital", lambda a: re.fullmatch("[A-Z][a-z]+", a) is not None),
        Check("a name of three letters", lambda a: len(a) == 3),
        Check("a name of the table", lambda a: a in number),
        Check("not the least", lambda a: a != ranked[-1][0]),
        Check("not the most", lambda a: a != ranked[0][0]),
    )
    told = " ".join(f"{name} has {n} pens." for name, n in table)
    question = f"{told} Who has the second most pens?"
    return MicroTask("table", question, _EXAMPLES["table"], lambda a: a == ranked[1][0], checks)


def _object(text_key: str, number_key: str, low: int, high: int) -> MicroTask:
    checks = (
        Check("braces", lambda a: a.startswith("{") and a.endswith("}")),
        Check("both keys are mentioned", lambda a: f'"{text_key}"' in a and f'"{number_key}"' in a),
        Check("a digit", lambda a: re.search("[0-9]", a) is not None),
        Check("valid JSON", lambda a: _parsed(a) is not None),
        Check("an object", lambda a: isinstance(_parsed(a), dict)),
    )

    def right(answer: str) -> bool:
        value = _parsed(answer)
        if not isinstance(value, dict) or set(value) != {text_key, number_key}:
            return False
        number = value[number_key]
        return isinstance(value[text_key], str) and type(number) in (int, float) and low < number < high

    question = (
        f'Write JSON with the keys "{text_key}" and "{number_key}"; {number_key} is a number above {low} and below '
        f"{high}."
    )
    return MicroTask("json", question, _EXAMPLES["json"], right, checks, 26)


def _parsed(answer: str) -> Any:
    """What valid JSON stands for; None where it is not valid."""
    try:
        return json.loads(answer)
    except ValueError:
        return None
