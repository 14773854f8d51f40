"""Errors for numbers that are no rates, weights, costs, attempts or counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf._arguments import floating

# Sums of many single-precision weights are off by this much and no more.
_ROUNDING = 1e-5


def as_float(x: Any) -> Array:
    """Numbers as a floating-point array: integers would have no gradient.

    Raises: TypeError for complex numbers and text.
    """
    return floating("rates, counts and numbers of attempts", x)


def check_rates(name: str, values: Array) -> None:
    """Raises ValueError for a concrete probability outside [0, 1]."""
    # Written so that NaN fails too.
    if not isinstance(values, Tracer) and not np.all((np.asarray(values) >= 0) & (np.asarray(values) <= 1)):
        raise ValueError(f"{name} is a probability and lies in [0, 1], got {np.asarray(values)}")


def check_weights(weights: Array) -> None:
    """Raises ValueError for concrete weights that are negative or do not sum to one."""
    if isinstance(weights, Tracer):
        return
    values = np.asarray(weights)
    if not np.all(values >= 0) or not abs(values.sum() - 1) <= _ROUNDING:
        raise ValueError(
            f"weights of tasks must be at least zero and sum to one, got a sum of {values.sum():.6g}: divide them by "
            "their sum, or leave them out for tasks that count alike"
        )


def check_cost(name: str, value: Array) -> None:
    """Raises ValueError for a concrete cost that is negative or not finite."""
    if not isinstance(value, Tracer) and not np.all((np.asarray(value) >= 0) & np.isfinite(np.asarray(value))):
        raise ValueError(f"{name} must be a finite number of at least zero, got {value}: what is gained is a benefit")


def check_positive(name: str, value: Array) -> None:
    """Raises ValueError for a concrete number that is not positive and finite."""
    if not isinstance(value, Tracer) and not np.all((np.asarray(value) > 0) & np.isfinite(np.asarray(value))):
        raise ValueError(f"{name} must be positive and finite, got {np.asarray(value)}")


def check_beta_range(alpha: Array, beta: Array) -> None:
    """Raises ValueError for concrete parameters of a Beta law for which its integrals are not checked."""
    for name, value in (("alpha", alpha), ("beta", beta)):
        # Single precision has no .01.
        if not isinstance(value, Tracer) and not np.all((np.asarray(value) > 0.00999) & (np.asarray(value) < 1.001e6)):
            raise ValueError(
                f"integrals over a Beta law are right for alpha and beta from 0.01 to 1e6, got {name}={value}: "
                "take a Population of one or two tasks for a law that is so narrow or so wide"
            )


def as_scores(scores: Any) -> Array:
    """Scores of tasks as floats [tasks, ...].

    Raises: ValueError for a single number, and concrete scores that are not finite.
    """
    values = as_float(scores)
    if values.ndim == 0:
        raise ValueError("scores have a row for each task, got a single number: pass an array [tasks, ...]")
    if not isinstance(values, Tracer) and not np.all(np.isfinite(np.asarray(values))):
        raise ValueError("scores must be finite, got NaN or infinity: leave out what was not measured")
    return values


def check_number(name: str, value: Any) -> None:
    """Raises ValueError for a number of things that is below one or not whole."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least one, got {name}={value}")


def check_part(part_name: str, part: Any, whole_name: str, whole: Any) -> None:
    """Raises ValueError for concrete counts that are negative or not whole, and a part that exceeds its whole."""
    if isinstance(part, Tracer) or isinstance(whole, Tracer):
        return
    part, whole = np.broadcast_arrays(np.asarray(part), np.asarray(whole))
    # Written so that NaN fails too.
    bad = ~((part >= 0) & (part <= whole) & (np.floor(part) == part) & (np.floor(whole) == whole))
    if np.any(bad):
        where = "" if bad.ndim == 0 else f" at {np.argwhere(bad)[0].tolist()}"
        raise ValueError(
            f"{part_name} and {whole_name} must be whole numbers with 0 <= {part_name} <= {whole_name}, got "
            f"{part_name}={part[bad].flat[0]:g} and {whole_name}={whole[bad].flat[0]:g}{where}: pass counts, not rates"
        )


def as_attempts(attempts: Any, *, least: int = 0) -> Float[Array, "*K"]:
    """Numbers of attempts as floats; infinity is one.

    Raises: ValueError for concrete ones below `least`, and ones that are no whole numbers.
    """
    found = as_float(attempts)
    if not isinstance(attempts, Tracer):
        values = np.asarray(attempts)
        if not values.size:
            raise ValueError("there is no number of attempts: pass at least one")
        if not np.all(values >= least) or not np.all(np.floor(values) == values):
            raise ValueError(f"the number of attempts must be a whole number of at least {least}, got {attempts}")
    return found
