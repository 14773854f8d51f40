"""Arguments of a numpyro model: arrays are data, and what Python must read is part of the program."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from probinf.interop._numpyro_sites import Held, Sites, UndecidedError, inspect_sites


def read_arguments(
    model: Callable[..., Any], args: tuple, kwargs: dict[str, Any]
) -> tuple[tuple, dict[str, Any], Sites]:
    """Arguments as leaves or constants of the program, and the sites.

    Law: the constants are as few as the model allows, so that other data of the rest compile nothing anew.

    Raises: ValueError as `inspect_sites`.
    """
    leaves, structure = jax.tree.flatten((args, kwargs))
    data = [_as_data(leaf) for leaf in leaves]
    try:
        return (*structure.unflatten(data), inspect_sites(model, *structure.unflatten(data)))
    except UndecidedError as undecided:
        constants = [_as_constant(leaf) for leaf in leaves]
        try:
            sites = inspect_sites(model, *structure.unflatten(constants))
        except UndecidedError:
            raise undecided from None
    for i, leaf in enumerate(data):
        if leaf is not constants[i]:
            fewer = [*constants[:i], leaf, *constants[i + 1 :]]
            try:
                sites = inspect_sites(model, *structure.unflatten(fewer))
            except UndecidedError:
                continue
            constants = fewer
    return (*structure.unflatten(constants), sites)


def _as_data(leaf: Any) -> Any:
    """An array for a float and for what is an array (a column of pandas too); else what is part of the program."""
    if isinstance(leaf, jax.Array):
        return leaf
    if isinstance(leaf, float):
        return jnp.asarray(leaf)
    dtype = getattr(leaf, "dtype", None)
    if hasattr(leaf, "__array__") and isinstance(dtype, np.dtype) and dtype.kind in "biufc":
        return jnp.asarray(np.asarray(leaf))
    return _as_constant(leaf)


def _as_constant(leaf: Any) -> Any:
    """The leaf itself where it can be hashed, or depends on a trace."""
    if isinstance(leaf, Tracer):
        return leaf
    try:
        hash(leaf)
    except TypeError:
        return _held(leaf)
    return leaf


def _held(leaf: Any) -> Held:
    # A copy: the program would not notice when the caller's object changes.
    leaf = copy.deepcopy(leaf)
    try:
        return Held(leaf, pickle.dumps(leaf))
    except (pickle.PicklingError, TypeError, AttributeError):
        return Held(leaf, id(leaf))
