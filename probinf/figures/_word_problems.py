"""Generated word problems of two steps, the prompt that shows how to solve them, and what counts as right."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

STEPS = 2
# The longest right line, such as "9+6=15", is seven tokens with its end where each digit is one.
TOKENS_PER_STEP = 8
_PEOPLE = (("Tom", "He"), ("Mia", "She"), ("Leo", "He"), ("Sara", "She"), ("Omar", "He"), ("Kim", "She"),
           ("Paul", "He"), ("Nina", "She"))  # fmt: skip
_THINGS = ("apples", "cards", "coins", "nuts", "pens", "eggs", "books", "keys", "hats", "balls")
_GAINS = ("buys {} more", "finds {} more", "gets {} more")
_LARGEST_CHANGE, _LARGEST_RESULT = 9, 15
# Fixed, so that the problems that the reward was trained on stay apart from the others.
_SEED = 4
_LINE = re.compile(r"[^\n]*=\s*(-?\d+)\s*\n")


class WordProblem(NamedTuple):
    """A question, and its numbers: how many there are at first, and how many come or go, twice."""

    question: str
    first: int
    changes: tuple[int, int]

    @property
    def answer(self) -> int:
        """How many there are in the end."""
        return self.first + sum(self.changes)

    @property
    def solution(self) -> str:
        """The two lines of a right solution."""
        middle = self.first + self.changes[0]
        return f"{_equation(self.first, self.changes[0])}\n{_equation(middle, self.changes[1])}\n"


def _equation(before: int, change: int) -> str:
    return f"{before}{change:+d}={before + change}"


_EXAMPLES = (
    WordProblem("Anna has 6 books. She buys 5 more and then sells 3. How many books does Anna have now?", 6, (5, -3)),
    WordProblem("Ben has 9 balls. He loses 7 and then finds 4. How many balls does Ben have now?", 9, (-7, 4)),
    WordProblem("Rosa has 4 hats. She gets 5 more and then buys 2 more. How many hats does Rosa have now?", 4, (5, 2)),
    WordProblem("Paul has 13 keys. He loses 2 and then gives away 6. How many keys does Paul have now?", 13, (-2, -6)),
)


def word_problems(training: int, evaluation: int) -> tuple[list[WordProblem], list[WordProblem]]:
    """Two lists of problems without common numbers: no two problems, nor a worked example, share all three.

    Both changes are gains: with losses among them, as in the worked examples, SmolLM2-135M hardly solves any.

    Law: the same problems each time; a longer list of either kind starts with the shorter one.

    Raises: ValueError where there are not so many.
    """
    triples = [
        (first, (a, b))
        for first in range(2, 10)
        for a in range(1, _LARGEST_CHANGE + 1)
        for b in range(1, _LARGEST_CHANGE + 1)
        if first + a + b <= _LARGEST_RESULT
    ]
    shown = {example[1:] for example in _EXAMPLES}
    triples = [triple for triple in triples if triple not in shown]
    if training + evaluation > len(triples):
        raise ValueError(f"there are {len(triples)} problems, fewer than {training} + {evaluation}")
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(len(triples))
    problems = [_told(rng, *triples[i]) for i in order]
    # From both ends, so that a longer list of one kind changes nothing of the other.
    return problems[:training], problems[::-1][:evaluation]


def _told(rng: np.random.Generator, first: int, changes: tuple[int, int]) -> WordProblem:
    name, pronoun = _PEOPLE[rng.integers(len(_PEOPLE))]
    things = _THINGS[rng.integers(len(_THINGS))]
    did, then = (str(rng.choice(_GAINS)).format(change) for change in changes)
    question = f"{name} has {first} {things}. {pronoun} {did} and then {then}. How many {things} does {name} have now?"
    return WordProblem(question, first, changes)


def prompt_text(problem: WordProblem) -> str:
    """Four worked examples, then the question."""
    shown = "".join(f"Q: {example.question}\nA: {example.solution}\n" for example in _EXAMPLES)
    return f"{shown}Q: {problem.question}\nA: "


def stated_answer(text: str) -> int | None:
    """The result on the last of two lines that each end in "= number"; None where the text is not such.

    Law: the right solution of every problem states its answer.
    """
    lines = [_LINE.fullmatch(line) for line in text.splitlines(keepends=True)]
    last = lines[-1] if len(lines) == STEPS and all(lines) else None
    return None if last is None else int(last.group(1))
