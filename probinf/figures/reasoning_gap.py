"""Why think step by step: answers of small networks trained on local strings, at once and through steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._reasoning_gap_claims import reasoning_gap_claims as reasoning_gap_claims
from probinf.figures._reasoning_gap_plot import plot_reasoning_gap as plot_reasoning_gap
from probinf.figures._reasoning_gap_runs import DRAWS, ESTIMATORS, measure
from probinf.figures._reasoning_gap_world import TRAININGS

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """Seeds, each with a tree and three networks, and steps of training."""

    seeds: int
    steps: int


PLANS = {"smoke": Plan(10, 4000), "paper": Plan(30, 30000)}
_DIMENSIONS = {"error": ("seed", "training", "estimator", "draws")}


def reasoning_gap_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Train a network on every tree in every training, and ask it about pairs that it never saw together.

    Over `seed`, `training`, `estimator` and `draws`: `error` (mean squared error of the probability); over `seed` and
    `training`: `ended` (chance that a free thought comes to the target: one, since it may name every variable),
    `left_out` (share of questions without a free
    answer), `marginal_error`, `direct_to_marginal` (squared) and `loss` (nats); over `seed`, without sampling: what the
    exactly solvable tables do.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    told: Progress = progress or (lambda done, total, current: None)
    told(0, 1, f"{plan.seeds * len(TRAININGS)} networks at once")
    cells = Cells(None) if cells is None else cells
    found = cells.get("networks", {"plan": vars(plan)}, lambda: measure(key, plan.steps, plan.seeds))
    told(1, 1, "done")
    arrays = {name: np.asarray(value, float) for name, value in found.items()}
    return xarray.Dataset(
        {name: (_DIMENSIONS.get(name, ("seed", "training")[: x.ndim]), x) for name, x in arrays.items()},
        coords={"training": list(TRAININGS), "estimator": list(ESTIMATORS), "draws": list(DRAWS)},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "steps": plan.steps},
    )
