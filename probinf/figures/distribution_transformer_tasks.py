"""Distribution Transformers where the posterior is no mixture: against quadrature and other approximations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._transformer_metrics import draw_problems
from probinf.figures._transformer_tasks import TASKS, Gaussian, Task, Variational, divergence, measure
from probinf.figures._transformer_tasks_claims import (
    distribution_transformer_tasks_claims as distribution_transformer_tasks_claims,
)
from probinf.figures._transformer_tasks_plot import (
    plot_distribution_transformer_tasks as plot_distribution_transformer_tasks,
)
from probinf.transformers_dist import load
from probinf.transformers_dist.baselines import load_baseline

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """Held-out problems, draws of each correction, and problems that variational inference is run on."""

    problems: int
    draws: int
    variational: int


PLANS = {"smoke": Plan(1000, 4096, 50), "paper": Plan(4000, 4096, 1000)}


def distribution_transformer_tasks_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Measure the shipped transformer of each task.

    Over `task` and `problem`: `kl`, `riemann_kl` and `flow_kl` (bars of a prior-fitted network and a flow, which are
    shown the same), `gaussian_kl` (of the Gaussian with the exact moments, which no Gaussian can beat) and
    `variational_kl` (NaN for problems that were left out), in nats; `entropy` of the exact posterior (the expected
    -log q is entropy and KL together); `corrected_kl`, `ess` and `pareto_k` of the cloud of reweighted draws; and
    `level`, the place of the truth in the transformer's distribution.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)
    found = []
    for i, (name, task) in enumerate(TASKS.items()):
        told(i, len(TASKS), task.title)
        task_key = jax.random.fold_in(key, i)
        found.append(cells.get(name, {"plan": vars(plan)}, lambda t=task, k=task_key: _task(k, t, plan)))
    told(len(TASKS), len(TASKS), "done")
    return xarray.Dataset(
        {name: (("task", "problem"), np.array([part[name] for part in found], float)) for name in found[0]},
        coords={"task": list(TASKS), "title": ("task", [task.title for task in TASKS.values()])},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "draws": plan.draws,
               "variational": plan.variational},
    )  # fmt: skip


def _task(key: PRNGKeyArray, task: Task, plan: Plan) -> dict[str, Any]:
    problem_key, measure_key = jax.random.split(key)
    problems = draw_problems(task.family(), problem_key, plan.problems)
    found = measure(task, load(task.transformer), problems, measure_key, plan.draws)
    gaussian = divergence(task, Gaussian(task), problems)
    variational = np.full(plan.problems, np.nan)
    some = jax.tree.map(lambda leaf: leaf[: plan.variational], problems)
    variational[: plan.variational] = divergence(task, Variational(task), some)
    columns = {**found._asdict(), "gaussian_kl": gaussian, "variational_kl": variational}
    for density in ("riemann", "flow"):
        columns[f"{density}_kl"] = divergence(task, load_baseline(f"{density}_{task.transformer}"), problems)
    # JSON has no NaN.
    return {name: [None if np.isnan(x) else float(x) for x in column] for name, column in columns.items()}
