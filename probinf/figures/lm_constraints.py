"""Constrained generation: particle filtering against best-of-n and rejection on a real language model.

The setting of arXiv 2502.01618 with exact verifiers in place of a reward model: the target is the model's
own law restricted to the texts that the verifier accepts.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

import probinf
from probinf.figures._cells import Cells, fingerprint
from probinf.figures._estimators import pass_at, rejection_success
from probinf.figures._lm_constraints_claims import lm_constraints_claims as lm_constraints_claims
from probinf.figures._lm_constraints_curves import add_curves
from probinf.figures._lm_constraints_plot import plot_lm_constraints as plot_lm_constraints
from probinf.figures._lm_constraints_run import Settings, cell_key, describe, run_cell
from probinf.lm import TextModel, get_model, load_model
from probinf.verifiers import Task, constraint_tasks, count_distinct

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Budget:
    """How much is run: prompts of each kind (the last ones of the benchmark's list), seeds and particle numbers.

    `pools` batches of plain samples are drawn for each prompt and seed: best-of-n and rejection live on
    them. With one seed, the filters and samples of a batch, which are independent, are the replicates.
    """

    lanes: int
    seeds: int
    particles: tuple[int, ...]
    prompts: int | None
    pools: int = 1
    tokens_per_step: int = 8


BUDGETS = {
    "smoke": Budget(lanes=64, seeds=1, particles=(1, 2, 4, 8, 16), prompts=2),
    "paper": Budget(lanes=64, seeds=4, particles=(1, 2, 4, 8, 16, 32, 64), prompts=None, pools=2),
}


def lm_constraints_data(
    key: PRNGKeyArray,
    budget: str | Budget = "smoke",
    *,
    model: TextModel | None = None,
    tasks: list[Task] | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run the experiment.

    For each prompt, seed and number of particles N: `successes`, `distinct`, `log_z` and `tokens` of each
    filter (dimension `replicate`, padded with NaN); the row N = 1 is the pool of plain samples. From the
    pool: `best_of_n` (pass@N), `best_of_n_distinct` and `rejection`, sampling until acceptance with as many
    tokens as the filters of N particles used on average. `curve`, `curve_low`, `curve_high` are means over
    prompts with 95 % intervals.

    model: SmolLM2-135M-Instruct by default, downloaded if need be. tasks: those of the budget by default.
    cells: where finished parts are kept. progress: told how many parts of how many are done, and which
    comes next.

    Raises: ValueError for an unknown budget; ModelDownloadError, ModelFileError where there is no model.
    """
    plan = budget if isinstance(budget, Budget) else _budget(budget)
    model = default_model() if model is None else model
    tasks = _tasks(str(budget), plan) if tasks is None else tasks
    runs = _run_all(key, plan, model, tasks, cells or Cells(None), progress or _silent)
    dataset = _assemble(runs, plan, tasks)
    dataset.attrs = {
        "budget": budget if isinstance(budget, str) else "custom",
        "model": model.name,
        "lanes": plan.lanes,
        **{name: getattr(_settings(plan), name) for name in ("tokens_per_step", "ess", "temperature")},
    }
    return add_curves(dataset)


def default_model() -> TextModel:
    """SmolLM2-135M-Instruct, downloaded if need be."""
    path = get_model("smollm2")
    # The file's own title is a training label; the file name is what readers know the model by.
    return dataclasses.replace(load_model(path), name=path.stem)


def _budget(name: str) -> Budget:
    if name not in BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(BUDGETS)}, not {name!r}.")
    return BUDGETS[name]


def _tasks(name: str, plan: Budget) -> list[Task]:
    tasks = constraint_tasks(name)
    kinds = dict.fromkeys(task.kind for task in tasks)
    by_kind = [[task for task in tasks if task.kind == kind] for kind in kinds]
    return [task for group in by_kind for task in (group[-plan.prompts :] if plan.prompts else group)]


