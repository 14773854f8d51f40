"""How what a server does wrong is told: as data for one lane, as an exception for a run."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Failure:
    """A request that was given up, and why.

    requests: how many times it was sent. status: the server's last HTTP status, None where there was none.
    no_room: whether the prompt leaves no room in the server's context.
    """

    reason: str
    requests: int = 0
    status: int | None = None
    no_room: bool = False


class ServerError(RuntimeError):
    """A server that failed too often for a run to go on; `values` is the cloud so far, with all that was paid for."""

    def __init__(self, message: str, values: list[Any]):
        super().__init__(message)
        self.values = values


class MalformedAnswer(ValueError):
    """A server's answer that is not what the protocol promises; it is asked for again."""
