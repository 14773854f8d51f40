"""Sequential Bayesian inference: why it forgets, and how far a chain of transformers is from the exact one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._transformer_sequential_claims import (
    distribution_transformer_sequential_claims as distribution_transformer_sequential_claims,
)
from probinf.figures._transformer_sequential_plot import (
    plot_distribution_transformer_sequential as plot_distribution_transformer_sequential,
)
from probinf.figures._transformer_sequential_runs import Logistic, blob_accuracy, stream_divergence
from probinf.transformers_dist import load
from probinf.transformers_dist.sequential import HamiltonianChain, one_mean_for_two_tasks, refit_gap

Progress = Callable[[int, int, str], None]
_COUNTS = ((50.0, 50.0), (500.0, 50.0), (5000.0, 50.0))


@dataclass(frozen=True)
class Plan:
    """Seeds, points a task and draws of the blobs; streams, their updates and draws for each divergence."""

    seeds: int
    points: int
    draws: int
    streams: int
    updates: int = 10
    divergence: int = 64


PLANS = {"smoke": Plan(5, 80, 400, 200), "paper": Plan(20, 80, 4000, 1000)}


def distribution_transformer_sequential_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """All parts of the figure.

    `order_difference`; over `counts`: `regret` of both tasks, nats a datum; over `refit_step`: log-density of the truth
    `exact_truth` and `refit_truth`; over `seed`: `chain_accuracy` after each `task`, `batch_accuracy` and
    `prototype_accuracy`; over `stream` and `update`: `stream_kl`, nats.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)
    stream_key, blob_key = jax.random.split(key)
    told(0, plan.seeds + 1, "streams")
    dt = load("linear_2d")
    streams = jax.vmap(lambda k: stream_divergence(dt, k, plan.updates, plan.divergence))
    keys = jax.random.split(stream_key, plan.streams)
    kl = cells.get("streams", vars(plan), lambda: np.asarray(streams(keys)).tolist())
    chain = HamiltonianChain(Logistic, draws=plan.draws, steps=32, step_size=0.03)
    blobs = []
    for seed in range(plan.seeds):
        told(1 + seed, plan.seeds + 1, f"blobs, seed {seed}")
        seed_key = jax.random.fold_in(blob_key, seed)
        blobs.append(cells.get(f"blobs-{seed}", vars(plan), lambda k=seed_key: blob_accuracy(k, plan.points, chain)))
    told(plan.seeds + 1, plan.seeds + 1, "done")
    both = [one_mean_for_two_tasks(jnp.array([-2.0, 2.0]), jnp.array(counts)) for counts in _COUNTS]
    orders = [[case.sequential - case.batch, case.reversed - case.batch] for case in both]
    exact, refitted = refit_gap(10)
    return xarray.Dataset(
        {
            "order_difference": np.abs(np.array(orders)).max(),
            "regret": (("counts", "of"), np.array([case.regret for case in both])),
            "exact_truth": ("refit_step", np.asarray(exact)),
            "refit_truth": ("refit_step", np.asarray(refitted)),
            "chain_accuracy": (("seed", "task"), np.array([blob["chain"] for blob in blobs])),
            "batch_accuracy": ("seed", np.array([blob["batch"] for blob in blobs])),
            "prototype_accuracy": ("seed", np.array([blob["prototypes"] for blob in blobs])),
            "stream_kl": (("stream", "update"), np.asarray(kl, float)),
        },
        coords={"counts": [f"{a:.0f} : {b:.0f}" for a, b in _COUNTS]},
        attrs={"budget": budget if isinstance(budget, str) else "custom"},
    )
