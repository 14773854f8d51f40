"""Suspended: a program that has run up to a checkpoint, with what is still to do.

Law: a suspended program means what it does when it is finished: the checkpoints themselves mean nothing.

Source: the coroutine representation of arXiv 1711.03219.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax

from probinf._measure import Measure
from probinf._primitives import Scan
from probinf._sampler import Sampler


def _as_sampler(part: Any) -> Sampler:
    if isinstance(part, Sampler):
        return part
    raise TypeError(f"a suspended program is made of samplers, got {type(part).__name__}: wrap it in Draw or Reweight")


def _as_samplers(parts: Any) -> tuple[Sampler, ...]:
    return tuple(map(_as_sampler, parts))


class Suspended(eqx.Module):
    """What was done up to the next checkpoint, and the segments between the checkpoints that follow.

    Law: `meaning(m)` is that of the head, then of every segment in order.

    A segment that is a `Scan` stands for one segment a row, with a checkpoint in front of each, and is never unrolled
    by `hoist`, `sequentially` or `finish`; a scan without checkpoints inside is `Chain((scan,))`.

    Raises: TypeError where a part is no Sampler.
    """

    head: Sampler = eqx.field(converter=_as_sampler)
    rest: tuple[Sampler, ...] = eqx.field(converter=_as_samplers, default=())

    @property
    def checkpoints(self) -> int:
        """How many checkpoints are still ahead."""
        return sum(map(steps_of, self.rest))

    def meaning(self, m: Measure) -> Measure:
        """The meaning of the finished program."""
        return finish(self).meaning(m)


def suspend(first: Sampler, *later: Sampler) -> Suspended:
    """The program that runs these samplers in order, with a checkpoint between them and between the rows of a `Scan`.

    Law: `finish(suspend(a, b, c))` means what `a >> b >> c` means.

    Raises: TypeError where one is no Sampler.
    """
    if isinstance(first, Scan):
        row, remaining = next_segment(first)
        return Suspended(row, (*remaining, *later))
    return Suspended(first, later)


def advance(program: Suspended) -> Suspended:
    """Runs to the next checkpoint; a program without one is left as it is.

    Law: the meaning stays, and `finish(advance(p))` is `finish(p)`.
    """
    if not program.rest:
        return program
    segment, remaining = next_segment(program.rest[0])
    return Suspended(program.head >> segment, (*remaining, *program.rest[1:]))


def finish(program: Suspended) -> Sampler:
    """Runs to the end, past all checkpoints.

    Law: the meaning stays.
    """
    sampler = program.head
    for segment in program.rest:
        sampler = sampler >> segment
    return sampler


def steps_of(segment: Sampler) -> int:
    """The number of segments that a part of the rest stands for: the rows of a scan, else one."""
    return segment.steps if isinstance(segment, Scan) else 1


def next_segment(segment: Sampler) -> tuple[Sampler, tuple[Sampler, ...]]:
    """The first segment that a part of the rest stands for, and what is left of that part."""
    if not isinstance(segment, Scan):
        return segment, ()
    _, later = split(segment, 1)
    return segment.at(segment.row(0)), later


def split(scan: Scan, steps: int) -> tuple[tuple[Sampler, ...], tuple[Sampler, ...]]:
    """The scan over its first rows, and the one over the others; nothing where there are none.

    Raises: ValueError for a scan that records: its record would come in pieces.
    """
    if scan.record is not None or scan.observer is not None:
        raise ValueError("a scan that records cannot be stopped between its rows: give record= to sample instead")
    parts = []
    for start, stop in ((0, steps), (steps, scan.steps)):
        if start == stop:
            parts.append(())
            continue
        xs = jax.tree.map(lambda leaf, start=start, stop=stop: leaf[start:stop], scan.xs)
        length = None if scan.length is None else stop - start
        parts.append((dataclasses.replace(scan, xs=xs, length=length),))
    return parts[0], parts[1]
