"""The picture of the figure on linear-Gaussian problems."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_conjugate_claims import PUBLISHED_COMPONENTS
from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, ORANGE, PINK, STYLE, title

_METHODS = {
    "site": ("Distribution Transformer", BLUE),
    "gaussian": ("exact moments, one Gaussian", ORANGE),
    "prior": ("the prior", GRAY),
}
_HEADS = {"direct": ("direct (published)", ORANGE), "residual": ("residual", PINK), "site": ("site", BLUE)}


def plot_distribution_transformer_conjugate(dataset: xarray.Dataset) -> Figure:
    """Divergence by dimension, by components and by head, and the effective sample size of the correction."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.9), dpi=110)
        grid = figure.add_gridspec(1, 4, left=0.06, right=0.985, top=0.7, bottom=0.14, wspace=0.36)
        panels = [figure.add_subplot(grid[i]) for i in range(4)]
        _dimensions(panels[0], dataset)
        _sizes(panels[1], dataset)
        _components(panels[2], dataset)
        _heads(panels[3], dataset)
        title(
            figure,
            "One forward pass from prior and data to the posterior, measured where the posterior is known",
            f"Linear-Gaussian problems with mixture priors, {dataset.sizes['problem']:,} unseen problems each, shipped "
            "weights; bars: 95 % intervals over problems.\nRight: three heads after the same short training "
            f"({dataset.attrs['steps']} steps of {dataset.attrs['batch']} problems), {dataset.sizes['seed']} seeds.",
        )
    return figure


def _dimensions(axes: Any, dataset: xarray.Dataset) -> None:
    where = np.arange(dataset.sizes["dimension"])
    for method, (name, color) in _METHODS.items():
        part = dataset["kl"].sel(approximation=method)
        _points(axes, where, [part.sel(dimension=d).values for d in dataset["dimension"]], color)
        axes.plot([], [], "o-", color=color, label=name)
    axes.set_yscale("log")
    axes.set_xticks(where, [str(int(d)) for d in dataset["dimension"]])
    axes.set_xlabel("dimensions")
    axes.set_title("KL(exact || ...), nats")
    axes.set_ylim(1e-6, 10)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")


def _sizes(axes: Any, dataset: xarray.Dataset) -> None:
    where = np.arange(dataset.sizes["dimension"])
    ess = [dataset["ess"].sel(dimension=d).values for d in dataset["dimension"]]
    violin = axes.violinplot(ess, positions=where, widths=0.8, showextrema=False)
    for body in violin["bodies"]:
        body.set(facecolor=BLUE, alpha=0.25)
    axes.plot(where, [np.mean(e) for e in ess], "o", color=BLUE, markersize=7)
    for i, e in enumerate(ess):
        axes.annotate(f"{np.mean(e):.2f}", (i, np.mean(e)), xytext=(9, -3), textcoords="offset points", color=BLUE)
    axes.axhline(0.9, color="#BBBBBB", linewidth=1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks(where, [str(int(d)) for d in dataset["dimension"]])
    axes.set_xlabel("dimensions")
    axes.set_title("correction: ESS / draws")


def _components(axes: Any, dataset: xarray.Dataset) -> None:
    where = np.arange(dataset.sizes["components"])
    axes.plot(where, [PUBLISHED_COMPONENTS[int(k)] for k in dataset["components"]], "s", mfc="none", color=GRAY)
    axes.plot([], [], "s", mfc="none", color=GRAY, label="published (other problems)")
    _points(axes, where, [dataset["component_kl"].sel(components=k).values for k in dataset["components"]], BLUE)
    axes.plot([], [], "o-", color=BLUE, label="shipped, trained with 1 to 10")
    axes.set_xticks(where, [str(int(k)) for k in dataset["components"]])
    axes.set_ylim(0, None)
    axes.set_xlabel("components of the prior")
    axes.set_title("8-D: KL, nats")
    axes.legend(frameon=False, fontsize=8.5)


def _heads(axes: Any, dataset: xarray.Dataset) -> None:
    for i, (head, (name, color)) in enumerate(_HEADS.items()):
        means = dataset["head_kl"].sel(head=head).mean("problem").values
        axes.plot(means, i + np.linspace(-0.12, 0.12, means.size), "o", color=color, alpha=0.6, markeredgewidth=0)
        axes.annotate(f"{name}: {means.mean():.3g}", (means.mean(), i - 0.22), color=color, ha="right", va="bottom")
    axes.set_xscale("log")
    low, high = dataset["head_kl"].mean("problem").min(), dataset["head_kl"].mean("problem").max()
    axes.set_xlim(float(low) / 3, float(high) * 1.6)
    axes.set_ylim(len(_HEADS) - 0.5, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("mean KL, nats")
    axes.set_title("1-D: three heads")


def _points(axes: Any, where: np.ndarray, samples: list[np.ndarray], color: str) -> None:
    found = [mean_interval(values) for values in samples]
    means = [mean for mean, _ in found]
    arms = np.array([[mean - max(low, mean / 100), high - mean] for mean, (low, high) in found]).T
    axes.errorbar(where, means, yerr=arms, fmt="o-", color=color, markersize=6, linewidth=1.5)
