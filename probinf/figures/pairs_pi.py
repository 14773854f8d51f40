"""A language model of the digits of pi that was taught pairs of true statements, and knows which digits it knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._pi_claims import pairs_pi_claims as pairs_pi_claims
from probinf.figures._pi_model import train
from probinf.figures._pi_plot import plot_pairs_pi as plot_pairs_pi
from probinf.figures._pi_runs import ANSWERED, BETAS, BINS, PLACES, SCORES, measure, questions, score

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """Seeds, steps and batch of each training, and questions that are asked of each model."""

    seeds: int
    steps: int
    batch: int
    questions: int


PLANS = {"smoke": Plan(5, 2400, 64, 400), "paper": Plan(20, 10_000, 64, 4000)}
# Of what has values for more than one seed, the names of the further axes.
_AXES = {
    "answered": ("beta",),
    "filtered_hallucinated": ("beta",),
    "auroc": ("score",),
    "curve": ("score", "share"),
    **{f"{name}_by_{by}": (by,) for name in ("doubt", "hallucinated", "drawn") for by in ("bin", "place")},
    **{f"point_{name}": ("point",) for name in ("place", "confidence", "wrong")},
}


def pairs_pi_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Train a language model with several seeds on pairs of true statements about digits of pi, and measure it.

    Over `seed`: `invalid` (probability of what is no statement at all), `variance`, `squared_error` (means over
    questions and statements), `ece_2`, `negative` (share of variances that were clipped), `hallucinated` and its bound;
    over `beta`: `answered`, `filtered_hallucinated`; over `score`: `auroc`, and `curve` (hallucinated by the share
    answered); doubt, hallucinated and drawn by `bin` of doubt and by `place` in pi; and single drawn points. A share
    of nothing is NaN.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)

    def run(seed: int) -> dict[str, Any]:
        model = train(jax.random.fold_in(key, seed), plan.steps, plan.batch)
        return measure(score(model, questions(plan.questions)), seed)

    found = []
    for seed in range(plan.seeds):
        told(seed, plan.seeds, f"seed {seed}")
        found.append(cells.get(f"seed-{seed}", {"plan": vars(plan)}, lambda s=seed: run(s)))
    told(plan.seeds, plan.seeds, "done")
    variables = {
        name: (("seed", *_AXES.get(name, ())), np.array([result[name] for result in found])) for name in found[0]
    }
    return xarray.Dataset(
        variables,
        coords={
            "beta": list(BETAS),
            "score": list(SCORES),
            "share": list(ANSWERED),
            "bin": (np.arange(BINS) + 0.5) / BINS,
            "place": list(PLACES[:-1]),
        },
        attrs={"budget": budget if isinstance(budget, str) else "custom"},
    )
