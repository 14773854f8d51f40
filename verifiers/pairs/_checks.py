"""Errors for numbers that are no prediction, and for responses that are no pairs."""

from __future__ import annotations

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from probinf._arguments import floating, whole

# Sums of single-precision probabilities are off by this much and no more.
_ROUNDING = 1e-4
# Classes are numbered by 32-bit integers.
_CLASSES = 2**31 - 1
# So many inputs whose responses all agree are no accident, unless the answer is certain for each.
_ENOUGH = 30


def check_probabilities(p: Float[Array, "*batch K"], *, least: int = 2) -> None:
    """Raises ValueError for fewer than `least` classes, and for concrete rows that are no distributions."""
    if p.ndim == 0 or p.shape[-1] < least:
        raise ValueError(f"a prediction needs at least {least} classes, got shape {p.shape}")
    if isinstance(p, Tracer):
        return
    values = np.asarray(p)
    if not np.all(values >= 0) or np.any(np.abs(values.sum(axis=-1) - 1) > _ROUNDING):
        raise ValueError(
            "probabilities must be at least zero and sum to one: normalize them (jax.nn.softmax), or give their logs "
            "where logs are wanted (jax.nn.log_softmax)"
        )


def as_rows(**columns: Any) -> tuple[Array, ...]:
    """Columns [N] of one length as arrays, numbers as floats.

    Raises: ValueError for other shapes, no rows, and concrete numbers that are not finite.
    """
    arrays = {name: floating(name, x) for name, x in columns.items()}
    shapes = [x.shape for x in arrays.values()]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1 or shapes[0] == (0,):
        names = " and ".join(arrays)
        raise ValueError(
            f"{names} must be arrays [N] of one length, N >= 1, got shapes {shapes}: squeeze or flatten them"
        )
    for name, x in arrays.items():
        if not isinstance(x, Tracer) and not np.all(np.isfinite(np.asarray(x, float))):
            raise ValueError(f"{name} must be finite, got NaN or infinity: leave out the rows that were not measured")
    return tuple(arrays.values())


def check_unit(name: str, x: Array) -> None:
    """Raises ValueError for concrete probabilities outside [0, 1], up to rounding."""
    if isinstance(x, Tracer):
        return
    low, high = float(jnp.min(x)), float(jnp.max(x))
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise ValueError(f"{name} must lie in [0, 1], got {low:.6g} to {high:.6g}: divide percents by 100")


def check_not_negative(name: str, x: Array) -> None:
    """Raises ValueError for concrete values below zero, up to rounding."""
    if not isinstance(x, Tracer) and not float(jnp.min(x)) >= -_ROUNDING:
        raise ValueError(f"{name} must be at least zero, got {float(jnp.min(x)):.6g}")


def check_bins(bins: Any) -> None:
    """Raises ValueError for a number of bins that is below one or not whole."""
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise ValueError(f"bins must be a whole number of at least one, got bins={bins}")


def check_covariance(covariance: Float[Array, "*batch K K"]) -> None:
    """Raises ValueError where a concrete variance is negative or not finite."""
    if isinstance(covariance, Tracer):
        return
    variances = np.diagonal(np.asarray(covariance), axis1=-2, axis2=-1)
    # Written so that NaN fails too.
    if not np.all(variances >= -1e-6):
        raise ValueError(
            f"a variance is {np.min(variances):.3g}: a table of pairs that was fitted freely may have negative ones, "
            "use PairTable(joint).symmetrized().projected()"
        )


def check_gate(gate: Float[Array, "*batch"]) -> None:
    """Raises ValueError for a concrete gate outside [0, 1]."""
    if not isinstance(gate, Tracer) and not np.all((np.asarray(gate) >= 0) & (np.asarray(gate) <= 1)):
        raise ValueError(f"a gate is the probability of a copy and lies in [0, 1], got {gate}")


def check_chains(states: int, length: int, components: int) -> None:
    """Raises ValueError for a mixture of chains that has no sequences, or more than can be numbered."""
    if states < 2 or length < 1 or components < 1:
        raise ValueError(
            f"a mixture of chains needs two states, a length and a component, got {states}, {length} and {components}"
        )
    if states**length > _CLASSES:
        raise ValueError(
            f"{states} states in {length} steps are more sequences than 32-bit numbers ({_CLASSES}): take shorter ones"
        )


def check_beta(beta: float | Float[Array, ""]) -> None:
    """Raises ValueError for a rate outside (0, 1)."""
    if isinstance(floating("a rate (alpha, beta)", beta, ""), Tracer):
        return
    if not 0 < beta < 1:
        raise ValueError(f"a rate (alpha, beta) lies in (0, 1), got {beta}")


