"""Tests the promise of a traced program: it consumes its trace in order, and says how much of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PRNGKeyArray

from probinf._choice import check_key
from probinf.representations import Run, Traced
from probinf.validity._keys import differing_rows
from probinf.validity._program import promote


class BrokenTrace(ValueError):
    """A traced program that depends on coordinates which it says it has not used yet, or that miscounts them."""


class _Reruns(NamedTuple):
    """Runs of P traces, and the runs after what lies beyond a checkpoint was drawn afresh."""

    traces: Array
    runs: Run
    reruns: Run


def check_trace(traced: Traced, key: PRNGKeyArray, *, traces: int = 256) -> None:
    """Redraws, at each checkpoint of random runs, the coordinates that were not used so far, and compares.

    Law checked: weights and counts up to the checkpoint, and the value at the last one, do not depend on later
    coordinates; counts never fall and stay within the trace; a weight of zero stays zero. Trace Metropolis-Hastings is
    valid only then. A check at random traces is no proof.

    Raises: BrokenTrace, naming the checkpoint and a trace.
    """
    check_key(key)
    with jax.enable_x64(True):
        traced = promote(traced)
        for checkpoint in range(traced.checkpoints):
            found = jax.tree.map(np.asarray, _reruns(traced, jnp.asarray(checkpoint), key, traces))
            _compare(traced, checkpoint, found)


@eqx.filter_jit
def _reruns(traced: Traced, checkpoint: Array, key: PRNGKeyArray, traces: int) -> _Reruns:
    trace_key, fresh_key = jax.random.split(key)
    shape = (traces, traced.length)
    first, fresh = jax.random.uniform(trace_key, shape), jax.random.uniform(fresh_key, shape)
    runs = jax.vmap(traced.run)(first)
    beyond = jnp.arange(traced.length)[None] >= runs.used[:, checkpoint, None]
    return _Reruns(first, runs, jax.vmap(traced.run)(jnp.where(beyond, fresh, first)))


def _compare(traced: Traced, checkpoint: int, found: Any) -> None:
    runs, reruns = found.runs, found.reruns
    seen = slice(0, checkpoint + 1)
    _refuse(
        differing_rows(runs.used[:, seen], reruns.used[:, seen]),
        found,
        f"the number of coordinates used up to checkpoint {checkpoint} depends on coordinates beyond it",
    )
    _refuse(
        differing_rows(runs.log_weights[:, seen], reruns.log_weights[:, seen]),
        found,
        f"the weight at checkpoint {checkpoint} depends on coordinates that it does not count as used",
    )
    if checkpoint == traced.checkpoints - 1:
        for a, b in zip(jax.tree.leaves(runs.value), jax.tree.leaves(reruns.value), strict=True):
            _refuse(differing_rows(a, b), found, "the value depends on coordinates that are not counted as used")
        _refuse(
            (np.diff(runs.used, axis=1) < 0).any(axis=1) | (runs.used < 0).any(axis=1),
            found,
            "the number of coordinates used falls from one checkpoint to the next",
        )
        _refuse(
            (runs.used > traced.length).any(axis=1), found, f"more than length={traced.length} coordinates are used"
        )
        dead = runs.log_weights == -np.inf
        _refuse((dead[:, :-1] & ~dead[:, 1:]).any(axis=1), found, "a weight of zero does not stay zero")


def _refuse(broken: Bool[np.ndarray, " P"], found: Any, sentence: str) -> None:
    if np.any(broken):
        trace = np.array2string(found.traces[int(np.argmax(broken))], precision=4)
        raise BrokenTrace(f"{sentence}: at trace {trace}")
