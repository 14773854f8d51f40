"""Second-order calibration on worlds whose truth is known: models of pairs, and baselines beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._pairs_claims import pairs_synthetic_claims as pairs_synthetic_claims
from probinf.figures._pairs_plot import plot_pairs_synthetic as plot_pairs_synthetic
from probinf.figures._pairs_runs import BETAS, MODELS, measure, train
from probinf.figures._pairs_table import pairs_synthetic_table as pairs_synthetic_table
from probinf.figures._pairs_worlds import WORLDS

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """Seeds, and steps of each training; with a fixed set of inputs, how many of them and steps."""

    seeds: int
    chirp_steps: int
    style_steps: int
    finite_steps: int
    inputs: int = 1000


PLANS = {"smoke": Plan(5, 4000, 2500, 2000), "paper": Plan(20, 20000, 10000, 2000)}
_FINITE = {"2 responses": 2, "8 responses": 8}


def pairs_synthetic_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Train every model on every world with several seeds, and measure it on a grid of inputs.

    Over `world`, `model` and `seed` (NaN where a model has no part in a world), and `beta` where one is named:
    `variance` and `squared_error` (means), `ece_1`, `ece_2`, `kl` (nats), `coverage` and `worst_coverage` (of intervals
    of 1 - beta), `ratio` and `ratio_bound` (squared error over variance of at least .01, and the bound on it from 5,000
    pairs), `hallucinated` and `hallucination_bound` (of drawn responses), `answered` and `filtered_hallucinated`.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)
    runs = _runs(plan)
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for i, (world, model, run) in enumerate(runs):
        for seed in range(plan.seeds):
            told(i * plan.seeds + seed, len(runs) * plan.seeds, f"{world}, {model}, seed {seed}")
            name, run_key = f"{world}-{model.replace(' ', '-')}-{seed}", jax.random.fold_in(key, seed)
            found[world, model, seed] = cells.get(name, {"plan": vars(plan)}, lambda r=run, k=run_key: r(k))
    told(len(runs) * plan.seeds, len(runs) * plan.seeds, "done")
    worlds, models = [*WORLDS, "finite"], [*MODELS, *_FINITE]
    some = next(iter(found.values()))
    variables = {}
    for quantity, value in some.items():
        shape = (len(worlds), len(models), plan.seeds, *np.shape(value))
        table = np.full(shape, np.nan)
        for (world, model, seed), result in found.items():
            table[worlds.index(world), models.index(model), seed] = result[quantity]
        variables[quantity] = (("world", "model", "seed", "beta")[: len(shape)], table)
    return xarray.Dataset(
        variables,
        coords={"world": worlds, "model": models, "beta": list(BETAS)},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "inputs": plan.inputs},
    )


def _runs(plan: Plan) -> list[tuple[str, str, Callable[[PRNGKeyArray], dict[str, Any]]]]:
    """World, model, and what trains and measures it."""

    def run(key: PRNGKeyArray, world: str, model: str, steps: int, **knobs: Any) -> dict[str, Any]:
        train_key, measure_key = jax.random.split(key)
        trained = train(train_key, WORLDS[world], model, steps, **knobs)
        return measure(measure_key, WORLDS[world], trained)

    steps = {"chirp": plan.chirp_steps, "style": plan.style_steps}
    return [
        *((world, model, lambda k, w=world, m=model: run(k, w, m, steps[w])) for world in WORLDS for model in MODELS),
        *(
            ("finite", name, lambda k, n=n: run(k, "chirp", "mixture", plan.finite_steps, responses=n,
                                                inputs=plan.inputs))
            for name, n in _FINITE.items()
        ),
    ]  # fmt: skip
