"""The exact check of a sampler: the measure it produces on every outcome against the measure it means."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from probinf._particles import add_log, spawn
from probinf._sampler import Sampler
from probinf.validity._denote import denote
from probinf.validity._finite import FiniteMeasure, largest_difference
from probinf.validity._law import enumerate_law


class ExactCheck(NamedTuple):
    """`error`: largest difference over atoms and in mass, relative to the target's mass; `worlds`: how many it read."""

    error: float
    worlds: int
    found: FiniteMeasure
    target: FiniteMeasure


def expected_measure(
    sampler: Sampler,
    n: int,
    *,
    key: PRNGKeyArray | None = None,
    limit: int = 2_000_000,
    grid: int = 0,
) -> tuple[FiniteMeasure, int]:
    """The measure E[exp(log_evidence) / N * sum_i exp(log_weights_i) delta(values_i)] over all of a sampler's coins.

    Returns the measure and the number of worlds; `grid` as in `enumerate_law`.

    Raises: NotEnumerable, TooManyWorlds, KeyReuseError.
    """

    def run(key: PRNGKeyArray, sampler: Sampler) -> Any:
        cloud, _ = sampler(key, spawn(n))
        log_mass = add_log(cloud.log_weights, cloud.log_evidence) - jnp.log(cloud.n)
        return cloud.values, log_mass

    law = enumerate_law(run, jax.random.key(0) if key is None else key, sampler, limit=limit, grid=grid)
    values, log_mass = law.outputs
    lanes = log_mass.shape[1]
    flat = jax.tree.map(lambda leaf: leaf.reshape(len(leaf) * lanes, *leaf.shape[2:]), values)
    return FiniteMeasure(flat, (law.log_prob[:, None] + log_mass).reshape(-1)).merged(), law.worlds


def check_proper_weighting(
    sampler: Sampler,
    n: int,
    *,
    target: FiniteMeasure | None = None,
    limit: int = 2_000_000,
    grid: int = 0,
) -> ExactCheck:
    """Compares what a sampler produces, over every outcome of its own randomness, with what it means.

    Law checked: E[Z-hat * f-hat] = m(f) for every f, in float64, where m is `denote(sampler)` or the `target` given.
    `grid` = B reads every uniform of `jax.random` on the B points (i + 1/2) / B; then give the `target` on them.

    Raises: NotEnumerable where randomness is continuous; TooManyWorlds; KeyReuseError; MeaningError where no law is
    stated.
    """
    found, worlds = expected_measure(sampler, n, limit=limit, grid=grid)
    if target is None:
        target = denote(sampler, FiniteMeasure((), np.zeros(1))).merged()
    return ExactCheck(largest_difference(found, target), worlds, found, target)
