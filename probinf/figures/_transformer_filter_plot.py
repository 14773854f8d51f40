"""The picture of the figure on filtering."""

from __future__ import annotations

import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, bare_rows, title

_COLORS = {"transformer": BLUE, "copies": PINK, "extended": ORANGE}
_NAMES = {
    "transformer": "Distribution Transformer",
    "copies": "the same, published start",
    "extended": "extended Kalman filter",
}


def plot_distribution_transformer_filter(dataset: xarray.Dataset) -> Figure:
    """The score of every filter over time and on average, and how many components stay distinct."""
    import matplotlib

    names = dataset["filter"].values.tolist()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.6), dpi=110)
        over_time = figure.add_axes((0.045, 0.13, 0.24, 0.59))
        on_average = figure.add_axes((0.48, 0.13, 0.2, 0.59))
        components = figure.add_axes((0.74, 0.13, 0.24, 0.59))
        for name in names:
            score = dataset["score"].sel(filter=name)
            over_time.plot(score.median("series"), color=_COLORS.get(name, GREEN), linewidth=1.2)
        over_time.set_xlabel("step")
        over_time.set_title("median of -log q(true state), nats")
        for row, name in enumerate(names):
            color = _COLORS.get(name, GREEN)
            mean, (low, high) = mean_interval(dataset["score"].sel(filter=name).mean("step").values)
            on_average.plot([low, high], [row, row], color=color, linewidth=2)
            on_average.plot(mean, row, "o", color=color, markersize=7)
            on_average.annotate(f"{mean:.2f}", (mean, row), xytext=(0, 7), textcoords="offset points", color=color,
                                ha="center", fontsize=9)  # fmt: skip
        bare_rows(on_average, [_NAMES.get(name, f"particle filter, {name}") for name in names])
        on_average.set_xscale("symlog", linthresh=1.0)
        on_average.set_xlim(-2.0, None)
        on_average.set_xlabel("mean of -log q(true state), nats")
        on_average.set_title("on average")
        for name in ("transformer", "copies"):
            parts = dataset["distinct"].sel(filter=name).mean("series")
            components.plot(parts, color=_COLORS[name], label=_NAMES[name])
        components.axhline(1, color=GRAY, linewidth=0.8)
        components.set_ylim(0.9, dataset.attrs["components"] + 0.1)
        components.set_xlabel("step")
        components.set_title("distinct components, mean over series")
        components.legend(frameon=False, fontsize=9)
        title(
            figure,
            "Filtering with a network that updates any mixture prior",
            f"A target seen by range (30 % outliers) and bearing; {dataset.sizes['series']} series of "
            f"{dataset.sizes['step']} steps; bars: 95 % intervals over series. Lower is nearer to the truth.\n"
            "Particle clouds are scored by a kernel density, which costs them a little. Published, on other series: "
            "extended Kalman 95.9, particles -.244, transformer -.197.",
        )
    return figure
