"""The picture of the figure on the digits of pi."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._pi_model import SIZES
from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title

_COLORS = {"doubt": BLUE, "log-probability": ORANGE, "average token": PINK, "meaning": GREEN}


def plot_pairs_pi(dataset: xarray.Dataset) -> Figure:
    """Confidence by place, doubt against hallucinations, and hallucinations against answers."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.6), dpi=110)
        grid = figure.add_gridspec(
            1, 3, left=0.055, right=0.985, top=0.74, bottom=0.13, wspace=0.22, width_ratios=[1.35, 0.9, 1.1]
        )
        places, doubt, answers = (figure.add_subplot(grid[i]) for i in range(3))
        _places(places, dataset)
        _doubt(doubt, dataset)
        _answers(answers, dataset)
        title(
            figure,
            "Asked for a digit of pi, a language model taught by pairs knows which ones it knows",
            f"A decoder of {SIZES.layers} layers of width {SIZES.dimension}, taught pairs of true statements about "
            "digits, early ones more often. Left: statements drawn\nfrom one seed. Middle: all statements by doubt. "
            f"Right: what a threshold on each score leaves. {dataset.sizes['seed']} seeds; bars and bands: "
            "95 % intervals.",
        )
    return figure


def _places(axes: Any, dataset: xarray.Dataset) -> None:
    one = dataset.isel(seed=0)
    wrong = one["point_wrong"].values > 0
    # Many questions are the same: a little noise keeps their points apart.
    place = one["point_place"].values * np.exp(np.random.default_rng(0).uniform(-0.06, 0.06, len(wrong)))
    for some, color, name in ((~wrong, BLUE, "true"), (wrong, ORANGE, "hallucinated")):
        axes.plot(place[some], one["point_confidence"].values[some], "o", color=color, markersize=3.5, alpha=0.55,
                  markeredgewidth=0, label=name)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel("place of the digit")
    axes.set_title("confidence")
    axes.legend(frameon=False, loc="lower left", handletextpad=0.1)


def _doubt(axes: Any, dataset: xarray.Dataset) -> None:
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
    for i in range(dataset.sizes["bin"]):
        # Seeds whose statements are never so doubtful have no share there.
        some = dataset.isel(bin=i).dropna("seed", subset=["doubt_by_bin"])
        if some.sizes["seed"] < 2:
            continue
        x = float(some["doubt_by_bin"].mean())
        y, (low, high) = mean_interval(some["hallucinated_by_bin"].values)
        axes.plot([x, x], [low, high], color=BLUE, linewidth=2)
        axes.plot(x, y, "o", color=BLUE)
    axes.annotate("bound", (0.62, 0.66), color=GRAY, rotation=45, ha="center", va="bottom", fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("doubt, 1 - confidence")
    axes.set_title("hallucinated, by doubt")


def _answers(axes: Any, dataset: xarray.Dataset) -> None:
    share = dataset["share"].values
    for name, color in _COLORS.items():
        ends = [mean_interval(dataset["curve"].sel(score=name).values[:, i]) for i in range(len(share))]
        axes.plot(share, [mean for mean, _ in ends], color=color, linewidth=1.6, label=name)
        axes.fill_between(share, [e[1][0] for e in ends], [e[1][1] for e in ends], color=color, alpha=0.15, linewidth=0)
    chosen = dataset.mean("seed")
    axes.plot(chosen["answered"], chosen["filtered_hallucinated"], "o", color=BLUE, markersize=5, clip_on=False)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, None)
    axes.set_xlabel("answered (points: doubt below .02, .05, .1, .2, .4)")
    axes.set_title("hallucinated, of answers")
    axes.legend(frameon=False, loc="upper left")
