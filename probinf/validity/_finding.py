"""One thing that a check looked at, and by how much it failed."""

from __future__ import annotations

from typing import Any, NamedTuple


class Finding(NamedTuple):
    """`what` was compared, by how much it differs, and how much it may; NaN has not passed.

    kind: what a failure counts as. size: the number of particles, branches: those of the program that was read, where
    it was read at another one than the check of the whole.
    """

    what: str
    error: float
    tolerance: float = 1e-10
    kind: str = "exact"
    size: int | None = None
    branches: tuple[Any, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance
