"""Tests the promise behind `uniform_cells`: nothing depends on where in its cell the uniform lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from probinf.validity._keys import differing_rows
from probinf.validity._program import Program

# Cells narrower than rounding can misplace a break say nothing.
_NEGLIGIBLE = 1e-12
# The middle of a cell, and a point near each end: one break left out stands between two of them.
_POSITIONS = (0.5, 0.0137, 0.9863)


class BrokenCells(ValueError):
    """A program depends on where in its cell the uniform of a `uniform_cells` lies."""


def check_cells(f: Callable[..., PyTree], key: PRNGKeyArray, *args: Any, limit: int = 2_000_000) -> None:
    """Evaluates `f(key, *args)` on every script, three points a cell, and compares.

    Law: `enumerate_law` is exact where the result is constant on every cell. A single break left out is
    seen if it lies between 1.4 % and 98.6 % of the width of its cell.

    Raises: BrokenCells, naming the lines; NotEnumerable and TooManyWorlds as `enumerate_law` does.
    """
    with jax.enable_x64(True):
        program = Program(f, key, args, limit, grid=0)
        for (_, middle), *ends in zip(*(program.batches(p) for p in _POSITIONS), strict=True):
            possible = middle.log_prob > np.log(_NEGLIGIBLE)
            for _, end in ends:
                # The law of a later draw counts as a result too.
                differs = differing_rows(middle.log_weights, end.log_weights)
                for before, after in zip(middle.outputs, end.outputs, strict=True):
                    differs |= differing_rows(before, after)
                if np.any(differs & possible):
                    raise BrokenCells(_sentence(program))


def _sentence(program: Program) -> str:
    lines = " or ".join(site.source for site in program.sites if site.name == "uniform_cells")
    return f"the result changes inside a cell at {lines}: pass every point where it changes as a break"
