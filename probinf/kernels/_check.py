"""What a sampler must be so that a kernel can be built on it."""

from __future__ import annotations

from typing import Any

from probinf._arguments import is_count
from probinf._measure import Guarantee, MeaningError, Measure
from probinf._sampler import Sampler

_PROPER = (Guarantee.EXACT, Guarantee.PROPER, Guarantee.CHANGES_TARGET)


def as_sampler(sampler: Any) -> Sampler:
    """A `Sampler` as it is.

    Raises: TypeError for anything else.
    """
    if isinstance(sampler, Sampler):
        return sampler
    raise TypeError(f"expected a Sampler, got {type(sampler).__name__}: pmmh takes a model of parameters")


def target_of(sampler: Sampler, who: str) -> Measure:
    """What a sampler means from nothing, if its weights are proper for it.

    Raises: TypeError where it runs on the host; MeaningError where its weights are not proper.
    """
    if not sampler.traceable:
        raise TypeError(f"{who} is compiled, but its sampler runs on the host: use traceable factors")
    target = sampler.meaning(Measure())
    if target.guarantee not in _PROPER:
        raise MeaningError(
            f"{who} needs a properly weighted sampler, but this one is only '{target.guarantee.value}' for "
            f"'{target.name}': leave out what chooses or adapts"
        )
    return target


def check_particles(n: int, least: int, who: str) -> None:
    """Raises: ValueError for fewer than `least` particles."""
    if not is_count(n, least):
        raise ValueError(f"{who} needs n >= {least} particles, got {n}")


def check_state(x: Any, kind: type, who: str, start: str) -> None:
    """Raises: TypeError for a chain that does not carry what the kernel keeps between its runs."""
    if not isinstance(x, kind):
        raise TypeError(
            f"a chain of {who} carries {kind.__name__}, the value together with the run that gave it, but got "
            f"{type(x).__name__}: start it from {start}"
        )
