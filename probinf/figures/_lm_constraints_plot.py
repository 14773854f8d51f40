"""The figure of constrained generation, from its data alone."""

from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, which color-blind readers can tell apart.
_COLORS = {"particle filtering": "#0072B2", "best-of-n": "#D55E00", "rejection": "#009E73"}
_DASHES: Any = {"particle filtering": "-", "best-of-n": (0, (5, 2)), "rejection": (0, (1.5, 1.5))}
_LABELS = {"rejection": "rejection at equal tokens"}
_TITLES = {
    "words": "Sentence with given words",
    "count": "Exactly eight words",
    "json": "JSON object with given keys",
    "answer": "Two-step word problem",
}
_ROWS = {
    "any success": "P(some text accepted)",
    "success fraction": "fraction of final texts accepted",
    "distinct successes": "different accepted texts",
}
_GRAY = "#555555"
_STYLE: Any = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GRAY,
    "axes.titlesize": 12,
    "xtick.color": _GRAY,
    "ytick.color": _GRAY,
}


def plot_lm_constraints(dataset: xarray.Dataset) -> Figure:
    """Draws success against the number of particles for each kind of task, and the two estimates of P(accepted).

    Bands are 95 % intervals over prompts, seeds and replicates.
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        kinds = dataset["panel"].values.tolist()
        figure = Figure(figsize=(16, 9.6), dpi=100)
        grid = figure.add_gridspec(
            3, len(kinds) + 1, width_ratios=[1] * len(kinds) + [1.35], left=0.05, right=0.985, top=0.86, bottom=0.07,
            hspace=0.28, wspace=0.24,
        )  # fmt: skip
        for column, kind in enumerate(kinds):
            for row, quantity in enumerate(_ROWS):
                axes = figure.add_subplot(grid[row, column])
                _curves(axes, dataset.sel(panel=kind, quantity=quantity))
                _frame(axes, row, column, kind, quantity, dataset)
        _key(figure)
        _agreement(figure.add_subplot(grid[:2, -1]), dataset)
        figure.text(0.05, 0.955, "Particle filtering of constrained texts", fontsize=17, weight="bold")
        figure.text(0.05, 0.922, _subtitle(dataset), color=_GRAY)
    return figure


def _curves(axes: Axes, panel: xarray.Dataset) -> None:
    x = panel["particles"].values
    for method, color in _COLORS.items():
        line = panel.sel(algorithm=method)
        if np.isnan(line["curve"].values).all():
            continue
        axes.fill_between(x, line["curve_low"], line["curve_high"], color=color, alpha=0.13, linewidth=0)
        axes.plot(x, line["curve"], color=color, linestyle=_DASHES[method], linewidth=2, marker="o", markersize=4)


def _frame(axes: Axes, row: int, column: int, kind: str, quantity: str, dataset: xarray.Dataset) -> None:
    particles = dataset["particles"].values
    axes.set_xscale("log", base=2)
    axes.set_xticks(particles, [str(n) for n in particles])
    axes.minorticks_off()
    axes.set_xlim(particles[0] / 1.15, particles[-1] * 1.15)
    if quantity == "distinct successes":
        axes.set_ylim(0, max(1.0, float(np.nanmax(dataset["curve_high"].sel(quantity=quantity)))) * 1.04)
        axes.set_xlabel("particles N")
    else:
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks([0, 0.5, 1])
    if row == 0:
        axes.set_title(_TITLES.get(kind, kind), loc="left")
    if column == 0:
        axes.set_ylabel(_ROWS[quantity])
    else:
        axes.tick_params(labelleft=False)


def _key(figure: Figure) -> None:
    """Names the methods once, in their colors, in a line above the panels."""
    for place, (method, color) in zip((0.50, 0.645, 0.745), _COLORS.items(), strict=True):
        figure.text(place, 0.955, _LABELS.get(method, method), color=color, weight="bold")


def _agreement(axes: Axes, dataset: xarray.Dataset) -> None:
    """Each prompt's P(accepted): plain sampling across, particle filtering up."""
    plain, filtered = dataset["mass_plain"].values, dataset["mass_filtered"].values
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1, zorder=0)
    axes.errorbar(
        plain, filtered, xerr=_arms(dataset, "plain"), yerr=_arms(dataset, "filtered"), fmt="o",
        color=_COLORS["particle filtering"], ecolor="#9DB8CC", elinewidth=1, markersize=6,
    )  # fmt: skip
    axes.set(xlabel="plain sampling", ylabel="particle filtering", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_title("P(accepted) of each prompt: two estimates", loc="left")
    axes.set_aspect("equal")


def _arms(dataset: xarray.Dataset, name: str) -> Any:
    bounds = dataset[f"mass_{name}_interval"].values
    return np.abs(bounds.T - dataset[f"mass_{name}"].values)


def _subtitle(dataset: xarray.Dataset) -> str:
    prompts = dataset.sizes["task"] // max(1, dataset.sizes["panel"])
    return (
        f"{dataset.attrs['model']}, {dataset.attrs['budget']} budget: {prompts} prompts of each kind, "
        f"{dataset.sizes['seed']} seeds; bands: 95 % intervals"
    )
