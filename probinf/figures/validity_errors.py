"""The error of the exact check for everything that is shipped, beside that of everything that is wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray
from matplotlib.figure import Figure

from probinf.cases import planted_cases, shipped_cases
from probinf.figures._cells import Cells, code_fingerprint
from probinf.figures._claims import Claim, Finding
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, bare_rows, title
from probinf.validity import KernelCase, Row, SamplerCase, check_case
from probinf.validity._report import EXACT_TOLERANCE

Progress = Callable[[int, int, str], None]
Case = SamplerCase | KernelCase

_PAPER = "arXiv:1711.03219"
# Runs of the compiled sampler that the statistical check makes.
_REPLICATES = {"smoke": 8192, "paper": 65536}
# A bug whose exact error is below this could hide behind rounding on a larger model.
_SEPARATION = 4.0
# Errors of zero are drawn here: below the rounding of any sum.
_ZERO = 1e-18


def validity_errors_data(
    key: PRNGKeyArray,
    budget: str = "smoke",
    *,
    shipped: Sequence[Case] | None = None,
    planted: Sequence[Case] | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run every check that each case allows.

    Variables over `case`: `error` (exact; NaN where randomness is continuous), `worlds`, `p_value` (statistical),
    `verdict`, `caught_by`, `guarantee`, and `planted`. What `cells` keeps is of use to the same code only.

    Raises: ValueError for an unknown budget.
    """
    if budget not in _REPLICATES:
        raise ValueError(f"budget must be one of {', '.join(_REPLICATES)}, not {budget!r}.")
    groups = [shipped_cases() if shipped is None else shipped, planted_cases() if planted is None else planted]
    cases = [case for group in groups for case in group]
    cells = Cells(None) if cells is None else cells
    rows = []
    for i, case in enumerate(cases):
        if progress is not None:
            progress(i, len(cases), case.name)
        settings = {"code": code_fingerprint(), "case": i, "replicates": _REPLICATES[budget]}
        check = partial(check_case, case, jax.random.fold_in(key, i), replicates=_REPLICATES[budget])
        rows.append(Row(*cells.get(case.name, settings, check)))
    if progress is not None:
        progress(len(cases), len(cases), "done")
    dataset = _as_dataset(rows, len(groups[0]))
    dataset.attrs = {"budget": budget, "replicates": _REPLICATES[budget], "tolerance": EXACT_TOLERANCE}
    return dataset


def _as_dataset(rows: Sequence[Row], shipped: int) -> xarray.Dataset:
    number = lambda x: np.nan if x is None else x  # noqa: E731
    return xarray.Dataset(
        {
            "error": ("case", [float(number(row.exact_error)) for row in rows]),
            "worlds": ("case", [float(number(row.worlds)) for row in rows]),
            "p_value": ("case", [float(number(row.p_value)) for row in rows]),
            "verdict": ("case", [row.verdict for row in rows]),
            "caught_by": ("case", [row.caught_by or "" for row in rows]),
            "guarantee": ("case", [row.guarantee for row in rows]),
            "planted": ("case", np.arange(len(rows)) >= shipped),
        },
        coords={"case": [row.name for row in rows]},
    )


def validity_errors_claims(dataset: xarray.Dataset) -> list[Finding]:
    """What the figure decides; the criteria were written before the run."""
    planted = dataset["planted"].values
    error, verdict = dataset["error"].values, dataset["verdict"].values
    exactly_caught = planted & (dataset["caught_by"].values == "exact")
    right, wrong = error[~planted], error[exactly_caught]
    largest = float(np.nanmax(right)) if np.isfinite(right).any() else np.nan
    smallest = float(np.min(wrong)) if wrong.size else np.nan
    unpassed, missed = np.sum(verdict[~planted] != "pass"), np.sum(verdict[planted] != "flagged")
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = float(np.log10(smallest) - np.log10(max(largest, _ZERO)))
    return [
        _claim("shipped", "every shipped sampler and kernel with discrete randomness has exactly the law it states",
               "largest error over them, relative to the target's mass", "<", EXACT_TOLERANCE).judge(largest),
        _claim("passed", "every shipped sampler and kernel passes a check",
               "number of those that are flagged or unchecked", "<", 0.5).judge(float(unpassed)),
        _claim("planted", "every planted bug is caught",
               "number of planted bugs that no check catches", "<", 0.5).judge(float(missed)),
        _claim("gap", "what is wrong stands far from what is right",
               "decades between the largest shipped and the smallest error of an exactly caught bug", ">",
               _SEPARATION).judge(gap),
    ]  # fmt: skip


def _claim(slug: str, statement: str, quantity: str, relation: Any, bound: float) -> Claim:
    return Claim(f"validity_errors/{slug}", _PAPER, statement, quantity, relation, bound, computed=True)


def plot_validity_errors(dataset: xarray.Dataset) -> Figure:
    """Two columns of named dots on one logarithmic axis: right ones on the left, wrong ones on the right."""
    import matplotlib

    planted = dataset["planted"].values
    left, right = dataset.isel(case=~planted), dataset.isel(case=planted)
    longest = max(left.sizes["case"], right.sizes["case"])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(15.5, 2.2 + 0.2 * longest), dpi=100)
        inches = figure.get_figheight()
        grid = figure.add_gridspec(
            1, 2, left=0.215, right=0.98, top=1 - 1.4 / inches, bottom=0.62 / inches, wspace=0.68
        )
        names = (f"shipped: {left.sizes['case']}", f"wrong on purpose: {right.sizes['case']}")
        for column, (part, name) in enumerate(zip((left, right), names, strict=True)):
            axes = figure.add_subplot(grid[column])
            _dots(axes, part, wrong=bool(column))
            axes.set_title(name)
        title(
            figure,
            "What each sampler does on every outcome of its own randomness, against what it means",
            "Dots: largest difference of the two measures, float64, relative to the target's mass. Line: tolerance "
            f"{dataset.attrs['tolerance']:g}. Rings: no exact error;\n"
            f"on the left continuous randomness, passed by a test on {dataset.attrs['replicates']:,} runs; "
            "on the right what else caught the bug.",
        )
    return figure


def _dots(axes: Any, part: xarray.Dataset, *, wrong: bool) -> None:
    error = np.maximum(part["error"].values, _ZERO)
    rows = np.arange(len(error))
    exact = np.isfinite(part["error"].values)
    caught_by = part["caught_by"].values
    color = ORANGE if wrong else BLUE
    axes.axvline(EXACT_TOLERANCE, color="#BBBBBB", linewidth=1)
    axes.scatter(error[exact], rows[exact], color=color, s=26, zorder=3)
    for other, mark in (("statistical", ORANGE), ("symbolic", GREEN), ("key reuse", PINK), ("contract", GRAY)):
        chosen = ~exact & (caught_by == other)
        axes.scatter(np.full(chosen.sum(), 0.3), rows[chosen], facecolors="none", edgecolors=mark, s=30, zorder=3)
        for row in rows[chosen]:
            axes.annotate(f"{other} ", (0.3, row), xytext=(-6, 0), textcoords="offset points", ha="right",
                          va="center", color=mark, fontsize=8.5)  # fmt: skip
    passed = ~exact & (caught_by == "")
    axes.scatter(np.full(passed.sum(), _ZERO), rows[passed], facecolors="none", edgecolors=color, s=30, zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(_ZERO / 4, 30)
    axes.set_xticks([10.0**k for k in range(-18, 1, 3)])
    axes.get_xaxis().set_minor_locator(_no_ticks())
    axes.set_xlabel("relative error of the exact check")
    bare_rows(axes, part["case"].values.tolist())


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
