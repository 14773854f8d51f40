"""The figure about word problems on a real language model, from its data alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinf.figures._estimators import interval
from probinf.figures._scaling_claims import Accuracies
from probinf.figures._scaling_plot import budget_axis
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title

_LINES = {
    "PF odds": ("particle filter, by odds", BLUE, "o"),
    "PF ratio": ("particle filter, by reward", PINK, "D"),
    "DVTS": ("DVTS", GREEN, "^"),
    "samples": ("best-of-n", ORANGE, "s"),
}
_HEADINGS = {"vote": "vote weighted by the final reward", "argmax": "largest final reward"}
_BINS = 5


def plot_particle_scaling_lm(dataset: xarray.Dataset) -> Figure:
    """Draws accuracy by generations for two selections, the lead over weighted best-of-n, and what the reward knows.

    Bars are 95 % intervals over problems and independent searches; those of differences are paired by problem.
    """
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13.5, 8.2), dpi=100)
        grid = figure.add_gridspec(
            6, 3, width_ratios=[1.2, 1.2, 1], left=0.05, right=0.985, top=0.855, bottom=0.07, hspace=1.7, wspace=0.2
        )
        accuracies = Accuracies(dataset)
        budgets = dataset["budget"].values.tolist()
        tall = [figure.add_subplot(grid[:, column]) for column in range(2)]
        for axes, (selection, heading) in zip(tall, _HEADINGS.items(), strict=True):
            _plain(axes, accuracies, "samples/any", "any sample right", (0, (1, 1.5)))
            _plain(axes, accuracies, "samples/majority", "majority of samples", (0, (4, 1.5)))
            _curves(axes, accuracies, selection)
            budget_axis(axes, heading, budgets)
            axes.set_ylim(0, max(0.05, 1.05 * max(accuracies.interval("samples/any", n)[1] for n in budgets)))
        tall[0].set_ylabel("share of problems answered right")
        tall[1].tick_params(labelleft=False)
        tall[0].legend(frameon=False, loc="lower right", fontsize=9)
        _leads(figure.add_subplot(grid[:2, 2]), accuracies, budgets)
        lanes = figure.add_subplot(grid[2:4, 2])
        _curves(lanes, accuracies, "lane")
        budget_axis(lanes, "share of final texts that are right", budgets)
        lanes.set_ylim(bottom=0)
        _reliability(figure.add_subplot(grid[4:, 2]), dataset)
        title(figure, "Particle filtering of word problems on SmolLM2-135M", _subtitle(dataset))
    return figure


def _curves(axes: Axes, accuracies: Accuracies, selection: str) -> None:
    for place, (method, (label, color, marker)) in enumerate(_LINES.items()):
        curve = f"{method}/{selection}"
        points = [(n, accuracies.mean(curve, n), accuracies.interval(curve, n)) for n in accuracies.budgets(curve)]
        _bars(axes, place, points, label, color, marker)


def _leads(axes: Axes, accuracies: Accuracies, budgets: list[int]) -> None:
    """How much more often the vote of a search is right than that of plain samples."""
    plain = "samples/vote"
    axes.axhline(0, color=_LINES["samples"][1], linewidth=1.4)
    for place, (method, (label, color, marker)) in enumerate(_LINES.items()):
        if method == "samples":
            continue
        curve = f"{method}/vote"
        points = [
            (
                n,
                accuracies.mean(curve, n) - accuracies.mean(plain, n),
                interval(accuracies.resampled(curve, n) - accuracies.resampled(plain, n)),
            )
            for n in accuracies.budgets(curve)
        ]
        _bars(axes, place, points, label, color, marker)
    budget_axis(axes, "lead over weighted best-of-n, by vote", budgets)


def _bars(axes: Axes, place: int, points: list[tuple[int, float, tuple[float, float]]], label: str, color: str,
          marker: str) -> None:  # fmt: skip
    """Means with intervals, a little aside of one another."""
    x = [n * 2 ** (0.045 * (place - 1.5)) for n, _, _ in points]
    means = np.array([mean for _, mean, _ in points])
    arms = np.abs(np.array([bounds for _, _, bounds in points]).T - means)
    axes.errorbar(
        x, means, yerr=arms, color=color, marker=marker, markersize=5, linewidth=1.8, elinewidth=1.0, label=label
    )


def _plain(axes: Axes, accuracies: Accuracies, curve: str, label: str, dashes: Any) -> None:
    budgets = accuracies.budgets(curve)
    means = [accuracies.mean(curve, n) for n in budgets]
    axes.plot(budgets, means, color=GRAY, linestyle=dashes, linewidth=1.4, label=label)


def _reliability(axes: Axes, dataset: xarray.Dataset) -> None:
    """Mean reward against the share of right texts, in bins of equally many plain samples of new problems."""
    right = dataset["sample_right"].values.ravel()
    steps = dataset["sample_log_odds"].transpose("step", "problem", "lane").values
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1, zorder=0)
    top = 0.0
    for log_odds, label, color in zip(
        (steps[0], steps[-1]), ("after step 1", "after step 2"), (PINK, BLUE), strict=True
    ):
        x, y = reliability(1 / (1 + np.exp(-log_odds.ravel())), right)
        axes.plot(x, y, color=color, marker="o", markersize=5, linewidth=1.4, label=label)
        top = max(top, x.max(), y.max())
    axes.set(
        xlim=(0, 1.08 * top), ylim=(0, 1.08 * top), xlabel="reward on new problems", ylabel="share that ends right"
    )
    axes.set_title("the probe's reward")
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def reliability(
    rewards: Float[np.ndarray, " samples"], right: np.ndarray
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Mean reward and share of right samples in bins of equally many samples, by rising reward."""
    bins = np.array_split(np.argsort(rewards, kind="stable"), _BINS)
    return np.array([rewards[b].mean() for b in bins]), np.array([right[b].mean() for b in bins])


def _subtitle(dataset: xarray.Dataset) -> str:
    a = dataset.attrs
    return (
        f"{a['model']} at temperature {a['temperature']:g}, four worked examples; reward: linear probe on its own last "
        f"activation, trained on {a['training_problems']} other problems\n{a['budget']} budget: "
        f"{dataset.sizes['problem']} problems x {dataset.sizes['seed']} independent searches; "
        f"bars: 95 % intervals over both"
    )