def check_range(x: Float[Array, " N"], low: float, high: float) -> None:
    """Raises ValueError for an empty range, and for concrete values outside of it, up to rounding."""
    if not low < high:
        raise ValueError(f"a range has a lower end below its upper one, got {low} and {high}")
    if isinstance(x, Tracer):
        return
    slack = _ROUNDING * (high - low)
    # Written so that NaN fails too.
    if not np.all((np.asarray(x) >= low - slack) & (np.asarray(x) <= high + slack)):
        raise ValueError(
            f"values from {np.min(x):.6g} to {np.max(x):.6g} are not all in [{low:.6g}, {high:.6g}], as the bound needs"
        )


def check_log_scores(log_first: Float[Array, "*first"], log_repeat: Float[Array, "*repeat"]) -> None:
    """Raises ValueError where concrete scores are no log-probabilities of different responses."""
    if log_first.shape != log_repeat.shape or log_first.ndim == 0:
        raise ValueError(f"each response needs two scores, got shapes {log_first.shape} and {log_repeat.shape}")
    if isinstance(log_first, Tracer) or isinstance(log_repeat, Tracer):
        return
    first, repeat = np.asarray(log_first), np.asarray(log_repeat)
    # Written so that NaN fails too.
    if not (np.all(first <= _ROUNDING) and np.all(repeat <= _ROUNDING)):
        raise ValueError("scores are log-probabilities, at most zero: give their logs (jax.nn.log_softmax)")
    if np.any(np.exp(first).sum(axis=-1) > 1 + _ROUNDING):
        raise ValueError("listed responses have a probability above one in all: list each of them once")


def check_candidates(
    candidates: Int[Array, "K slots"], slots: int, end: int, pad: int, *, distinct: bool = False
) -> None:
    """Raises ValueError for rows of the wrong length, concrete ones with padding before the end, and equal ones."""
    if candidates.shape[1] != slots:
        raise ValueError(f"responses have {slots} slots each, got {candidates.shape[1]}: pad them with token {pad}")
    if isinstance(candidates, Tracer):
        return
    rows = np.asarray(candidates)
    own = np.cumsum(rows == end, axis=1) - (rows == end) == 0
    if np.any(own & (rows == pad)):
        raise ValueError(f"a response holds padding (token {pad}) before its end (token {end}): put the end first")
    if distinct and len(np.unique(np.where(own, rows, pad), axis=0)) < len(rows):
        raise ValueError("a response is listed twice: list each once, or its probability counts twice")


def check_vocabulary(tokens: Int[Array, "*batch slots"], end: int, pad: int, size: int) -> None:
    """Raises ValueError for an end or a padding that a trunk has no logit for, and for such concrete tokens."""
    if max(end, pad) >= size:
        raise ValueError(f"the trunk has logits for tokens 0 to {size - 1}, not for the end ({end}) or padding ({pad})")
    if isinstance(tokens, Tracer):
        return
    rows = np.asarray(tokens)
    if rows.size and (rows.min() < 0 or rows.max() >= size):
        raise ValueError(f"the trunk has logits for tokens 0 to {size - 1}, got {rows.min()} to {rows.max()}")


def check_responses(responses: Int[np.ndarray | Array, "N k"], classes: int) -> None:
    """Raises ValueError where responses cannot teach how much is known.

    That is: fewer than two for each input, classes that do not exist, a single class in all, and a column that is a
    copy of another, after which everything looks knowable. Copies of some rows only are not found.
    """
    found = np.asarray(whole("responses", responses))
    if found.ndim != 2 or found.shape[1] < 2 or not len(found):
        raise ValueError(
            f"each input needs two or more responses [N, k], got shape {found.shape}: one for each cannot tell what is "
            "unknown from what is random"
        )
    # First, for of texts that are all equal there is but one class.
    if np.all(found == found.flat[0]):
        raise ValueError("all responses are equal: there is nothing to learn from a single class")
    if classes < 2 or found.min() < 0 or found.max() >= classes:
        raise ValueError(f"responses must be classes 0 to {classes - 1}, of which there are two or more")
    pairs = itertools.combinations(range(found.shape[1]), 2)
    copies = [pair for pair in pairs if np.array_equal(found[:, pair[0]], found[:, pair[1]])]
    if len(found) >= _ENOUGH and copies:
        raise ValueError(
            f"responses {copies[0][0]} and {copies[0][1]} are equal for all {len(found)} inputs: one annotator was "
            "taken twice, so draw distinct annotators; or every answer is certain, and then one response is enough"
        )
