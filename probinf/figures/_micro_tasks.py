"""Micro-tasks whose truth is decided exactly, and verifiers of known strength that are sloppier than the truth.

Each task has five checks in a fixed order. Every right answer passes all of them, so that the verifier "the first m
checks" never rejects a right answer (true positive rate 1), and its false positive rate falls as m grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Test = Callable[[str], bool]

STRENGTHS = (1, 2, 3, 5)
_CUT_OFF = "\u2026"


class Check(NamedTuple):
    """What a sloppy verifier looks at, in words, and how."""

    name: str
    passes: Test


class MicroTask(NamedTuple):
    """A question, what a model is shown of its kind, what is right, and five necessary conditions of that.

    `max_tokens` is the room for an answer, with the end of its line.
    """

    kind: str
    question: str
    examples: tuple[tuple[str, str], ...]
    right: Test
    checks: tuple[Check, ...]
    max_tokens: int = 6

    @property
    def prompt(self) -> str:
        """The worked examples, then the question; the answer ends with its line."""
        shown = "".join(f"Q: {question}\nA: {answer}\n" for question, answer in self.examples)
        return f"{shown}Q: {self.question}\nA:"


def clean_answer(text: str) -> str:
    """The first line of a text, without white space around it and without full stops at its end.

    A text that was cut off before its line ended is marked by an ellipsis, which is no part of any right answer.
    """
    line, end, _ = text.partition("\n")
    return line.strip().rstrip(".").rstrip() if end else line.strip() + _CUT_OFF


def accepts(task: MicroTask, answer: str, strength: int) -> bool:
    """Whether the first `strength` checks pass.

    Raises: ValueError where the task has not so many checks.
    """
    if not 1 <= strength <= len(task.checks):
        raise ValueError(f"strength must lie in 1 to {len(task.checks)}, the number of checks, got {strength}")
    return all(check.passes(answer) for check in task.checks[:strength])


def micro_tasks() -> tuple[MicroTask, ...]:
    """All tasks, in the order of the recorded samples."""
    # Here, because the two modules that list the tasks import their type from this one.
    from probinf.figures._micro_numbers import number_tasks
    from probinf.figures._micro_texts import text_tasks

    return (*number_tasks(), *text_tasks())
