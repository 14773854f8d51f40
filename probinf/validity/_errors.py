"""What exact enumeration refuses, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence


class NotEnumerable(ValueError):
    """The program cannot be read on every outcome; the sentence names the line and the way out."""


class NotANumber(NotEnumerable):
    """A draw has a probability that is not a number."""


class HiddenRandomness(NotEnumerable):
    """The outcome depends on the key otherwise than by draws that can be read."""


class UnknownForm(TypeError):
    """This version of JAX writes programs in a form that the exact checks cannot read."""


class KeyReuseError(ValueError):
    """Two draws that matter to the same outcome use one PRNG key, so they are not independent."""


class TooManyWorlds(ValueError):
    """The product of the arities of all draws is above the limit."""

    def __init__(self, arities: Sequence[int], limit: int, detail: str):
        # The exact product of a hundred thousand numbers takes longer than all the rest.
        digits = sum(math.log10(arity) for arity in arities)
        self.count = math.prod(arities) if digits < 300 else math.inf
        self.limit = limit
        told = f"{self.count:.4g}" if digits < 300 else f"10^{digits:.0f}"
        super().__init__(f"{told} worlds exceed the limit of {limit:,} ({detail}): use fewer lanes, steps or outcomes")
