"""Experiments on many problems and seeds: cells that are run once and kept, and the table of all accuracies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

import probinf
from probinf.figures._cells import Cells, fingerprint
from probinf.figures._scaling_runs import Lanes, Problems, run_search
from probinf.lm import Reasoning

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """The size of an experiment: problems, seeds, and the budgets in generations."""

    problems: int
    seeds: int
    budgets: tuple[int, ...]


def plan_of(budget: str | Plan, plans: Mapping[str, Plan]) -> Plan:
    """The plan of that name, or the plan itself.

    Raises: ValueError for an unknown name.
    """
    if isinstance(budget, Plan):
        return budget
    if budget not in plans:
        raise ValueError(f"budget must be one of {', '.join(plans)}, not {budget!r}.")
    return plans[budget]


class Cell(NamedTuple):
    """One search at one size.

    `groups` maps each budget that its cloud of `n` lanes gives to the lanes that are chosen from; a cloud of
    independent samples gives many budgets, and so do sweeps side by side.
    """

    name: str
    search: Any
    n: int
    writer: Reasoning
    groups: Mapping[int, Lanes]


def run_cells(
    key: PRNGKeyArray,
    cells: Sequence[Cell],
    answer: Callable[[Any], Any],
    problems: Problems,
    plan: Plan,
    *,
    store: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Runs every cell, or reads it from the store.

    `accuracy` over curve, budget, problem and seed has one curve "cell/selection" for each selection, NaN where a cell
    was not run at a budget; "cell/any" says whether any lane was right. `tokens`, `reward_calls` and `seconds` over
    cell and budget are the costs: means for one problem, and seconds for all searches of the cell.
    """
    store = Cells(None) if store is None else store
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for done, cell in enumerate(cells):
        label = f"{cell.name}, N={max(cell.groups)}"
        if progress is not None:
            progress(done, len(cells), label)
        cell_key = jax.random.fold_in(key, done)
        settings = {
            "key": jax.random.key_data(cell_key).tolist(),
            "cell": label,
            "n": cell.n,
            "groups": sorted(cell.groups.items()),
            "search": str(cell.search),
            "search_numbers": fingerprint(cell.search),
            "writer": fingerprint(cell.writer),
            "problems": plan.problems,
            "seeds": plan.seeds,
            "probinf": probinf.__version__,
        }
        result = store.get(
            label.replace(", ", "-").replace(" ", "-").replace("/", "-"),
            settings,
            lambda cell=cell, cell_key=cell_key: run_search(
                cell_key,
                cell.search,
                cell.n,
                cell.writer,
                answer,
                problems,
                plan.seeds,
                cell.groups,
            ),
        )
        for budget, lanes in cell.groups.items():
            # Groups side by side are searches of their own; sweeps side by side build on those before.
            paid = lanes.group if lanes.end - lanes.begin > lanes.group else lanes.end
            share = paid / cell.n
            costs = {name: result[name] * share for name in ("tokens", "reward_calls", "seconds")}
            found[cell.name, budget] = {**result["accuracy"][str(budget)], **costs}
    if progress is not None:
        progress(len(cells), len(cells), "done")
    return _table(found, plan)


def _table(found: Mapping[tuple[str, int], dict[str, Any]], plan: Plan) -> xarray.Dataset:
    names = list(dict.fromkeys(name for name, _ in found))
    budgets = sorted({budget for _, budget in found})
    selections = [key for key, value in next(iter(found.values())).items() if isinstance(value, list)]
    accuracy = np.full((len(names), len(selections), len(budgets), plan.problems, plan.seeds), np.nan, np.float32)
    costs = {name: np.full((len(names), len(budgets)), np.nan) for name in ("tokens", "reward_calls", "seconds")}
    for (name, budget), result in found.items():
        i, j = names.index(name), budgets.index(budget)
        for k, selection in enumerate(selections):
            accuracy[i, k, j] = result[selection]
        for cost, table in costs.items():
            table[i, j] = result[cost]
    curves = [f"{name}/{selection}" for name in names for selection in selections]
    return xarray.Dataset(
        {
            "accuracy": (("curve", "budget", "problem", "seed"), accuracy.reshape(-1, *accuracy.shape[2:])),
            **{name: (("cell", "budget"), table) for name, table in costs.items()},
        },
        coords={"curve": curves, "cell": names, "budget": budgets},
        attrs={"problems": plan.problems, "seeds": plan.seeds},
    )
