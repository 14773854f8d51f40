"""The figure of constrained generation, from its data alone."""

from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, which color-blind readers can tell apart.
_COLORS = {"particle filtering": "#0072B2", "best-of-n": "#D55E00", "rejection": "#009E73"}
_DASHES: Any = {"particle filtering": "-", "best-of-n": (0, (5, 2)), "rejection": (0, (1.5, 1.5))}
_LABELS = {
    "particle filtering": "particle filtering",
    "best-of-n": "best-of-n",
    "rejection": "rejection of whole texts, tokens as particle filtering",
}
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
    """Draws success against the number of particles for each kind of task, and beside it what makes that fair.

    That is: both methods' estimates of P(accepted), and the tokens spent. Bands and bars are 95 % intervals over
    prompts, seeds and replicates.
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        kinds = dataset["panel"].values.tolist()
        figure = Figure(figsize=(16, 9.6), dpi=100)
        left, right = figure.add_gridspec(
            1, 2, width_ratios=[3.6, 1], left=0.045, right=0.985, top=0.86, bottom=0.07, wspace=0.13
        )
        grid = left.subgridspec(3, len(kinds), hspace=0.24, wspace=0.12)
        for column, kind in enumerate(kinds):
            for row, quantity in enumerate(_ROWS):
                axes = figure.add_subplot(grid[row, column])
                _curves(axes, dataset.sel(panel=kind, quantity=quantity))
                _frame(axes, row, column, kind, quantity, dataset)
        beside = right.subgridspec(2, 1, hspace=0.35)
        _agreement(figure.add_subplot(beside[0]), dataset)
        _tokens(figure.add_subplot(beside[1]), dataset)
        figure.text(0.045, 0.955, "Particle filtering of constrained texts", fontsize=17, weight="bold")
        figure.text(0.045, 0.922, _subtitle(dataset), color=_GRAY)
        _key(figure)
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
    _particle_axis(axes, particles)
    axes.set_xlim(particles[0] / 1.15, particles[-1] * 1.15)
    if quantity == "distinct successes":
        axes.set_ylim(0, max(1.0, float(np.nanmax(dataset["curve_high"].sel(quantity=quantity)))) * 1.04)
        axes.locator_params(axis="y", nbins=4)
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
    """Names the methods once, in their colors."""
    lines = figure.axes[0].get_lines()
    figure.legend(
        lines, [_LABELS[method] for method in _COLORS], ncols=len(lines), loc="upper right", frameon=False,
        bbox_to_anchor=(0.985, 0.985), labelcolor="linecolor", prop={"weight": "bold", "size": 12}, handlelength=2.6,
    )  # fmt: skip


def _agreement(axes: Axes, dataset: xarray.Dataset) -> None:
    """Each prompt's P(accepted): plain sampling across, particle filtering up."""
    top = 1.05 * max(float(dataset[f"mass_{name}_interval"].max()) for name in ("plain", "filtered"))
    axes.plot([0, top], [0, top], color="#BBBBBB", linewidth=1, zorder=0)
    axes.errorbar(
        dataset["mass_plain"], dataset["mass_filtered"], xerr=_arms(dataset, "plain"), yerr=_arms(dataset, "filtered"),
        fmt="o", color=_COLORS["particle filtering"], ecolor="#9DB8CC", elinewidth=1.2, markersize=6,
    )  # fmt: skip
    margin = -0.03 * top
    axes.set(xlabel="by plain sampling", ylabel="by particle filtering", xlim=(margin, top), ylim=(margin, top))
    axes.locator_params(nbins=4)
    axes.set_title("P(accepted) of each prompt", loc="left")


def _tokens(axes: Axes, dataset: xarray.Dataset) -> None:
    """Tokens that a filter computes, over those of as many plain samples."""
    particles = dataset["particles"].values
    tokens = dataset["tokens"].mean(("seed", "replicate"))
    ratio = tokens / (dataset["particles"] * tokens.sel(particles=particles[0], drop=True) / particles[0])
    axes.axhline(1, color=_COLORS["best-of-n"], linestyle=_DASHES["best-of-n"], linewidth=2)
    for kind in dataset["panel"].values.tolist():
        line = ratio.isel(task=np.flatnonzero(dataset["kind"].values == kind)).mean("task")
        axes.plot(particles, line, color=_COLORS["particle filtering"], linewidth=1.5, marker="o", markersize=4)
        axes.annotate(
            kind, (particles[-1], float(line[-1])), xytext=(6, 0), textcoords="offset points", va="center", color=_GRAY
        )
    axes.locator_params(axis="y", nbins=5)
    axes.set_ylim(0, max(1.5, 1.1 * float(ratio.max())))
    _particle_axis(axes, particles)
    axes.set_xlim(particles[0] / 1.15, particles[-1] * 1.9)
    axes.set_xlabel("particles N")
    axes.set_title("tokens computed, best-of-n = 1", loc="left")


def _particle_axis(axes: Axes, particles: np.ndarray) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(particles, [str(n) for n in particles])
    axes.minorticks_off()


def _arms(dataset: xarray.Dataset, name: str) -> Any:
    bounds = dataset[f"mass_{name}_interval"].values
    return np.abs(bounds.T - dataset[f"mass_{name}"].values)


def _subtitle(dataset: xarray.Dataset) -> str:
    prompts = dataset.sizes["task"] // max(1, dataset.sizes["panel"])
    attributes = dataset.attrs
    return (
        f"{attributes['model']} at temperature {attributes['temperature']:g}; {attributes['budget']} budget: "
        f"{prompts} prompts of each kind; bands: 95 % intervals"
    )
