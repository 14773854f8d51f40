"""What numbers a function is given: each check names the argument, what it must be, and what it is.

Shapes and kinds are known inside a trace too; values are looked at only where they are concrete.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

# Sums of single-precision probabilities are off by this much and no more.
_ROUNDING = 1e-4


def floating(name: str, x: Any, axes: str | None = None) -> Float[Array, "..."]:
    """Real numbers of any value, NaN too, as a floating-point array; arguments and errors as for `real`."""
    found = _array(name, x, axes)
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(float)


def real(
    name: str,
    x: Any,
    axes: str | None = None,
    *,
    low: float | int = -np.inf,
    high: float | int = np.inf,
    finite: bool = False,
) -> Float[Array, "..."]:
    """Real numbers as a floating-point array.

    Args:
        name: what the argument is called.
        x: an array, a list or a number.
        axes: names of the axes, "" for a single number, None for any shape.
        low: the least value that is allowed.
        high: the largest.
        finite: whether infinities are refused; NaN always is.

    Raises:
        TypeError: Complex numbers, text or objects.
        ValueError: Another number of axes; NaN and values out of range, where they can be seen.
    """
    found = _array(name, x, axes)
    if not isinstance(found, Tracer):
        values = np.asarray(found)
        # Written so that NaN fails too.
        inside = (values >= low) & (values <= high)
        inside = inside & np.isfinite(values) if finite else inside
        if not inside.all():
            raise ValueError(f"{name} must be {_range(low, high, finite)}, got {values[~inside].flat[0]:g}")
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(float)


def whole(
    name: str, x: Any, axes: str | None = None, *, low: float | int = -np.inf, high: float | int = np.inf
) -> Int[Array, "..."]:
    """Whole numbers as an array of integers, with the arguments and errors of `real`."""
    found = _array(name, x, axes)
    if not isinstance(found, Tracer):
        values = np.asarray(found)
        inside = (values >= low) & (values <= high) & (np.floor(values) == values)
        if not inside.all():
            raise ValueError(f"{name} must be whole numbers{_between(low, high)}, got {values[~inside].flat[0]:g}")
    return found if jnp.issubdtype(found.dtype, jnp.integer) else found.astype(jnp.int32)


def mask(name: str, x: Any, axes: str | None = None) -> Bool[Array, "..."]:
    """Truth values as an array of booleans, from numbers that are 0 or 1 too; errors as for `real`."""
    found = _array(name, x, axes)
    if found.dtype == bool:
        return found
    if not isinstance(found, Tracer) and not np.isin(np.asarray(found), (0, 1)).all():
        raise ValueError(f"{name} must be true or false, got {np.asarray(found).flat[0]:g}: compare the numbers first")
    return found != 0


def count(name: str, n: Any, least: int = 1) -> int:
    """A concrete whole number of things.

    Raises:
        ValueError: Anything but a whole number of at least `least`.
    """
    if not is_count(n, least):
        raise ValueError(f"{name} must be a whole number of at least {least}, got {name}={n!r}")
    return int(n)


def is_count(n: Any, least: int = 1) -> bool:
    """Whether this is a concrete whole number of at least `least`; a boolean is none, nor is NaN."""
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and int(n) >= least


def alike(**arrays: Array) -> None:
    """Check that arrays have one shape.

    Raises:
        ValueError: Shapes that differ.
    """
    if len({x.shape for x in arrays.values()}) > 1:
        shapes = " and ".join(str(x.shape) for x in arrays.values())
        raise ValueError(f"{' and '.join(arrays)} must have one shape, got {shapes}: give one entry for each sample")


def log_law(name: str, log_p: Any, axes: str) -> Float[Array, "..."]:
    """Log-probabilities whose exponentials sum to one over the last axis.

    Raises:
        TypeError: Complex numbers, text or objects.
        ValueError: Another number of axes, nothing to sum; NaN, +inf and another sum, where they can be seen.
    """
    found = real(name, log_p, axes)
    if found.shape[-1] == 0:
        raise ValueError(f"{name} needs at least one outcome, got shape {found.shape}")
    if not isinstance(found, Tracer):
        with np.errstate(over="ignore"):
            total = np.exp(np.asarray(found, float)).sum(axis=-1)
        off = np.abs(total - 1) > _ROUNDING
        if np.any(off):
            raise ValueError(
                f"{name} must be log-probabilities of sum one, got a sum of {total[off].flat[0]:.6g}: give the logs of "
                "probabilities, normalized by jax.nn.log_softmax"
            )
    return found


def _array(name: str, x: Any, axes: str | None) -> Array:
    kind = getattr(x, "dtype", None)
    # JAX has no arrays of text and objects, and says so in words that do not name the argument.
    found = np.asarray(x) if kind is None or isinstance(x, np.ndarray) else x
    if not (jnp.issubdtype(found.dtype, jnp.floating) or found.dtype.kind in "iub"):
        raise TypeError(f"{name} must be real numbers, got {found.dtype}: take the part that is meant")
    words = None if axes is None else axes.split()
    if words is not None and found.ndim != len(words):
        wanted = f"an array [{', '.join(words)}]" if words else "a single number"
        raise ValueError(f"{name} must be {wanted}, got shape {found.shape}")
    # A copy: else JAX keeps an array of NumPy in float64 after a trace has read it so (findings/jax_float64_trace.sh).
    return jnp.asarray(found.astype(jnp.result_type(found)) if isinstance(found, np.ndarray) else found)


def _range(low: float | int, high: float | int, finite: bool) -> str:
    return f"{'finite' if finite else ''} numbers{_between(low, high)}".strip()


def _between(low: float | int, high: float | int) -> str:
    if np.isinf(low) and np.isinf(high):
        return ", not NaN"
    if np.isinf(high):
        return f" of at least {low:g}"
    return f" of at most {high:g}" if np.isinf(low) else f" in [{low:g}, {high:g}]"
