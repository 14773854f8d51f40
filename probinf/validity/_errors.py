"""What exact enumeration refuses, and why."""

from __future__ import annotations


class NotEnumerable(ValueError):
    """The program cannot be read on every outcome; the sentence names the line and the way out."""


class UnknownForm(TypeError):
    """This version of JAX writes programs in a form that the exact checks cannot read."""


class KeyReuseError(ValueError):
    """Two draws that matter to the same outcome use one PRNG key, so they are not independent."""


class TooManyWorlds(ValueError):
    """The product of the arities of all draws is above the limit."""

    def __init__(self, count: int, limit: int, detail: str):
        self.count = count
        self.limit = limit
        super().__init__(
            f"{count:.4g} worlds exceed the limit of {limit:,} ({detail}): use fewer lanes, steps or outcomes"
        )
