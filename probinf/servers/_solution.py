"""A solution that servers write, as it lies in a cloud on the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from probinf.servers._wire import Completion


@dataclasses.dataclass(frozen=True)
class RemoteSolution:
    """One solution: the value of a lane.

    text: all steps so far, with the stop strings between them. log_odds: of the reward after each step, in nats.
    finished: nothing follows. cut_off: whether it is finished because the server's context is full. advanced: whether
    the latest round wrote a step. log_prob: the sum of the steps' (see `Completion`), in nats; None where the server
    does not give all of them. tokens: written on the way to this text, None where unknown. failures: the rounds in
    which the lane did not get its step.

    empty: how many of the latest steps are empty. draft: a step that is paid for but has no reward yet. uncounted: the
    round that wrote the latest step was broken off before weights were updated, so the next one is to count it.
    """

    text: str = ""
    log_odds: tuple[float, ...] = ()
    finished: bool = False
    advanced: bool = False
    log_prob: float | None = 0.0
    tokens: int | None = 0
    failures: int = 0
    empty: int = 0
    draft: Completion | None = None
    uncounted: bool = False
    cut_off: bool = False

    @property
    def steps(self) -> int:
        """How many steps are written."""
        return len(self.log_odds)

    def idle(self) -> RemoteSolution:
        """The same solution after a round in which it did nothing."""
        return dataclasses.replace(self, advanced=False)


def as_solutions(values: Any, n: int) -> list[RemoteSolution]:
    """The values of a cloud of n lanes that servers write.

    Raises: TypeError for other values.
    """
    if not isinstance(values, Sequence) or not all(isinstance(value, RemoteSolution) for value in values):
        raise TypeError("a step of RemoteReasoning follows its start: Draw(writer.start()) >> Draw(writer.step())")
    if len(values) != n:
        raise TypeError(f"a cloud of {n} lanes needs {n} solutions, got {len(values)}")
    return list(values)
