"""The picture of the figure on real counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title


def plot_imperfect_verifiers_counts(dataset: xarray.Dataset) -> Figure:
    """Attempts, false discoveries, ceilings, best numbers of attempts, coverage laws, and how they break."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 8), dpi=110)
        grid = figure.add_gridspec(2, 3, left=0.06, right=0.985, top=0.84, bottom=0.08, wspace=0.26, hspace=0.42)
        axes = [figure.add_subplot(grid[i, j]) for i in range(2) for j in range(3)]
        for draw, panel in zip((_attempts, _discoveries, _ceilings, _best, _laws, _broken), axes, strict=True):
            draw(panel, dataset)
        title(
            figure,
            "Retrying against unit tests, and laws of coverage, on outcomes of real programs and answers",
            f"Top, and bottom left: 100 programs of CodeGen-16B for each of {dataset.attrs['tasks']} HumanEval tasks. "
            "Accepted: passes its asserts; right: further inputs, too.\nBottom middle and right: 10,000 answers of "
            "Pythia models to each of 128 problems of MATH. Bands and bars: 95 %, tasks resampled.",
        )
    return figure


def _attempts(axes: Any, dataset: xarray.Dataset) -> None:
    for curve, color, name in (("accepted", ORANGE, "accepted"), ("correct", BLUE, "accepted and right")):
        axes.plot(dataset["attempt"], dataset[curve], color=color, label=name)
        low, high = dataset["band"].sel(curve=curve).values
        axes.fill_between(dataset["attempt"], low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    axes.minorticks_off()
    axes.set_ylim(0, 1)
    axes.set_xlabel("attempts at most")
    axes.set_title("share of tasks")
    axes.legend(frameon=False, loc="upper left")


def _discoveries(axes: Any, dataset: xarray.Dataset) -> None:
    places = np.arange(dataset.sizes["bucket"])
    low, high = dataset["fdr_interval"].values.T
    axes.vlines(places, low, high, color=PINK, linewidth=2)
    axes.plot(places, dataset["fdr"], "o", color=PINK)
    axes.set_xticks(places, dataset["bucket"].values, fontsize=8.5)
    axes.set_ylim(0, None)
    axes.set_xlabel("attempt at which a program was first accepted")
    axes.set_title("false discoveries, P(wrong | accepted)")


def _ceilings(axes: Any, dataset: xarray.Dataset) -> None:
    places = np.arange(dataset.sizes["strength"])
    outer, inner = dataset["ceiling_interval"].values.T, dataset["ceiling_ends"].values.T
    axes.vlines(places, *outer, color=GREEN, linewidth=1)
    axes.vlines(places, *inner, color=GREEN, linewidth=7, alpha=0.5)
    rates = dataset["false_positive_rate"].values
    names = [f"{s}\n{rate:.3f}" for s, rate in zip(dataset["strength"].values, rates, strict=True)]
    axes.set_xticks(places, names)
    axes.set_ylim(0, 1)
    axes.set_xlabel("asserts looked at, and false positive rate")
    axes.set_title("ceiling: tasks never accepted count 0 or 1")


def _best(axes: Any, dataset: xarray.Dataset) -> None:
    places = np.arange(dataset.sizes["cost"])
    axes.vlines(places, *dataset["plausible"].values.T, color=BLUE, linewidth=5, alpha=0.3)
    axes.plot(places, dataset["best"], "o", color=BLUE)
    axes.set_xticks(places, [f"{cost:g}" for cost in dataset["cost"].values])
    axes.set_yscale("log")
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    axes.minorticks_off()
    axes.set_xlabel("cost of a wrong program, in right ones")
    axes.set_title("best number of attempts, and what may be")


def _laws(axes: Any, dataset: xarray.Dataset) -> None:
    shades = np.linspace(0.25, 1.0, dataset.sizes["model"])
    for model, shade in zip(dataset["model"].values, shades, strict=True):
        part = dataset.sel(model=model)
        axes.plot(part["attempts"], -np.log(part["coverage"]), "o", color=BLUE, alpha=shade, markersize=2.5)
        axes.plot(part["attempts"], -np.log(part["law"]), color=BLUE, alpha=shade, linewidth=1)
    largest = dataset["model"].values[-1]
    axes.text(1.3, 0.16, f"lines: exp(a K^b)\nlowest: {largest}", color=GRAY, fontsize=8.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    axes.set_xlabel("samples K")
    axes.set_title("-log coverage falls as a power of K")


def _broken(axes: Any, dataset: xarray.Dataset) -> None:
    for name, color, label in (
        ("apparent", ORANGE, "accepted, 1 false positive in 1,000"),
        ("exact", GRAY, "a perfect verifier"),
        ("true", BLUE, "right, 1 false positive in 1,000"),
    ):
        axes.plot(dataset["attempts"], dataset[name], color=color, label=label)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("attempts at most")
    axes.set_title(f"share of problems, {dataset['model'].values[-1]}")
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
