"""The picture of the reasoning gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, bare_rows, title

_COLORS = {"direct": ORANGE, "irrelevant scaffold": PINK, "scaffolded": GREEN, "free": BLUE}
_DRAWS = 10


def plot_reasoning_gap(dataset: xarray.Dataset) -> Figure:
    """Errors by training, by draws, and of every seed."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.8), dpi=110)
        grid = figure.add_gridspec(
            1, 3, left=0.11, right=0.985, top=0.74, bottom=0.13, wspace=0.25, width_ratios=[1.25, 1, 1]
        )
        trainings, draws, seeds = (figure.add_subplot(grid[i]) for i in range(3))
        _trainings(trainings, dataset)
        _draws(draws, dataset.sel(training="local"))
        _seeds(seeds, dataset.sel(training="local"))
        title(
            figure,
            "Why think step by step: pairs of variables that were never seen together",
            "Squared error of P(target = 1 | given) for held-out pairs of a random tree of ten binary variables. Small "
            "networks trained on strings of neighbors,\nof neighbors in another tree, or of all variables. "
            f"{dataset.sizes['seed']} seeds, each with its own tree; bars and bands: 95 % intervals.",
        )
    return figure


def _trainings(axes: Any, dataset: xarray.Dataset) -> None:
    names = [str(name) for name in dataset["training"].values]
    for row, training in enumerate(names):
        part = dataset.sel(training=training)
        for shift, (name, color) in zip((-0.24, -0.08, 0.08, 0.24), _COLORS.items(), strict=True):
            mean, (low, high) = mean_interval(part["error"].sel(estimator=name, draws=_DRAWS).values)
            axes.plot([low, high], [row + shift] * 2, color=color, linewidth=2)
            axes.plot(mean, row + shift, "o", color=color, markersize=6, label=name if row == 0 else None)
        marginal = float(part["marginal_error"].mean())
        axes.plot([marginal] * 2, [row - 0.36, row + 0.36], color=GRAY, linewidth=1,
                  label="marginal" if row == 0 else None)  # fmt: skip
    bare_rows(axes, names)
    axes.set_xlim(0, None)
    axes.legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(-0.05, 1.0))
    axes.set_xlabel(f"mean squared error, {_DRAWS} draws")


def _draws(axes: Any, part: xarray.Dataset) -> None:
    for name, color in _COLORS.items():
        rows = [mean_interval(part["error"].sel(estimator=name, draws=m).values) for m in part["draws"].values]
        means = np.array([mean for mean, _ in rows])
        low, high = np.array([interval for _, interval in rows]).T
        axes.plot(part["draws"], means, "o-", color=color, markersize=4)
        axes.fill_between(part["draws"], low, high, color=color, alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel("draws")
    axes.set_title("local: mean squared error by draws")


def _seeds(axes: Any, part: xarray.Dataset) -> None:
    direct = part["error"].sel(estimator="direct", draws=_DRAWS).values
    top = 1.05 * float(part["error"].sel(draws=_DRAWS).max())
    axes.plot([0, top], [0, top], color=GRAY, linewidth=0.8)
    for name in ("scaffolded", "free"):
        other = part["error"].sel(estimator=name, draws=_DRAWS).values
        axes.plot(direct, other, "o", color=_COLORS[name], markersize=6, mec="white", mew=0.6)
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.annotate("steps are worse", (0.04, 0.93), xycoords="axes fraction", color=GRAY, fontsize=8.5)
    axes.annotate("steps are better", (0.96, 0.05), xycoords="axes fraction", color=GRAY, fontsize=8.5, ha="right")
    axes.set_xlabel("direct")
    axes.set_title("local: error through steps, each seed")
