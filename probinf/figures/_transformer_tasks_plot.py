"""The picture of the figure on tasks without conjugacy."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._transformer_tasks_claims import PUBLISHED
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, bare_rows, title

_METHODS = {
    "kl": ("Distribution Transformer", BLUE, "o"),
    "corrected_kl": ("one draw of its reweighted cloud", GREEN, "D"),
    "gaussian_kl": ("the best Gaussian", ORANGE, "o"),
    "variational_kl": ("numpyro SVI, 100 steps", PINK, "o"),
    "flow_kl": ("flow, shown the same", "#E69F00", "^"),
    "riemann_kl": ("bars, shown the same", GRAY, "v"),
}
_LEVELS = np.linspace(0.05, 0.95, 19)


def plot_distribution_transformer_tasks(dataset: xarray.Dataset) -> Figure:
    """For each task the divergences, the effective sample size of the correction, and the calibration."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 5.4), dpi=110)
        grid = figure.add_gridspec(
            1, 3, left=0.17, right=0.985, top=0.74, bottom=0.12, wspace=0.22, width_ratios=[2, 1, 1]
        )
        panels = [figure.add_subplot(grid[i]) for i in range(3)]
        names = [str(name) for name in dataset["title"].values]
        _divergences(panels[0], dataset)
        _sizes(panels[1], dataset)
        for i, axes in enumerate(panels[:2]):
            bare_rows(axes, names if i == 0 else [""] * len(names))
        _calibration(panels[2], dataset)
        title(
            figure,
            "Where the posterior is no mixture: one forward pass, then exact by reweighting",
            f"KL from the exact posterior (quadrature), {dataset.sizes['problem']:,} unseen problems a task, bars: "
            f"95 % intervals; SVI on {dataset.attrs['variational']} of them. Squares: published, for DT-5.\nGreen: the "
            f"law of one draw of {dataset.attrs['draws']:,} reweighted ones. Right: how often the truth lies below a "
            "quantile of the transformer, less how often it should.",
        )  # fmt: skip
    return figure


def _divergences(axes: Any, dataset: xarray.Dataset) -> None:
    for row, name in enumerate(dataset["task"].values.tolist()):
        part = dataset.sel(task=name)
        for column, (_, color, marker) in _METHODS.items():
            values = part[column].values
            mean, (low, high) = mean_interval(values[np.isfinite(values)])
            axes.plot([max(low, mean / 100, 1e-6), high], [row, row], color=color, linewidth=2)
            axes.plot(max(mean, 1e-6), row, marker, color=color, markersize=7 if marker == "o" else 6)
        for published in [PUBLISHED.get(name, {}).get("transformer")]:
            if published is not None:
                axes.plot(published, row - 0.26, "s", mfc="none", color=GRAY)
    for label, color, marker in _METHODS.values():
        axes.plot([], [], marker, color=color, label=label)
    axes.set_xscale("log")
    axes.legend(frameon=False, fontsize=8.5, ncols=3, loc="upper left", bbox_to_anchor=(-0.02, 1.2), columnspacing=1.0)
    axes.set_xlabel("KL(exact || ...), nats")


def _sizes(axes: Any, dataset: xarray.Dataset) -> None:
    for row, name in enumerate(dataset["task"].values.tolist()):
        ess = dataset["ess"].sel(task=name).values
        axes.plot(np.quantile(ess, [0.05, 0.95]), [row, row], color=BLUE, linewidth=2, alpha=0.5)
        axes.plot(ess.mean(), row, "o", color=BLUE, markersize=7)
        bad = float((dataset["pareto_k"].sel(task=name) > 0.7).mean())
        axes.annotate(f"k > .7: {bad:.0%}", (0.02, row), va="center", fontsize=8.5, color=GRAY)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("ESS / draws (bar: 90 % of problems)")


def _calibration(axes: Any, dataset: xarray.Dataset) -> None:
    problems = dataset.sizes["problem"]
    band = 1.96 * np.sqrt(_LEVELS * (1 - _LEVELS) / problems)
    axes.fill_between(_LEVELS, -band, band, color="#E5E5E5", zorder=0)
    colors = [BLUE, "#56B4E9", GRAY, GREEN, PINK, ORANGE]
    for name, color in zip(dataset["task"].values.tolist(), colors, strict=False):
        level = dataset["level"].sel(task=name).values
        axes.plot(_LEVELS, [np.mean(level < q) - q for q in _LEVELS], color=color, linewidth=1.4,
                  label=str(dataset["title"].sel(task=name).item()))  # fmt: skip
    axes.set_ylim(-0.2, 0.12)
    axes.set_xlabel("quantile (gray: 95 % of exact ones)")
    axes.legend(frameon=False, fontsize=7.5, loc="lower center", handlelength=1.2)
