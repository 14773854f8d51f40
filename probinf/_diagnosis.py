"""Whether the weights of an importance sampler, and its different values, can be trusted."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import floating
from probinf._choice import prefix_sum
from probinf._particles import COPIES, Particles, lane_codes, shows_copies

# Above this shape the variance of the weights is not only infinite, it cannot be seen any more.
_LARGEST_SHAPE = 0.7


class Diagnosis(NamedTuple):
    """What weights say about the proposal.

    ess: effective sample size over the number of lanes, in (0, 1], copies of one value counted as one with their
    weights together; 0 for a dead cloud. pareto_k: shape of the generalized Pareto distribution that fits the largest
    weights; moments of the weights of order above 1/k do not exist. reliable: whether the shape is below
    `min(1 - 1 / log10(N), 0.7)`, and finite, and the living lanes are not ten copies or more of each value. distinct:
    how many different values have weight.
    """

    ess: Float[Array, ""]
    pareto_k: Float[Array, ""]
    reliable: Bool[Array, ""]
    distinct: Int[Array, ""]


def diagnose(particles: Particles) -> Diagnosis:
    """Effective sample size and tail shape of a weighted cloud, and how many of its values are different.

    Equal values are copies only where values hold floating-point numbers: draws from a law with a density are never
    equal. Values of whole numbers alone, and texts, may be equal by right, and then each lane counts as one.

    Law: heuristic: weights that were never drawn leave no trace, so a proposal that misses a mode can look well.

    Raises: ValueError for fewer than 25 lanes, which have no tail to fit.

    Source: Vehtari, Simpson, Gelman, Yao and Gabry, arXiv 1507.02646.
    """
    floating("log_weights", particles.log_weights, "lanes")
    n = particles.n
    if n < 25:
        raise ValueError(f"a tail needs at least 25 lanes, got {n}: draw more")
    weights = particles.normalized_weights
    living = weights > 0
    lanes = jnp.sum(living, dtype=jnp.int32)
    merged = _merged(particles.values, weights) if shows_copies(particles.values) else weights
    distinct = jnp.sum(merged > 0, dtype=jnp.int32)
    total = jnp.sum(merged**2)
    ess = jnp.where(total > 0, 1 / (n * jnp.where(total > 0, total, 1.0)), 0.0)
    tail = min(n // 5, math.ceil(3 * math.sqrt(n)))
    ordered = jnp.sort(weights)
    k = pareto_shape(ordered[-tail:] - ordered[-tail - 1])
    limit = min(1 - 1 / math.log10(n), _LARGEST_SHAPE)
    reliable = (total > 0) & (k < limit) & (lanes < COPIES * distinct)
    return Diagnosis(ess, jnp.where(total > 0, k, jnp.inf), reliable, distinct)


def _merged(values: Any, weights: Float[Array, " N"]) -> Float[Array, " N"]:
    """The weights with those of equal values added up, one entry for each value; the rest is zero."""
    n = weights.shape[0]
    # Two codes together are equal for different values with chance 2^-64.
    codes = [lane_codes(values, n, seed) for seed in (0, 1)]
    first, second, order = jax.lax.sort((*codes, jnp.arange(n, dtype=jnp.int32)), num_keys=2)
    new = jnp.concatenate([jnp.ones(1, bool), (first[1:] != first[:-1]) | (second[1:] != second[:-1])])
    group = prefix_sum(new.astype(jnp.int32)) - 1
    return jnp.zeros_like(weights).at[group].add(weights[order])


def pareto_shape(excesses: Float[Array, " M"]) -> Float[Array, ""]:
    """Shape of the generalized Pareto distribution that fits sorted excesses over a threshold; -inf where they vanish.

    Law: consistent: the posterior mean of Zhang and Stephens, drawn to 1/2 as if ten more values said so.

    Source: Zhang and Stephens, Technometrics 51 (2009); the prior for the shape: arXiv 1507.02646, appendix C.
    """
    m = excesses.shape[0]
    largest = excesses[-1]
    alive = largest > 0
    x = jnp.where(alive, excesses / jnp.where(alive, largest, 1.0), 1.0)
    points = 30 + int(math.sqrt(m))
    quartile = jnp.maximum(x[int(m / 4 + 0.5) - 1], jnp.finfo(x.dtype).tiny)
    candidates = 1 + (1 - jnp.sqrt(points / (jnp.arange(1, points + 1) - 0.5))) / (3 * quartile)
    # Candidates of theta are below 1, the inverse of the largest excess, so that the logarithm exists.
    shapes = jnp.mean(jnp.log1p(-candidates[:, None] * x[None, :]), axis=1)
    log_likelihood = m * (jnp.log(-candidates / shapes) - shapes - 1)
    weights = jax.nn.softmax(jnp.where(jnp.isfinite(log_likelihood), log_likelihood, -jnp.inf))
    theta = jnp.sum(weights * candidates)
    k = jnp.mean(jnp.log1p(-theta * x))
    return jnp.where(alive, (k * m + 5) / (m + 10), -jnp.inf)
