"""Filtering with a Distribution Transformer: a target by range and bearing, and volatilities by returns."""

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
from probinf.figures._transformer_filter_runs import (
    copied_start,
    distinct_start,
    mixture_scores,
    particle_scores,
    simulate,
)
from probinf.figures._transformer_filter_scenes import SCENES
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

    Over `scene`, `filter`, `series` and `step`: `score`, minus the log-density of the true state in nats, and
    `distinct`, the number of distinct components (NaN for particles). "copies" is the transformer's filter from the
    published start, "gaussian" a Kalman filter that linearizes the observation.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    told: Progress = progress or (lambda done, total, current: None)
    cells = Cells(None) if cells is None else cells
    found = []
    for i, name in enumerate(SCENES):
        told(i, len(SCENES), SCENES[name].title)
        scene_key = jax.random.fold_in(key, i)
        found.append(cells.get(name, {"plan": vars(plan)}, lambda k=scene_key, n=name: _scene(k, n, plan)))
    told(len(SCENES), len(SCENES), "done")
    filters = [*_MIXTURES, *(f"{n:,} particles" for n in plan.particles)]
    return xarray.Dataset(
        {name: (("scene", "filter", "series", "step"), np.array([part[name] for part in found], float))
         for name in ("score", "distinct")},
        coords={"scene": list(SCENES), "filter": filters,
                "gaussian": ("scene", [scene.gaussian_name for scene in SCENES.values()]),
                "title": ("scene", [scene.title for scene in SCENES.values()])},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "components": plan.components},
    )  # fmt: skip


_MIXTURES = ("transformer", "copies", "gaussian")


def _scene(key: PRNGKeyArray, name: str, plan: Plan) -> dict[str, Any]:
    scene, dt = SCENES[name], load(name)
    series_key, particle_key = jax.random.split(key)
    simulated = eqx.filter_jit(jax.vmap(lambda k: simulate(scene, k, plan.steps)))
    mean, states, seen = simulated(jax.random.split(series_key, plan.series))
    scores, distinct = [], []
    start = {
        "transformer": distinct_start(scene, plan.components),
        "copies": copied_start(scene, plan.components),
        "gaussian": distinct_start(scene, 1),
    }
    # Both starts of the transformer run one program.
    for update, names in ((dt, ("transformer", "copies")), (scene.gaussian, ("gaussian",))):
        one = lambda start, *each, update=update: mixture_scores(scene, update, start, *each)  # noqa: E731
        run = jax.jit(jax.vmap(one, in_axes=(None, 0, 0, 0)))
        for name in names:
            score, parts = run(start[name], mean, states, seen)
            scores.append(np.asarray(score).tolist())
            distinct.append(np.asarray(parts).tolist())
    for n in plan.particles:
        keys = jax.random.split(jax.random.fold_in(particle_key, n), plan.series)
        # Series in turn: together they would not fit into the cache.
        one = lambda each, n=n: particle_scores(scene, each[0], n, *each[1:])  # noqa: E731
        scored = jax.jit(lambda every, one=one: jax.lax.map(one, every))
        scores.append(np.asarray(scored((keys, mean, states, seen))).tolist())
        distinct.append([[None] * plan.steps] * plan.series)
    return {"score": scores, "distinct": distinct}
