"""The picture of the study on recorded answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._imperfect_study_runs import LIKELIEST
from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title

_RULE_COLORS = {
    "majority": GRAY,
    LIKELIEST: PINK,
    "best of majority": GREEN,
    "accepted vote": BLUE,
}


def plot_imperfect_verifiers_study(dataset: xarray.Dataset) -> Figure:
    """Attempts, verifiers, choices, rules, the shortest, and particles."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 8), dpi=110)
        grid = figure.add_gridspec(2, 3, left=0.06, right=0.985, top=0.82, bottom=0.08, wspace=0.26, hspace=0.42)
        panels = [figure.add_subplot(grid[i, j]) for i in range(2) for j in range(3)]
        drawings = (_attempts, _verifiers, _choices, _rules, _shortest, _particles)
        for draw, axes in zip(drawings, panels, strict=True):
            draw(axes, dataset)
        title(
            figure,
            "A small language model, tasks with exact truth, verifiers of known strength",
            f"{dataset.attrs['samples']} recorded answers of SmolLM2-135M to each of {dataset.sizes['task']} tasks. A "
            "verifier of strength m looks at the first m of five necessary conditions.\nThis shows that the calculus "
            "holds, not that small models scale. Bars and bands: 95 %, tasks resampled (last panel: runs).\n"
            "On answers of one line perplexity consistency (RPC) reduces to the highest probability per token.",
        )
    return figure


def _attempts(axes: Any, dataset: xarray.Dataset) -> None:
    for curve, color, name in (("accepted", ORANGE, "accepted by one check"), ("correct", BLUE, "and right")):
        axes.plot(dataset["attempt"], dataset[curve], color=color, label=name)
        axes.fill_between(
            dataset["attempt"], *dataset["band"].sel(curve=curve).values, color=color, alpha=0.15, linewidth=0
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("attempts at most")
    axes.set_title("share of tasks")
    axes.legend(frameon=False, loc="center left")


def _verifiers(axes: Any, dataset: xarray.Dataset) -> None:
    places = np.arange(dataset.sizes["strength"])
    axes.vlines(places, *dataset["ceiling_interval"].values.T, color=GREEN, linewidth=1)
    axes.vlines(places, *dataset["ceiling_ends"].values.T, color=GREEN, linewidth=7, alpha=0.5)
    rates = dataset["rates"].sel(which="false positive rate", pooling="pooled").values
    axes.plot(places, rates, "o", color=ORANGE, label="false positive rate")
    own = dataset.attrs
    place = len(places)
    axes.plot(place, own["false_positive_rate"], "o", color=ORANGE)
    axes.plot(place, own["true_positive_rate"], "D", color=BLUE, label="true positive rate (others: 1)")
    axes.set_xticks([*places, place], [*(str(s) for s in dataset["strength"].values), "the model\nitself"])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("checks that the verifier looks at")
    axes.set_title("ceiling (green), and rates")
    axes.legend(frameon=False, fontsize=8.5)


def _choices(axes: Any, dataset: xarray.Dataset) -> None:
    places = np.arange(dataset.sizes["cost"])
    kinds = (
        ("best", GRAY, "best, known afterwards"),
        ("chosen", BLUE, "chosen on 32 samples"),
        ("once", GREEN, "once"),
    )
    for shift, (name, color, label) in enumerate((*kinds, ("all", ORANGE, "32 attempts"))):
        rows = [mean_interval(row) for row in dataset[f"strong_{name}"].values]
        x = places + 0.15 * (shift - 1.5)
        axes.vlines(x, [low for _, (low, _) in rows], [high for _, (_, high) in rows], color=color, linewidth=1.5)
        axes.plot(x, [mean for mean, _ in rows], "o", color=color, markersize=4, label=label)
    chosen = dataset["strong_attempts"].values[:, 0]
    axes.set_xticks(places, [f"{c:g}\nK={k:g}" for c, k in zip(dataset["cost"].values, chosen, strict=True)])
    axes.axhline(0, color=GRAY, linewidth=0.6)
    axes.set_xlabel("cost of a wrong answer, and the K that was chosen")
    axes.set_title("utility on the other samples, five checks")
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")


def _rules(axes: Any, dataset: xarray.Dataset) -> None:
    for name, color in _RULE_COLORS.items():
        axes.plot(
            dataset["n"], dataset["accuracy"].sel(rule=name).mean("task"), "o-", color=color, markersize=3, label=name
        )
    axes.axhline(dataset["mode_is_right"].mean().item(), color=GRAY, linestyle=":", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(dataset["n"].values, dataset["n"].values)
    axes.set_xlabel("answers N (dotted: a majority of all)")
    axes.set_title("accuracy of selection rules")
    axes.legend(frameon=False, fontsize=8.5)


def _shortest(axes: Any, dataset: xarray.Dataset) -> None:
    axes.plot(dataset["n"], dataset["short_accuracy"].mean("task"), "o-", color=BLUE, markersize=3, label="accuracy")
    axes.plot(
        dataset["n"], dataset["short_tokens"].mean("task"), "o-", color=ORANGE, markersize=3, label="tokens, share"
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(dataset["n"].values, dataset["n"].values)
    axes.set_ylim(0, None)
    axes.set_xlabel("answers started, of which the first is taken")
    axes.set_title("short-1@k")
    axes.legend(frameon=False, fontsize=8.5)


def _particles(axes: Any, dataset: xarray.Dataset) -> None:
    for kind, color, name in (("filter", BLUE, "particle filter"), ("retries", ORANGE, "retrying whole solutions")):
        part = dataset["share_right"].sel(kind=kind)
        rows = [mean_interval(row[np.isfinite(row)]) for row in part.values]
        low, high = np.array([ends for _, ends in rows]).T
        axes.fill_between(dataset["particles"], low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(dataset["particles"], [mean for mean, _ in rows], "o-", color=color, markersize=3, label=name)
    axes.axhline(dataset.attrs["step_ceiling"], color=GRAY, linestyle=":", label="ceiling")
    axes.set_xscale("log", base=2)
    axes.set_xticks(dataset["particles"].values, dataset["particles"].values)
    axes.set_ylim(0, 1)
    axes.set_xlabel("particles (four steps, each verdict errs)")
    axes.set_title("share right: particles cannot buy it")
    axes.legend(frameon=False, fontsize=8.5)