def _settings(plan: Budget) -> Settings:
    return Settings(lanes=plan.lanes, tokens_per_step=plan.tokens_per_step)


def _silent(done: int, total: int, current: str) -> None:
    del done, total, current


def _run_all(
    key: PRNGKeyArray, plan: Budget, model: TextModel, tasks: list[Task], cells: Cells, progress: Progress
) -> dict[tuple[int, int, int], list[dict]]:
    """The results of all batches, by task, seed and number of particles."""
    parts = [
        (t, seed, n, batch)
        for t in range(len(tasks))
        for seed in range(plan.seeds)
        for n in plan.particles
        for batch in range(plan.pools if n == 1 else 1)
    ]
    settings, weights = _settings(plan), fingerprint(model.lm)
    key_data = jax.random.key_data(key).tolist()
    runs: dict[tuple[int, int, int], list[dict]] = {}
    for done, (t, seed, n, batch) in enumerate(parts):
        task = tasks[t]
        name = f"{task.name.replace('/', '-')}-seed{seed}-n{n}-batch{batch}"
        progress(done, len(parts), f"{task.name}, N={n}")
        stamp = {**describe(settings, task), "model": weights, "key": key_data, "seed": seed}
        stamp |= {"probinf": probinf.__version__}
        stamp |= {"particles": n, "batch": batch}
        result = cells.get(
            name,
            stamp,
            lambda task=task, seed=seed, n=n, batch=batch: run_cell(
                cell_key(key, task, seed, n, batch), model, task, settings, n
            ),
        )
        runs.setdefault((t, seed, n), []).append(result)
    progress(len(parts), len(parts), "done")
    return runs


def _assemble(runs: dict[tuple[int, int, int], list[dict]], plan: Budget, tasks: list[Task]) -> xarray.Dataset:
    shape = (len(tasks), plan.seeds, len(plan.particles))
    pool = plan.lanes * plan.pools
    filters = {name: np.full((*shape, pool), np.nan) for name in ("successes", "distinct", "log_z", "tokens")}
    pooled = {name: np.full((*shape, pool), np.nan) for name in ("any", "rejection", "distinct")}
    for (t, seed, n), batches in runs.items():
        i = plan.particles.index(n)
        for name, table in filters.items():
            row = [-np.inf if value is None else value for batch in batches for value in batch[name]]
            table[t, seed, i, : len(row)] = row
    one = plan.particles.index(1)
    for t, seed, i in np.ndindex(*shape):
        n = plan.particles[i]
        texts = [texts for batch in runs[t, seed, 1] for texts in batch["texts"]]
        accepted, tokens = filters["successes"][t, seed, one] > 0, filters["tokens"][t, seed, one]
        spent = float(np.nanmean(filters["tokens"][t, seed, i]))
        # Independent blocks of 2N samples: twice N leaves rejection room, and pass@N some averaging.
        for b, start in enumerate(range(0, pool, 2 * n)):
            block = slice(start, start + 2 * n)
            pooled["any"][t, seed, i, b] = pass_at(accepted[block], n)
            pooled["rejection"][t, seed, i, b] = rejection_success(accepted[block], tokens[block], spent)
        for b, start in enumerate(range(0, pool, n)):
            block = texts[start : start + n]
            pooled["distinct"][t, seed, i, b] = count_distinct(text for lane in block for text in lane)
    cell = ("task", "seed", "particles", "replicate")
    return xarray.Dataset(
        {
            **{name: (cell, table) for name, table in filters.items()},
            "best_of_n": (cell, pooled["any"]),
            "best_of_n_distinct": (cell, pooled["distinct"]),
            "rejection": (cell, pooled["rejection"]),
        },
        coords={
            "task": [task.name for task in tasks],
            "kind": ("task", [task.kind for task in tasks]),
            "particles": list(plan.particles),
            "seed": list(range(plan.seeds)),
        },
    )
