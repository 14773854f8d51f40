"""Filtering with a Distribution Transformer, a moving target seen by range and bearing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._transformer_filter_claims import (
    distribution_transformer_filter_claims as distribution_transformer_filter_claims,
)
from probinf.figures._transformer_filter_plot import (
    plot_distribution_transformer_filter as plot_distribution_transformer_filter,
)
from probinf.figures._transformer_filter_runs import Extended, mixture_scores, particle_scores, simulate
from probinf.transformers_dist import load

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """Series, steps of each, and the particles of each particle filter."""

    series: int
    steps: int
    particles: tuple[int, ...]
    components: int = 4


PLANS = {"smoke": Plan(100, 100, (100, 1000, 10000)), "paper": Plan(400, 100, (100, 1000, 10000, 100000))}


def distribution_transformer_filter_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run every filter on the same series.

    Over `filter`, `series` and `step`: `score`, minus the log-density of the true state in nats, and `distinct`, the
    number of distinct components (NaN for particles). "copies" is the transformer's filter from the published start.

    Raises: ValueError for an unknown budget.
    """
    del cells
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    told: Progress = progress or (lambda done, total, current: None)
    dt = load("sensor_fusion")
    names = ["transformer", "copies", "extended", *(f"{n:,} particles" for n in plan.particles)]
    series_key, particle_key = jax.random.split(key)
    mean, states, seen = eqx.filter_jit(jax.vmap(lambda k: simulate(k, plan.steps)))(
        jax.random.split(series_key, plan.series)
    )
    runs: list[Callable[..., Any]] = [
        lambda m, x, y: mixture_scores(dt, plan.components, m, x, y),
        lambda m, x, y: mixture_scores(dt, plan.components, m, x, y, copies=True),
        lambda m, x, y: mixture_scores(Extended(), 1, m, x, y),
    ]
    scores, distinct = [], []
    for i, run in enumerate(runs):
        told(i, len(names), names[i])
        score, parts = jax.jit(jax.vmap(run))(mean, states, seen)
        scores.append(np.asarray(score))
        distinct.append(np.asarray(parts))
    for i, n in enumerate(plan.particles):
        told(len(runs) + i, len(names), names[len(runs) + i])
        keys = jax.random.split(jax.random.fold_in(particle_key, n), plan.series)
        # Series in turn: together they would not fit into the cache.
        scored = jax.jit(lambda every, n=n: jax.lax.map(lambda each: particle_scores(each[0], n, *each[1:]), every))
        scores.append(np.asarray(scored((keys, mean, states, seen))))
        distinct.append(np.full((plan.series, plan.steps), np.nan))
    told(len(names), len(names), "done")
    return xarray.Dataset(
        {name: (("filter", "series", "step"), np.array(values, float))
         for name, values in (("score", scores), ("distinct", distinct))},
        coords={"filter": names},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "components": plan.components},
    )  # fmt: skip
