"""Hoisting: a transformation of samplers acts on a suspended program, at one checkpoint or at all of them.

Law: a valid transformation (one that keeps what a sampler means) stays valid when it is hoisted.

Source: arXiv 1711.03219.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx

from probinf._primitives import Scan
from probinf._sampler import Sampler
from probinf.representations._suspended import Suspended, advance, split, steps_of

# Valid if `transformation(s).meaning` is `s.meaning`.
Transformation = Callable[[Sampler], Sampler]


class Appended(eqx.Module):
    """A transformation that puts something behind a sampler.

    Law: `self(s) >> r` is `s >> self.before(r)` where r is the segment that follows s. So at a checkpoint it does not
    matter to which side it belongs, and the rows of a scan can be transformed without unrolling it.
    """

    @abc.abstractmethod
    def __call__(self, sampler: Sampler) -> Sampler:
        """The sampler, then what is appended."""

    @abc.abstractmethod
    def before(self, segment: Sampler) -> Sampler:
        """What is appended to the part before the segment, then the segment."""


class Then(Appended):
    """The transformation s -> s >> after.

    Law: valid if `after` keeps what it is given, as `Resample` does.
    """

    after: Sampler

    def __call__(self, sampler: Sampler) -> Sampler:
        """`sampler >> after`."""
        return sampler >> self.after

    def before(self, segment: Sampler) -> Sampler:
        """`after >> segment`."""
        return self.after >> segment


class First(eqx.Module):
    """The transformation s -> before >> s.

    Law: valid if `before` keeps what it is given, as `Spawn` does.
    """

    before: Sampler

    def __call__(self, sampler: Sampler) -> Sampler:
        """`before >> sampler`."""
        return self.before >> sampler


class Hoisted(eqx.Module):
    """The stage of a scan, transformed row by row."""

    transformation: Transformation
    stage: Sampler | Callable[[Any], Sampler]

    def __call__(self, row: Any) -> Sampler:
        """The transformed stage for one row."""
        return self.transformation(self.stage if isinstance(self.stage, Sampler) else self.stage(row))


class _Before(eqx.Module):
    """What an `Appended` does to the segment that follows."""

    transformation: Appended

    def __call__(self, segment: Sampler) -> Sampler:
        return self.transformation.before(segment)


def hoist_first(transformation: Transformation, program: Suspended) -> Suspended:
    """Transforms what was done up to the next checkpoint, all of it at once.

    Law: keeps the meaning if the transformation is valid. `hoist_first(t, hoist_first(s, p))` is
    `hoist_first(t . s, p)`.

    Raises: TypeError where the transformation does not give a Sampler.
    """
    return Suspended(_transformed(transformation, program.head), program.rest)


def hoist(transformation: Transformation, program: Suspended) -> Suspended:
    """Transforms every segment, each by itself: at all checkpoints, and at the end.

    Law: keeps the meaning if the transformation is valid; `hoist(t, hoist(s, p))` is `hoist(t . s, p)`. A scan of
    segments stays a scan: make the transformation a Module such as `Then`, or keep one function, since every new
    closure is compiled anew.

    Raises: TypeError where the transformation does not give a Sampler.
    """
    rest = tuple(_on_segment(transformation, segment) for segment in program.rest)
    return Suspended(_transformed(transformation, program.head), rest)


def sequentially(transformation: Transformation, program: Suspended, steps: int | None = None) -> Suspended:
    """`(advance . hoist_first(transformation))`, `steps` times; until no checkpoint is left if None.

    Law: keeps the meaning if the transformation is valid. An `Appended` leaves scans rolled up, by its own law; any
    other transformation sees all that was done so far, so each step is written out.

    Raises: ValueError for more steps than checkpoints, or fewer than none.
    """
    steps = program.checkpoints if steps is None else steps
    if not 0 <= steps <= program.checkpoints:
        raise ValueError(f"a program with {program.checkpoints} checkpoints cannot be advanced {steps} times")
    if not isinstance(transformation, Appended):
        for _ in range(steps):
            program = advance(hoist_first(transformation, program))
        return program
    head, rest = program.head, list(program.rest)
    while steps:
        part = rest.pop(0)
        if isinstance(part, Scan) and part.steps > steps:
            (part,), later = split(part, steps)
            rest = [*later, *rest]
        head = head >> _on_segment(_Before(transformation), part)
        steps -= steps_of(part)
    return Suspended(head, tuple(rest))


def _on_segment(transformation: Transformation, segment: Sampler) -> Sampler:
    if isinstance(segment, Scan):
        return dataclasses.replace(segment, stage=Hoisted(transformation, segment.stage))
    return _transformed(transformation, segment)


def _transformed(transformation: Transformation, sampler: Sampler) -> Sampler:
    result = transformation(sampler)
    if not isinstance(result, Sampler):
        raise TypeError(f"a transformation maps a Sampler to a Sampler, got {type(result).__name__}")
    return result
