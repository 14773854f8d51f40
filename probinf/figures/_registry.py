"""The figures that exist, and how one is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jax

from probinf.figures._atomic import atomic_path, write_text
from probinf.figures._cells import Cells
from probinf.figures._claims import Finding, update_claims

Progress = Callable[[int, int, str], None]
# Fixed, so that a figure is a fact about the code and not about the day.
_SEED = 20250204
# What the quick figures may take together, in seconds.
_QUICK = 600


@dataclass(frozen=True)
class Figure:
    """A figure: its data (an xarray Dataset), its drawing (matplotlib's), and the claims that the data decide.

    `data(key, budget, cells=, progress=)` may take hours, and keeps its finished parts in `cells`. Figures of one
    `group` can be asked for together, by its name. `table` says the data in Markdown. `needs_data` marks a figure that
    reads tables, as `data=`, which the package does not have. `seconds` is the processor time with the budget "smoke"
    when nothing is compiled yet, of which two idle cores take half to all; None: not measured.
    """

    name: str
    paper: str
    data: Callable[..., Any]
    plot: Callable[[Any], Any]
    claims: Callable[[Any], Sequence[Finding]]
    group: str | None = None
    table: Callable[[Any], str] | None = None
    needs_data: bool = False
    seconds: float | None = None


def _shipped(
    name: str,
    paper: str,
    *,
    seconds: float | int,
    group: str | None = None,
    has_table: bool = False,
    needs_data: bool = False,
) -> Figure:
    """A figure of this folder, whose module is loaded when one of its functions is called."""
    return Figure(
        name,
        paper,
        partial(_call, name, f"{name}_data"),
        partial(_call, name, f"plot_{name}"),
        partial(_call, name, f"{name}_claims"),
        group=group,
        table=partial(_call, name, f"{name}_table") if has_table else None,
        needs_data=needs_data,
        seconds=float(seconds),
    )


def _call(module: str, function: str, *arguments: Any, **options: Any) -> Any:
    return getattr(import_module(f"probinf.figures.{module}"), function)(*arguments, **options)


_SCALING, _CONJUGATE, _PAIRS, _RETRYING, _VALIDATION = (
    f"arXiv:{number}" for number in ("2502.01618", "2502.02463", "2402.08733", "2411.17501", "1711.03219")
)
_FORGETTING = "On Sequential Bayesian Inference for Continual Learning"

# Measured with an empty compilation cache on two cores of an AMD EPYC with jax 0.10.2: up to 100 seconds as a whole,
# beyond that from the parts that 60 to 200 seconds finished, in proportion.
FIGURES = {
    figure.name: figure
    for figure in (
        _shipped("lm_constraints", _SCALING, seconds=650),
        _shipped("particle_scaling_lm", _SCALING, seconds=1500, group="particle_scaling"),
        _shipped("particle_scaling_curve", _SCALING, seconds=2400, group="particle_scaling"),
        _shipped("particle_scaling_ablations", _SCALING, seconds=1500, group="particle_scaling"),
        _shipped("distribution_transformer_conjugate", _CONJUGATE, seconds=350, group="distribution_transformer"),
        _shipped("distribution_transformer_tasks", _CONJUGATE, seconds=150, group="distribution_transformer"),
        _shipped("distribution_transformer_filter", _CONJUGATE, seconds=170, group="distribution_transformer"),
        _shipped("distribution_transformer_sequential", _FORGETTING, seconds=79, group="distribution_transformer"),
        _shipped("pairs_pi", _PAIRS, seconds=380, group="pairs"),
        _shipped("pairs_lake", _PAIRS, seconds=180, group="pairs"),
        _shipped("pairs_synthetic", _PAIRS, seconds=600, group="pairs", has_table=True),
        _shipped("imperfect_verifiers_published", _RETRYING, seconds=12, group="imperfect_verifiers"),
        _shipped("imperfect_verifiers_study", _RETRYING, seconds=52, group="imperfect_verifiers"),
        _shipped("imperfect_verifiers_counts", _RETRYING, seconds=69, group="imperfect_verifiers", needs_data=True),
        _shipped("pairs_images", _PAIRS, seconds=450, group="pairs"),
        _shipped("pairs_lm", _PAIRS, seconds=50, group="pairs"),
        _shipped("reasoning_gap", "arXiv:2304.03843", seconds=90),
        _shipped("validity_errors", _VALIDATION, seconds=800, group="validity"),
        _shipped("validity_power", _VALIDATION, seconds=1000, group="validity"),
        _shipped("validity_bias", _SCALING, seconds=46, group="validity"),
        _shipped("validity_evidence", _VALIDATION, seconds=200, group="validity"),
    )
}


def quick_figures() -> list[str]:
    """Names of the figures that are made when none is named: the quickest first, ten minutes in all.

    A figure that needs tables is not among them.
    """
    chosen, total = [], 0.0
    for figure in sorted(FIGURES.values(), key=lambda each: each.seconds or float("inf")):
        if figure.needs_data:
            continue
        total += figure.seconds or float("inf")
        if total <= _QUICK:
            chosen.append(figure.name)
    return chosen


def tables_of(figure: Figure, data: Path | None) -> dict[str, Path]:
    """The folder of tables as an argument of `figure.data`, for a figure that needs one.

    Raises: FileNotFoundError where there is no such folder.
    """
    if not figure.needs_data:
        return {}
    if data is None or not data.is_dir():
        missing = "no folder of them was named" if data is None else f"{data} is no folder"
        raise FileNotFoundError(
            f"{figure.name} needs tables that are not part of the package, and {missing}: pass --data DIR."
        )
    return {"data": data}


def make_figure(
    figure: Figure, budget: str, folder: Path, *, data: Path | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Writes `NAME/NAME.nc`, `NAME/NAME.png`, `NAME/NAME.md` if it has a table, and its entries of `claims.json`.

    Each file appears whole or not at all; what `NAME/cells` holds of an interrupted run is not computed
    again. `data` is the folder of tables for a figure that needs some. Returns the entries of this figure.

    Raises: ValueError for an unknown budget; OSError where the folder cannot be written; FileNotFoundError where tables
    are missing.
    """
    place = folder / figure.name
    tables = tables_of(figure, data)
    dataset = figure.data(jax.random.key(_SEED), budget, cells=Cells(place / "cells"), progress=progress, **tables)
    with atomic_path(place / f"{figure.name}.nc") as path:
        dataset.to_netcdf(path, engine="h5netcdf")
    with atomic_path(place / f"{figure.name}.png") as path:
        figure.plot(dataset).savefig(path)
    if figure.table is not None:
        write_text(place / f"{figure.name}.md", figure.table(dataset))
    entries = update_claims(folder / "claims.json", figure.name, figure.claims(dataset))
    return [entry for entry in entries if entry["id"].startswith(f"{figure.name}/")]
