"""What a function is handed in place of a good argument, and what it may do with that.

A call on nonsense raises ValueError or TypeError with a sentence, or returns no NaN and nothing outside its range; a
run may also say INVALID. Strings and complex numbers are never taken for numbers.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinf import Status

RANGES = {
    "probability": (-1e-5, 1 + 1e-5),
    "log-probability": (-np.inf, 1e-5),
    "at least zero": (-1e-6, np.inf),
}
# What no number can be read from: a call must refuse these, whatever comes of the others.
NEVER = ("complex", "text")
# How many calls were made.
CALLS = [0]


class Case(NamedTuple):
    """A call that is right, and what is known of its result.

    ranges: from the name of a range to the attributes of the result that lie in it, "" for the result itself.
    keep: arguments that are never mutated. nan: why NaN is a documented answer.
    """

    call: Callable[..., Any]
    arguments: Mapping[str, Any]
    ranges: Mapping[str, tuple[str, ...]] = {}
    keep: tuple[str, ...] = ()
    nan: str = ""


def faults(case: Case) -> Iterator[str]:
    """What the call does wrong on its good arguments, and on each of their mutations."""
    told = wrong(case, case.arguments, good=True)
    if told:
        yield f"good arguments: {told}"
    for name, value in case.arguments.items():
        if name in case.keep:
            continue
        for label, bad in variants(value):
            told = wrong(case, {**case.arguments, name: bad}, never=label in NEVER)
            if told:
                yield f"{name} {label}: {told}"


def wrong(case: Case, arguments: Mapping[str, Any], *, good: bool = False, never: bool = False) -> str:
    """What is wrong with the outcome of one call, empty where nothing is."""
    CALLS[0] += 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = case.call(**arguments)
    except (ValueError, TypeError) as error:
        if good:
            return f"refused: {str(error)[:200]}"
        return _unless_sentence(error)
    except Exception as error:
        return f"raises {type(error).__name__}: {str(error)[:100]}"
    if never:
        return f"is taken for a number, and gives {str(result)[:60]}"
    return _out_of_range(case, result)


def _unless_sentence(error: Exception) -> str:
    return "" if len(str(error).split()) >= 4 else f"no sentence: {str(error)!r}"


def _out_of_range(case: Case, result: Any) -> str:
    if not case.nan and not _reported(result) and any(np.isnan(leaf).any() for leaf in _numbers(result)):
        return "NaN"
    for kind, fields in case.ranges.items():
        low, high = RANGES[kind]
        for field in fields:
            try:
                part = getattr(result, field) if field else result
            except (ValueError, TypeError) as error:
                # A batch of predictions, say, is refused where it is read.
                return _unless_sentence(error)
            for leaf in _numbers(part):
                outside = leaf[(leaf < low) | (leaf > high)]
                if outside.size:
                    return f"{field or 'result'} is {outside.flat[0]:g}, no {kind}"
    return ""


def _reported(result: Any) -> bool:
    """Whether a status says that what came out is invalid."""
    info = getattr(result, "info", result)
    found = [getattr(result, "status", None), getattr(info, "status", None)]
    return any(s is not None and np.all(np.asarray(getattr(s, "value", s)) == Status.INVALID.value) for s in found)


def _numbers(result: Any) -> list[np.ndarray]:
    """Floating-point leaves of a result, and numbers that equinox holds as static fields."""
    leaves = list(jax.tree.leaves(result))
    for node in jax.tree.leaves(result, is_leaf=lambda x: isinstance(x, eqx.Module)):
        if isinstance(node, eqx.Module):
            leaves += [x for x in vars(node).values() if isinstance(x, float)]
    arrays = [
        np.asarray(leaf)
        for leaf in leaves
        if isinstance(leaf, (int, float, np.ndarray, np.generic, jax.Array))
        and not jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key)
    ]
    return [x.astype(float) for x in arrays if x.dtype.kind in "fiub"]


def variants(value: Any) -> Iterator[tuple[str, Any]]:
    """Mutations of a good argument, by its kind; none for objects, which judge their own parts."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        yield "a legacy key", jax.random.key_data(value)
        yield "two keys", jax.random.split(value)
        yield "text", "key"
    elif isinstance(value, (jax.Array, np.ndarray)):
        yield from _arrays(value)
    elif isinstance(value, (bool, np.bool_)) or value is None or isinstance(value, enum.Enum):
        return
    elif isinstance(value, (int, np.integer)):
        yield from (
            ("zero", 0),
            ("negative", -1),
            ("not whole", 1.5),
            ("NaN", np.nan),
            ("complex", 1 + 1j),
            ("text", "a"),
        )
    elif isinstance(value, float):
        yield from (("NaN", np.nan), ("inf", np.inf), ("-inf", -np.inf), ("negative", -0.5), ("above one", 1.5))
        yield from (
            ("zero", 0.0),
            ("complex", 0.5 + 1j),
            ("text", "a"),
            ("empty", jnp.zeros(0)),
            ("of rank one", jnp.ones(2)),
        )
    elif isinstance(value, str):
        yield from (("unknown", "nonsense"), ("no text", 3))
    elif type(value) in (tuple, list) and value and all(isinstance(x, (int, float)) for x in value):
        yield "empty", type(value)()
        yield from ((label, type(value)([bad, *value[1:]])) for label, bad in variants(value[0]))


def _arrays(x: Any) -> Iterator[tuple[str, Any]]:
    like = jnp.asarray if isinstance(x, jax.Array) else np.asarray
    x = np.asarray(x)
    poison = {"f": (np.nan, np.inf, -np.inf, -1.5, 1.5), "i": (-7, 2**20), "b": ()}[
        x.dtype.kind if x.dtype.kind != "u" else "i"
    ]
    for bad in poison:
        changed = x.copy()
        changed[(0,) * x.ndim] = bad
        yield f"with {bad}", like(changed)
    if x.dtype.kind != "f":
        for bad in (np.nan, 0.5):
            changed = x.astype(np.float32)
            changed[(0,) * x.ndim] = bad
            yield f"with {bad}", like(changed)
    else:
        yield "of integers", like(x.astype(np.int32))
    if x.dtype.kind in "iu":
        yield "of booleans", like(x.astype(bool))
    yield "complex", like(x.astype(np.complex64) + 1j)
    yield "text", np.full(x.shape, "a")
    if x.ndim:
        yield "empty", like(x[:0])
        yield "longer", like(np.concatenate([x, x[:1]]))
        yield "of one rank less", like(x[0])
    yield "of one rank more", like(x[None])
