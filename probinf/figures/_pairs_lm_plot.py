"""The picture of the figure on pairs from a language model."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, STYLE, title

_SCORES = {
    "doubt": ("1 - C, the probe's doubt", BLUE),
    "surprise": ("-log p of the probe", ORANGE),
    "choice": ("-log q of the language model", GREEN),
}
_ROWS = (("probe", "answers of\nthe probe"), ("model", "answers of\nSmolLM2"))
_WORLDS = {"lower case": "all letters in lower case", "capitals": "one letter in five as a capital"}


def plot_pairs_lm(dataset: xarray.Dataset) -> Figure:
    """AUROC of each score by world and answerer, and what a filter lets pass."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.4), dpi=100)
        grid = figure.add_gridspec(1, 3, left=0.085, right=0.985, top=0.68, bottom=0.13, wspace=0.16,
                                   width_ratios=[1, 1, 0.9])  # fmt: skip
        for column, world in enumerate(dataset["world"].values.tolist()):
            axes = figure.add_subplot(grid[column])
            _aurocs(axes, dataset.sel(world=world), named=column == 0)
            axes.set_title(_WORLDS[world], fontsize=9.5)
            if column == 0:
                axes.legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(-0.2, 1.12))
        _filter(figure.add_subplot(grid[2]), dataset)
        title(
            figure,
            "Which letters are not in a word? The doubt of a probe on SmolLM2 against log-probability",
            f"{dataset.attrs['words']} words that SmolLM2 reads as one token; annotators name a letter of the word. "
            "AUROC of telling impossible letters\namong drawn answers to held-out words. "
            f"{dataset.sizes['fold']} folds, each with its own fifth of the words held out; bars: 95 % t intervals, "
            "as if folds shared no words.",
        )
    return figure


def _aurocs(axes: Any, part: xarray.Dataset, *, named: bool) -> None:
    for row, (answers, _) in enumerate(_ROWS):
        for j, (score, (label, color)) in enumerate(_SCORES.items()):
            mean, (low, high) = mean_interval(part["auroc"].sel(answers=answers, score=score).values)
            y = row + 0.22 * (j - 1)
            axes.plot([low, high], [y, y], color=color, linewidth=2)
            axes.plot(mean, y, "o", color=color, markersize=6.5, label=label if row == 0 else None)
    axes.axvline(0.5, color=GRAY, linewidth=0.8)
    axes.set_yticks(np.arange(len(_ROWS)), [label for _, label in _ROWS] if named else [""] * len(_ROWS))
    axes.set_ylim(len(_ROWS) - 0.5, -0.5)
    axes.set_xlim(0.45, 1)
    axes.set_xlabel("AUROC")


def _filter(axes: Any, dataset: xarray.Dataset) -> None:
    for world, style in zip(dataset["world"].values.tolist(), ("-", "--"), strict=True):
        part = dataset.sel(world=world, answers="probe").mean("fold")
        axes.plot(part["beta"], part["filtered_wrong"], "o", linestyle=style, color=BLUE, markersize=4, label=world)
    top = float(dataset["beta"].max())
    axes.plot([0, top], [0, top], color=GRAY, linewidth=0.8)
    axes.annotate("promised if calibrated", (0.9 * top, 0.9 * top), xytext=(-8, 0), textcoords="offset points",
                  color=GRAY, ha="right", fontsize=8.5)  # fmt: skip
    axes.set_xlim(0, top * 1.05)
    axes.set_ylim(0, None)
    axes.set_xlabel("filter: doubt at most")
    axes.set_title("impossible, of the probe's answers that pass", fontsize=9.5)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
