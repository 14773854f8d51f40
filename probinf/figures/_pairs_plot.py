"""The picture of the figure on pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, bare_rows, title

# Those taught by pairs first.
_COLORS = {
    "mixture": BLUE,
    "Dirichlet": GREEN,
    "joint": "#56B4E9",
    "chain": PINK,
    "mixture on SNGP": "#5E3C99",
    "ensemble": ORANGE,
    "evidential": "#E69F00",
    "dropout": "#8C510A",
    "Laplace": "#999999",
    "SNGP": "black",
    "epinet": "#B5A300",
}


def plot_pairs_synthetic(dataset: xarray.Dataset) -> Figure:
    """Variance against error, coverage, answers and hallucinations, and what more responses buy."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 6), dpi=110)
        grid = figure.add_gridspec(
            1, 4, left=0.105, right=0.985, top=0.78, bottom=0.1, wspace=0.3, width_ratios=[1.1, 1.1, 1, 0.8]
        )
        error, coverage, answers, finite = (figure.add_subplot(grid[i]) for i in range(4))
        _errors(error, dataset.sel(world="chirp"))
        _coverage(coverage, dataset.sel(world="chirp"))
        _answers(answers, dataset.sel(world="style"))
        _finite(finite, dataset.sel(world="finite"))
        title(
            figure,
            "Taught by pairs of responses, a mixture knows how wrong it is",
            "Networks too small for their world, measured against the truth. Left: a chirp of two classes. Third: "
            "eight classes; on half of the inputs\nthey are too tangled to learn. How many drawn responses pass a "
            "filter at doubt .05, .1, .25, .5, and how many of those are impossible. "
            f"{dataset.sizes['seed']} seeds, bars: 95 % intervals.",
        )
    return figure


def _point(axes: Any, row: int | float, values: Any, color: str, marker: str = "o", *, filled: bool = True) -> None:
    mean, (low, high) = mean_interval(values)
    axes.plot([low, high], [row, row], color=color, linewidth=2)
    axes.plot(mean, row, marker, color=color, markersize=7, mfc=color if filled else "white")


def _errors(axes: Any, part: xarray.Dataset) -> None:
    for row, (name, color) in enumerate(_COLORS.items()):
        _point(axes, row, part["variance"].sel(model=name).values, color)
        _point(axes, row, part["squared_error"].sel(model=name).values, GRAY, "D", filled=False)
    bare_rows(axes, list(_COLORS))
    axes.plot([], [], "o", color=GRAY, label="epistemic variance")
    axes.plot([], [], "D", color=GRAY, mfc="white", label="squared error")
    axes.set_xlim(0, None)
    axes.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(-0.1, 1.0))
    axes.set_xlabel("mean over inputs")


def _coverage(axes: Any, part: xarray.Dataset) -> None:
    for row, (name, color) in enumerate(_COLORS.items()):
        chosen = part.sel(model=name, beta=0.05)
        _point(axes, row, chosen["coverage"].values, color)
        _point(axes, row + 0.22, chosen["worst_coverage"].values, color, "v", filled=False)
    bare_rows(axes, [""] * len(_COLORS))
    axes.axvline(0.95, color=GRAY, linewidth=0.8)
    axes.plot([], [], "o", color=GRAY, label="all inputs")
    axes.plot([], [], "v", color=GRAY, mfc="white", label="worst decile")
    axes.set_xlim(-0.04, 1.04)
    axes.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(-0.05, 1.0))
    axes.set_xlabel("share covered by 95 % intervals")


def _answers(axes: Any, part: xarray.Dataset) -> None:
    for name, color in _COLORS.items():
        chosen = part.sel(model=name).mean("seed")
        axes.plot(chosen["answered"], chosen["filtered_hallucinated"], "o-", color=color, markersize=4, linewidth=1.2)
        axes.plot(1, chosen["hallucinated"], "s", color=color, mfc="none", clip_on=False)
    axes.annotate("taught by pairs, filtered", (0.46, 0.0), xytext=(0, 14), textcoords="offset points", color=GRAY,
                  ha="center", fontsize=8.5)  # fmt: skip
    axes.annotate("the others, filtered,\nand all unfiltered", (1, 0.38), xytext=(-12, -24), textcoords="offset points",
                  color=GRAY, ha="right", va="center", fontsize=8.5)  # fmt: skip
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.01, None)
    axes.set_xlabel("answered (square: all)")
    axes.set_title("hallucinated, of answers")


def _finite(axes: Any, part: xarray.Dataset) -> None:
    names = ["2 responses", "8 responses"]
    for row, name in enumerate(names):
        _point(axes, row, part["ece_2"].sel(model=name).values, BLUE)
    axes.set_yticks(np.arange(2), ["k = 2", "k = 8"])
    axes.set_ylim(1.6, -0.6)
    axes.set_xlim(0, None)
    axes.set_title(f"ECE-2, {part.attrs['inputs']:,} inputs")
