"""Navigation with an unseen hazard: imitation of experts who knew it, and decoding that asks what they would repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._pairs_lake_claims import pairs_lake_claims as pairs_lake_claims
from probinf.figures._pairs_lake_plot import plot_pairs_lake as plot_pairs_lake
from probinf.figures._pairs_lake_runs import BETAS, DECODERS, measure, train, walkers
from probinf.figures._pairs_lake_world import HIDDEN, inputs

Progress = Callable[[int, int, str], None]
# Which decoders the picture shows at work, on paths of the first seed.
SHOWN = ("sample", "rejection", "search")
_SHOWN_BETA = 0.05


@dataclass(frozen=True)
class Plan:
    """Seeds, steps of each training, and walkers in the picture."""

    seeds: int
    steps: int
    walkers: int = 60


PLANS = {"smoke": Plan(5, 2500), "paper": Plan(20, 10000)}
MODELS = ("pairs", "ensemble", "exact")


def pairs_lake_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Train models of the expert's paths with several seeds, and follow every decoder over every lake.

    Over `model` and `seed` (the exact model is the same for all): `variance` and `squared_error` (means over paths and
    lakes), `ece_2`, `distance` (total variation from the exact probabilities), and where the context says nothing
    `hidden_variance` (its sum) and `straight_doubt` (1 - confidence of the straight path). Over `decoder` and `beta`
    too: `answered`, `reward` of a question (silence earns nothing) and `reward_answered`, `unsafe` (share of answers
    that meet the hazard), and `unsafe_hidden` (of those where nothing was said); the last three are NaN without
    answers. Over `shown` and `walker`: `path` (-1 for silence) and `hazard`.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)
    found: list[list[dict[str, Any]]] = []
    for i, model in enumerate(MODELS):
        found.append([])
        for seed in range(plan.seeds):
            told(i * plan.seeds + seed, len(MODELS) * plan.seeds, f"{model}, seed {seed}")
            run_key = jax.random.fold_in(key, seed)
            count = plan.walkers if (model, seed) == ("pairs", 0) else 0
            run = lambda m=model, k=run_key, n=count: _run(k, m, plan.steps, n)  # noqa: E731
            found[-1].append(cells.get(f"{model}-{seed}", {"plan": vars(plan)}, run))
    told(len(MODELS) * plan.seeds, len(MODELS) * plan.seeds, "done")
    variables: dict[str, Any] = {}
    for quantity in found[-1][0]:
        table = np.array([[one[quantity] for one in line] for line in found])
        variables[quantity] = (("model", "seed", "decoder", "beta")[: table.ndim], table)
    variables["path"] = (("shown", "walker"), np.array(found[0][0]["paths"]))
    hidden = inputs()[inputs()[:, 0] == HIDDEN, 1]
    variables["hazard"] = (("walker",), np.asarray(jax.random.choice(key, hidden, (plan.walkers,))))
    return xarray.Dataset(
        variables,
        coords={"model": list(MODELS), "decoder": list(DECODERS), "beta": list(BETAS), "shown": list(SHOWN)},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "shown_beta": _SHOWN_BETA},
    )


def _run(key: PRNGKeyArray, model: str, steps: int, count: int) -> dict[str, Any]:
    """All measures of a trained model, and the paths of `count` walkers by each decoder that the picture shows."""
    train_key, walk_key = jax.random.split(key)
    trained = train(train_key, model, steps)
    found = measure(trained)
    return (
        found | {"paths": [walkers(walk_key, trained, name, _SHOWN_BETA, count) for name in SHOWN]} if count else found
    )
