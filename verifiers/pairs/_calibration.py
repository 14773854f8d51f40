"""How far predictions are from calibrated, to the first and to the second order."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import real
from probinf.verifiers.pairs._checks import as_rows, check_beta, check_bins, check_not_negative, check_unit


def expected_calibration_error(probability: Any, truth: Any, *, bins: int = 20) -> Float[Array, ""]:
    """ECE-1: mean over bins of |mean probability - mean truth|; truth is p(y | x) where known, else 1{Y = y}.

    Law: zero, up to noise, if calibrated; bins hold equally many, and equal probabilities share one.

    Raises: ValueError for anything but two arrays [N] of numbers in [0, 1] with N >= 1, and for fewer than one bin.

    Source: arXiv 2402.08733, section 6.
    """
    check_bins(bins)
    probability, truth = as_rows(probability=probability, truth=truth)
    check_unit("probability", probability)
    check_unit("truth", truth)
    return _binned(probability, probability, truth, bins)


def second_order_calibration_error(variance: Any, squared_error: Any, *, bins: int = 20) -> Float[Array, ""]:
    """ECE-2: mean over bins of |mean variance - mean squared error|; any unbiased estimate of the latter will do.

    A small squared error makes this small whatever the variance: read it beside the means of both.

    Law: zero, up to noise, if second-order calibrated; bins hold equally many, and equal variances share one.

    Raises: ValueError for anything but two arrays [N] of finite numbers with N >= 1, a variance below zero, and for
        fewer than one bin.

    Source: arXiv 2402.08733, section 6; the bins are ours, for those of the paper are not known.
    """
    check_bins(bins)
    variance, squared_error = as_rows(variance=variance, squared_error=squared_error)
    check_not_negative("variance", variance)
    return _binned(variance, variance, squared_error, bins)


def tied_bins(values: Float[Array, " N"], bins: int) -> Int[Array, " N"]:
    """The bin of each value by its average rank, so that equal values are in one.

    Ranks alone would split a group of equal values at random places, and take the noise within for error.
    """
    ordered = jnp.sort(values)
    rank = 0.5 * (jnp.searchsorted(ordered, values, side="left") + jnp.searchsorted(ordered, values, side="right") - 1)
    return jnp.floor(rank * bins / values.shape[0]).astype(jnp.int32)


def _binned(by: Array, predicted: Array, found: Array, bins: int) -> Array:
    gaps = jax.ops.segment_sum(predicted - found, tied_bins(by, bins), bins)
    return jnp.sum(jnp.abs(gaps)) / by.shape[0]


def covered(
    variance: Any,
    error: Any,
    beta: float | Float[Array, ""],
    *,
    floor: float = 0.0,
) -> Bool[Array, "*batch"]:
    """Whether the error of each prediction is less than sqrt(max(variance, floor) / beta).

    Law: if calibrated and floor = 0, at least 1 - beta of them on average, also within any event that depends on the
    model's outputs alone; where the variance is zero the error is, and counts as covered.

    Raises: ValueError for a beta outside (0, 1), shapes that differ, a variance or floor below zero, and NaN.

    Source: arXiv 2402.08733, section 4.1.
    """
    check_beta(beta)
    variance, error = real("variance", variance), real("error", error)
    if variance.shape != error.shape:
        raise ValueError(f"variance and error must have one shape, got {variance.shape} and {error.shape}")
    check_not_negative("variance", variance)
    width = jnp.sqrt(jnp.maximum(variance, real("floor", floor, "", low=0)) / beta)
    # What is zero may come out as a rounding error of numbers of size one.
    return (jnp.abs(error) < width) | (jnp.abs(error) < 8 * jnp.finfo(error.dtype).eps)


def worst_decile(variance: Any, good: Any) -> Float[Array, ""]:
    """The smallest share of good ones among the ten bins of the variance.

    Raises: ValueError for anything but two arrays [N] with N >= 1.
    """
    variance, good = as_rows(variance=variance, good=good)
    bins = tied_bins(variance, 10)
    count = jax.ops.segment_sum(jnp.ones_like(variance), bins, 10)
    share = jax.ops.segment_sum(good.astype(variance.dtype), bins, 10) / jnp.maximum(count, 1)
    return jnp.min(jnp.where(count > 0, share, 1.0))
