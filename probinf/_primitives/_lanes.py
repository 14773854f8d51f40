"""Work on the lanes of a cloud that the host drives: compiled once, and in place where the cloud may be used up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.core import Tracer

from probinf._particles import is_lane_state


def on_lanes(work: Callable[[Any], Any], values: Any, *, in_place: bool) -> Any:
    """`work(values)`, compiled; with `in_place` it may use up the buffers of `LaneState`s among the values.

    `work` must be a Module, so that only new structure compiles anew. Inside a trace, and for values that are Python
    objects, it is called as it stands: there the compiler, or nobody, reuses buffers.
    """
    if isinstance(values, list) or any(map(_traced, jax.tree.leaves((work, values)))):
        return work(values)
    if not in_place:
        return _compiled(work, values)
    # Leaf by leaf: `combine` could not put whole subtrees back.
    owned, rest = eqx.partition(values, jax.tree.map(is_lane_state, values, is_leaf=is_lane_state))
    return _compiled_in_place((work, rest), owned)


@eqx.filter_jit
def _compiled(work: Callable, values: Any) -> Any:
    return work(values)


@eqx.filter_jit(donate="all-except-first")
def _compiled_in_place(fixed: tuple[Callable, Any], owned: Any) -> Any:
    work, rest = fixed
    return work(eqx.combine(owned, rest))


def _traced(leaf: Any) -> bool:
    return isinstance(leaf, Tracer)
