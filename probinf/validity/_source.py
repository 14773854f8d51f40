"""The user's line behind an equation of a jaxpr."""

from __future__ import annotations

import os
from typing import Any

import equinox
import jax
import jaxtyping

import probinf._choice

# Frames of these say nothing about where the user drew; beartype names its wrappers "<@beartype...".
_PASSED_OVER = (
    *(os.path.dirname(str(module.__file__)) + os.sep for module in (jax, equinox, jaxtyping)),
    str(probinf._choice.__file__),
    "<@beartype",
)

UNKNOWN_LINE = "an unknown line"


def source_line(equation: Any, caller: str = UNKNOWN_LINE) -> str:
    """`file:line (function)` of the innermost frame that is neither JAX's nor the drawing primitive's own.

    `caller` stands in where there is none: a function that JAX itself compiles has no frame of the user.
    """
    traceback = equation.source_info.traceback
    for frame in traceback.frames if traceback is not None else ():
        if not frame.file_name.startswith(_PASSED_OVER):
            return f"{frame.file_name}:{frame.line_num} ({frame.function_name})"
    return caller
