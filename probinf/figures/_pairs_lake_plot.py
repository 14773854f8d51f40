"""The picture of the figure on the frozen lake."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from probinf.figures._pairs_lake_world import GOAL, LAKE, NO_HAZARD, SIZE, START, rows_of
from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, STYLE, bare_rows, title

_ICE, _LAND = "#CFE6F3", "#F3F0E8"
_COLORS = {"pairs": BLUE, "ensemble": ORANGE, "exact": GREEN}
_ROWS = (
    ("pairs", "sample", "imitation"),
    ("pairs", "most probable", "its most probable path"),
    ("pairs", "rejection", "rejection"),
    ("pairs", "search", "search"),
    ("ensemble", "rejection", "ensemble, rejection"),
    ("ensemble", "search", "ensemble, search"),
    ("exact", "rejection", "exact, rejection"),
    ("exact", "search", "exact, search"),
)


def plot_pairs_lake(dataset: xarray.Dataset) -> Figure:
    """Walkers by imitation and by rejection, unsafe answers against answers, and what each decoder earns."""
    import matplotlib

    beta = dataset.attrs["shown_beta"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(14, 4.9), dpi=110)
        part = lambda n, left, right, **knobs: [  # noqa: E731
            figure.add_subplot(cell)
            for cell in figure.add_gridspec(1, n, left=left, right=right, top=0.73, bottom=0.13, **knobs)
        ]
        lakes, (curve,), rows = part(2, 0.012, 0.40, wspace=0.06), part(1, 0.44, 0.62), part(3, 0.75, 0.985, wspace=0.3)
        _lake(lakes[0], dataset, "sample", "imitation")
        _lake(lakes[1], dataset, "rejection", "rejection")
        _curve(curve, dataset)
        _rows(rows, dataset.sel(beta=beta))
        title(
            figure,
            "A walker who asks what a second expert would do stays off the ice that may give way",
            "One of the nine cells of the lake may be a hazard, which the experts knew and this walker was not told. "
            f"Lakes: {dataset.sizes['walker']} walks of the first seed, x where one met its hazard;\n"
            f"dashed: the path that search gives; doubt at most {beta:g}. Curves: where nothing is told. Right: over "
            f"all contexts at {beta:g}; silence earns nothing. {dataset.sizes['seed']} seeds, bars: 95 % intervals.",
        )
    return figure


def _lake(axes: Any, dataset: xarray.Dataset, shown: str, name: str) -> None:
    for row in range(SIZE):
        for column in range(SIZE):
            color = _ICE if (row, column) in LAKE else _LAND
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=color, edgecolor="white"))
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, (dataset.sizes["walker"], 2))
    paths, met = dataset["path"].sel(shown=shown).values, 0
    for path, hazard, (right, down) in zip(paths, dataset["hazard"].values, jitter, strict=True):
        if path < 0:
            continue
        cells, fell = _walked(int(path), int(hazard))
        met += fell
        line = np.array(cells, float) + [down, right]
        color = ORANGE if fell else BLUE
        axes.plot(line[:, 1], line[:, 0], color=color, linewidth=0.9, alpha=0.9 if fell else 0.45)
        if fell:
            axes.plot(line[-1, 1], line[-1, 0], "x", color=ORANGE, markersize=7, markeredgewidth=2)
    best = dataset["path"].sel(shown="search").values[0]
    if shown == "rejection" and best >= 0:
        line = np.array(_walked(int(best), NO_HAZARD)[0])
        axes.plot(line[:, 1], line[:, 0], "--", color="black", linewidth=1.6)
    for cell, text in ((START, "start"), (GOAL, "goal")):
        axes.text(cell[1], cell[0], text, ha="center", va="center", fontsize=9, weight="bold",
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5})  # fmt: skip
    axes.set_xlim(-0.5, SIZE - 0.5)
    axes.set_ylim(SIZE - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.axis("off")
    walked = int((paths >= 0).sum())
    axes.set_title(f"{name}: {met} of {walked} met it" + (f", {len(paths) - walked} silent" * (walked < len(paths))))


def _walked(path: int, hazard: int) -> tuple[list[tuple[int, int]], bool]:
    """The cells of a path up to the hazard, and whether it was met."""
    cells, at = [START], START[0]
    for column, row in enumerate((*rows_of(path), GOAL[0])):
        cells += [(r, column) for r in range(at, row, 1 if row > at else -1)] + [(row, column)]
        at = row
    if hazard != NO_HAZARD and LAKE[hazard] in cells:
        return cells[: cells.index(LAKE[hazard]) + 1], True
    return cells, False


def _curve(axes: Any, dataset: xarray.Dataset) -> None:
    betas = dataset["beta"].values
    axes.fill_between([0, 1], [0, 1], [1, 1], color="#F2F2F2", zorder=0)
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
    axes.annotate("beyond the bound", (0.0, 1.0), xytext=(6, -6), textcoords="offset points", xycoords="axes fraction",
                  color=GRAY, fontsize=8.5, va="top")  # fmt: skip
    for model, color in _COLORS.items():
        for decoder, mark, line in (("rejection", "o", "-"), ("search", "v", ":")):
            shares = dataset["unsafe_hidden"].sel(model=model, decoder=decoder)
            axes.plot(betas, shares.mean("seed"), line, marker=mark, color=color, markersize=4.5, linewidth=1.2)
            axes.vlines(betas, shares.min("seed"), shares.max("seed"), color=color, linewidth=1)
        axes.plot([], [], "-", color=color, label=model)
    for mark, name in (("o-", "rejection"), ("v:", "search")):
        axes.plot([], [], mark, color=GRAY, markersize=4.5, label=name)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right", bbox_to_anchor=(1.03, 0.0))
    axes.set_xlim(0, 1.05 * betas[-1])
    axes.set_ylim(-0.004, 0.2)
    axes.set_xlabel("doubt allowed (upright: range over seeds)")
    axes.set_title("unsafe answers, nothing told")


def _rows(columns: Any, part: xarray.Dataset) -> None:
    for axes, quantity, digits in zip(columns, ("answered", "unsafe", "reward"), (2, 3, 1), strict=True):
        for row, (model, decoder, _) in enumerate(_ROWS):
            mean, (low, high) = mean_interval(part[quantity].sel(model=model, decoder=decoder).values)
            # Without answers there is no share of them.
            if not np.isfinite(mean):
                continue
            axes.plot([low, high], [row, row], color=_COLORS[model], linewidth=2, clip_on=False)
            axes.plot(mean, row, "o", color=_COLORS[model], markersize=6, clip_on=False)
            axes.annotate(f"{mean:.{digits}f}", (mean, row), xytext=(0, 6), textcoords="offset points", ha="center",
                          fontsize=8, color=GRAY)  # fmt: skip
        bare_rows(axes, [name if axes is columns[0] else "" for _, _, name in _ROWS])
        axes.margins(x=0.15)
        axes.set_title(quantity)
