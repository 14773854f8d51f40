"""Tests the promise behind `uniform_cells`: nothing depends on where in its cell the uniform lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from probinf.validity._keys import differing_rows
from probinf.validity._program import Program

# Cells narrower than this are misplaced by rounding as much as by a wrong break.
_NARROW = 1e-7
# The middle of a cell, points very near its ends (one break left out stands between two of them), and two between.
_POSITIONS = (0.5, 1e-6, 1.0 - 1e-6, 0.237, 0.781)
# Worlds that are looked at: all where there are no more.
_MOST_WORLDS = 2**15


class BrokenCells(ValueError):
    """A program depends on where in its cell the uniform of a `uniform_cells` lies."""


def check_cells(f: Callable[..., PyTree], key: PRNGKeyArray, *args: Any, limit: int = 2_000_000) -> None:
    """Evaluates `f(key, *args)` on every script, five points a cell, and compares.

    Law: `enumerate_law` is exact where the result is constant on every cell. A single break left out is
    seen if it lies further than a millionth of the width of its cell from the ends of the cell.

    Raises: BrokenCells, naming the lines; NotEnumerable and TooManyWorlds as `enumerate_law` does.
    """
    with jax.enable_x64(True):
        check_positions(Program.of(f, key, args, limit))


def check_positions(program: Program, *, grid: bool = False) -> None:
    """The same for a program that was built before; of more than 32,768 worlds, as many of them.

    With `grid` the points of a grid stand for their cells too: then a threshold between two points is seen.

    Raises: BrokenCells.
    """
    if not _lines(program, grid):
        return
    worlds = np.unique(np.linspace(0, program.worlds - 1, min(program.worlds, _MOST_WORLDS)).astype(np.int64))
    for start in range(0, len(worlds), program.rows):
        outcomes = program.outcomes(worlds[start : start + program.rows])
        middle, *others = (
            program.run(outcomes, position, on_grid=position if grid else 0.5) for position in _POSITIONS
        )
        wide = np.all(middle.log_weights > np.log(_NARROW), axis=1)
        for other in others:
            # The law of a later draw counts as a result too.
            differs = differing_rows(middle.log_weights, other.log_weights)
            for before, after in zip(middle.outputs, other.outputs, strict=True):
                differs |= differing_rows(before, after)
            if np.any(differs & wide):
                raise BrokenCells(_sentence(program, grid))


def _lines(program: Program, grid: bool) -> list[str]:
    """The lines whose outcome stands for an interval of uniforms."""
    celled = ("uniform_cells", "random_bits") if grid else ("uniform_cells",)
    return [site.source for site in program.sites if site.name in celled]


def _sentence(program: Program, grid: bool) -> str:
    lines = " or ".join(_lines(program, grid))
    return (
        f"the result changes inside a cell at {lines}: pass every point where it changes as a break, or read it on a "
        "grid of which every threshold is a multiple"
    )
