"""Estimates of squared error that need no truth: from two responses, or from many annotators."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import alike, mask, real

# Single-precision probabilities may be outside [0, 1] by this much and no more.
_ROUNDING = 1e-4


def squared_error_from_pairs(
    probability: Float[Array, "*batch"], first: Bool[Array, "*batch"], second: Bool[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """(p - 1{Y1 = y}) (p - 1{Y2 = y}) for a class y, where `first` and `second` say whether the responses were y.

    Law: unbiased: its mean given the input is (p - p(y | x))^2, if the responses are independent given the input.
    Single values may be negative.

    Raises: ValueError for probabilities outside [0, 1], and shapes that differ.
    """
    probability = real("probability", probability, low=-_ROUNDING, high=1 + _ROUNDING)
    first, second = mask("first", first), mask("second", second)
    alike(probability=probability, first=first, second=second)
    return (probability - first) * (probability - second)


def squared_error_from_counts(
    probability: Float[Array, "*batch"],
    count: Int[Array, "*batch"],
    annotators: int | Int[np.ndarray | Array, "*batch"],
) -> Float[Array, "*batch"]:
    """The mean of `squared_error_from_pairs` over all pairs of n annotators, of whom `count` said y.

    Law: unbiased.

    Raises: ValueError for fewer than two annotators of a concrete number, for one alone makes no pair, and for counts
        above the annotators.
    """
    probability = real("probability", probability, low=-_ROUNDING, high=1 + _ROUNDING)
    if not isinstance(count, Tracer) and not isinstance(annotators, Tracer):
        said, asked = np.asarray(count), np.asarray(annotators)
        # Written so that NaN fails too.
        if not np.all((said >= 0) & (said <= asked) & (said == np.floor(said))):
            raise ValueError(
                f"count must be whole numbers with 0 <= count <= annotators, got count up to {np.max(said):g} and "
                f"annotators from {np.min(asked):g}: pass how many said y, not the share"
            )
    if not isinstance(annotators, Tracer) and not np.all(np.asarray(annotators) >= 2):
        raise ValueError(f"a squared error without bias needs two annotators or more, got {np.min(annotators)}")
    count, n = jnp.asarray(count, probability.dtype), jnp.asarray(annotators, probability.dtype)
    return probability**2 - 2 * probability * count / n + count * (count - 1) / (n * (n - 1))
