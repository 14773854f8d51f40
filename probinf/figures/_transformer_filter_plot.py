"""The picture of the figure on filtering."""

from __future__ import annotations

import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, bare_rows, title

_COLORS = {"transformer": BLUE, "copies": PINK, "gaussian": ORANGE}
_PUBLISHED = "Published at the top, on other series: extended Kalman 95.9, particles -.244, transformer -.197."


def plot_distribution_transformer_filter(dataset: xarray.Dataset) -> Figure:
    """For each scene the score of every filter over time and on average, and how many components stay distinct."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 7.6), dpi=110)
        for row in range(dataset.sizes["scene"]):
            part, bottom = dataset.isel(scene=row), 0.52 - 0.445 * row
            _over_time(figure.add_axes((0.045, bottom, 0.24, 0.3)), part)
            _on_average(figure.add_axes((0.48, bottom, 0.2, 0.3)), part)
            _components(figure.add_axes((0.74, bottom, 0.24, 0.3)), part)
        title(
            figure,
            "Filtering with a network that updates any mixture prior",
            "Top: a target by range (30 % outliers) and bearing. Bottom: three log-volatilities by nine returns. "
            f"{dataset.sizes['series']} series of {dataset.sizes['step']} steps;\nbars: 95 % intervals over series; "
            f"lower is nearer to the truth. Particle clouds are scored by p(y | x) mean p(x | last) / p(y).\n"
            f"{_PUBLISHED}",
        )
    return figure


def _over_time(axes: Axes, part: xarray.Dataset) -> None:
    for name in part["filter"].values.tolist():
        axes.plot(part["score"].sel(filter=name).median("series"), color=_COLORS.get(name, GREEN), linewidth=1.2)
    axes.set_xlabel("step")
    axes.set_title(f"{part['title'].item()}: median of -log q(true state), nats")


def _on_average(axes: Axes, part: xarray.Dataset) -> None:
    names = part["filter"].values.tolist()
    for row, name in enumerate(names):
        color = _COLORS.get(name, GREEN)
        mean, (low, high) = mean_interval(part["score"].sel(filter=name).mean("step").values)
        axes.plot([low, high], [row, row], color=color, linewidth=2)
        axes.plot(mean, row, "o", color=color, markersize=7)
        axes.annotate(f"{mean:.2f}", (mean, row), xytext=(0, 7), textcoords="offset points", color=color, ha="center",
                      fontsize=9)  # fmt: skip
    special = {
        "transformer": "Distribution Transformer",
        "copies": "the same, published start",
        "gaussian": part["gaussian"].item(),
    }
    bare_rows(axes, [special.get(name, f"particle filter, {name}") for name in names])
    if float(part["score"].mean(("series", "step")).max()) > 7:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(-2.0, None)
    axes.set_xlabel("mean of -log q(true state), nats")
    axes.set_title("on average")


def _components(axes: Axes, part: xarray.Dataset) -> None:
    for name, label in (("transformer", "our start"), ("copies", "published start")):
        axes.plot(part["distinct"].sel(filter=name).mean("series"), color=_COLORS[name], label=label)
    axes.axhline(1, color=GRAY, linewidth=0.8)
    axes.set_ylim(0.9, part.attrs["components"] + 0.1)
    axes.set_xlabel("step")
    axes.set_title("distinct components, mean over series")
    axes.legend(frameon=False, fontsize=9)
