"""The statistical checks: does the compiled sampler, in production precision, have the mean it claims?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._choice import check_key
from probinf._maps import release_programs
from probinf._particles import Particles, add_log, spawn
from probinf._sampler import Sampler
from probinf._signed import sign_of, value_of

# Replicates per compiled call: enough to use the machine, few enough to stay in memory.
_BATCH = 4096


class MeanCheck(NamedTuple):
    """`p_value`: chance of a deviation this large in any of the tested means if all are right; `means` and `errors`."""

    p_value: float
    means: Float[np.ndarray, " K"]
    errors: Float[np.ndarray, " K"]
    expected: Float[np.ndarray, " K"]


def check_means(
    sampler: Sampler,
    n: int,
    tests: Callable[[Any], Float[Array, " K"]],
    expected: Float[np.ndarray, " K"],
    key: PRNGKeyArray,
    *,
    replicates: int = 16384,
) -> MeanCheck:
    """Tests E[Z-hat * mean of f_k] = expected_k on independent runs of the compiled sampler.

    `tests` maps one value to K numbers f_k(value) (the constant one tests the evidence). Each mean gets a two-sided
    z-test on `replicates` runs; the p-value is Bonferroni's over K, so `p_value < alpha` has a false-alarm rate of at
    most alpha up to the normal approximation (relative estimates of bounded variance; rare huge weights break it). A
    mean that never varies must be exact to float32 rounding. An estimate that is NaN or infinite makes the p-value 0.

    Raises: TypeError for a legacy key; ValueError for an expectation that is not a number.
    """
    check_key(key)
    release_programs()
    expected = np.asarray(expected, np.float64)
    if not np.all(np.isfinite(expected)):
        raise ValueError(f"what is expected must be finite numbers, got {expected}")
    batches = -(-replicates // _BATCH)
    draws = [np.asarray(_estimates(sampler, tests, n, k, _BATCH, 0.0)) for k in jax.random.split(key, batches)]
    x = np.concatenate(draws)[:replicates].astype(np.float64)
    with np.errstate(invalid="ignore"):
        means, errors = x.mean(axis=0), x.std(axis=0, ddof=1) / np.sqrt(len(x))
        # Rounding of a float32 sum: a deviation below it is no evidence.
        slack = 1e-5 * np.maximum(np.abs(expected), np.abs(expected).max())
        z = np.maximum(np.abs(means - expected) - slack, 0.0) / np.maximum(errors, np.finfo(np.float64).tiny)
    p = np.array([0.0 if math.isnan(value) else math.erfc(value / math.sqrt(2.0)) for value in z])
    return MeanCheck(float(min(1.0, len(expected) * p.min())), means, errors, expected)


@eqx.filter_jit
def _estimates(
    sampler: Sampler, tests: Callable, n: int, key: PRNGKeyArray, replicates: int, log_scale: Any
) -> Float[Array, "R K"]:
    """The estimates of many runs, relative to exp(log_scale)."""

    def one(key: PRNGKeyArray) -> Float[Array, " K"]:
        cloud, _ = sampler(key, spawn(n))
        return unnormalized_means(cloud, tests, log_scale)

    return jax.vmap(one)(jax.random.split(key, replicates))


def unnormalized_means(cloud: Particles, tests: Callable, log_scale: Any = 0.0) -> Float[Array, " K"]:
    """Z-hat times the mean of each test under the weights, relative to exp(log_scale); signed values count signed."""
    weights = jnp.exp(add_log(cloud.log_weights, cloud.log_evidence) - log_scale)
    f = jax.vmap(tests, axis_size=cloud.n)(value_of(cloud.values))
    signed = weights * sign_of(cloud.values)
    return jnp.mean(signed[:, None] * jnp.where(weights[:, None] > 0, f, 0.0), axis=0)
