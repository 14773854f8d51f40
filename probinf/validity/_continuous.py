"""The density of a distribution whose draws are continuous, tested against them."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Distribution, MeaningError

# Shares of the first draws between which a box lies in each coordinate.
_BOXES = ((0.05, 0.95), (0.02, 0.5), (0.5, 0.98), (0.3, 0.7))
# In more dimensions a box holds too little.
_MOST_DIMENSIONS = 3


def density_p_value(distribution: Distribution, inputs: Any, key: PRNGKeyArray, *, draws: int = 16384) -> float | None:
    """Test that a density is that of the draws: the mean of 1 / density over draws in a box is the box's volume.

    Law: E[1(x in B) / p(x)] = volume of B for every box B inside the support. Boxes are chosen on one half of the draws
    and tested on the other, by z-tests with Bonferroni's correction over boxes and inputs.

    Returns: the p-value, 0 where the log-density is NaN; None where there is no density, or values are not one to three
    floating-point numbers.
    """
    leaves = jax.tree.leaves(inputs)
    count = len(leaves[0]) if leaves else 1
    p_values: list[float] = []
    for i in range(count):
        x = jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf)[i], inputs)
        try:
            values, log_density = _draw(distribution, x, jax.random.fold_in(key, i), draws)
        except MeaningError:
            return None
        columns = [np.asarray(leaf, np.float64).reshape(draws, -1) for leaf in jax.tree.leaves(values)]
        floating = all(jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in jax.tree.leaves(values))
        numbers = np.concatenate(columns, axis=1) if columns else np.zeros((draws, 0))
        if not floating or not 1 <= numbers.shape[1] <= _MOST_DIMENSIONS:
            return None
        p_values += _box_p_values(numbers, np.asarray(log_density, np.float64))
    return float(min(1.0, len(p_values) * min(p_values)))


def _box_p_values(numbers: np.ndarray, log_density: np.ndarray) -> list[float]:
    half = len(numbers) // 2
    if np.any(np.isnan(log_density)) or np.any(np.isnan(numbers)):
        return [0.0]
    found = []
    for low, high in _BOXES:
        edges = np.quantile(numbers[:half], [low, high], axis=0)
        inside = np.all((numbers[half:] > edges[0]) & (numbers[half:] < edges[1]), axis=1)
        volume = float(np.prod(edges[1] - edges[0]))
        if volume <= 0.0:
            continue
        ratio = np.where(inside, np.exp(-np.where(inside, log_density[half:], 0.0)) / volume, 0.0)
        error = float(ratio.std(ddof=1)) / math.sqrt(len(ratio))
        z = abs(float(ratio.mean()) - 1.0) / max(error, 1e-300)
        found.append(0.0 if math.isnan(z) else math.erfc(z / math.sqrt(2.0)))
    return found or [1.0]


@eqx.filter_jit
def _draw(distribution: Distribution, x: Any, key: PRNGKeyArray, draws: int) -> tuple[Any, Float[Array, " R"]]:
    values = jax.vmap(lambda key: distribution.sample(key, x))(jax.random.split(key, draws))
    return values, jax.vmap(distribution.log_density)(values)
