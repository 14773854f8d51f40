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
            for cell in figure.add_gridspec(1, n, left=left, right=right, top=0.7, bottom=0.13, **knobs)
        ]
        lakes, (curve,), table = part(2, 0.015, 0.445, wspace=0.06), part(1, 0.485, 0.665), part(2, 0.79, 0.985)
        _lake(lakes[0], dataset, "sample", "imitation")
        _lake(lakes[1], dataset, "rejection", "rejection")
        _curve(curve, dataset)
        _table(table[0], table[1], dataset.sel(beta=beta))
        title(
            figure,
            "A walker who asks what a second expert would do stays off the ice that may give way",
            "One of the nine cells of the lake may be a hazard, which the experts knew and this walker was not told. "
            f"Lakes: {dataset.sizes['walker']} walks of the first seed, x where one met its hazard;\n"
            f"dashed: the path that search gives; as the rows at doubt {beta:g}. Curves and rows: in all contexts; "
            f"silence earns nothing. {dataset.sizes['seed']} seeds, bars: 95 % intervals.",
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
    for model, color in _COLORS.items():
        for decoder, mark in (("rejection", "o"), ("search", "v")):
            chosen = dataset.sel(model=model, decoder=decoder).mean("seed")
            line = "-" if decoder == "rejection" else ":"
            axes.plot(chosen["answered"], chosen["unsafe"], line, marker=mark, color=color, markersize=4.5,
                      linewidth=1.2, clip_on=False)  # fmt: skip
        chosen = dataset.sel(model=model, decoder="sample").isel(beta=0).mean("seed")
        axes.plot(chosen["answered"], chosen["unsafe"], "s", color=color, mfc="none", markersize=8, clip_on=False)
        axes.plot([], [], "-", color=color, label=model)
    for mark, name in (("o-", "rejection"), ("v:", "search")):
        axes.plot([], [], mark, color=GRAY, markersize=4.5, label=name)
    axes.plot([], [], "s", color=GRAY, mfc="none", label="imitation")
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    axes.set_xlim(0, 1.0)
    axes.set_ylim(0, None)
    doubts = ", ".join(f"{beta:g}".lstrip("0") for beta in dataset["beta"].values)
    axes.set_xlabel(f"answered, at doubts {doubts}")
    axes.set_title("unsafe, of answers")


def _table(left: Any, right: Any, part: xarray.Dataset) -> None:
    for row, (model, decoder, _) in enumerate(_ROWS):
        chosen = part.sel(model=model, decoder=decoder)
        for axes, quantity in ((left, "unsafe"), (right, "reward")):
            mean, (low, high) = mean_interval(chosen[quantity].values)
            axes.plot([low, high], [row, row], color=_COLORS[model], linewidth=2)
            axes.plot(mean, row, "o", color=_COLORS[model], markersize=6, clip_on=False)
            text = f"{mean:.3f}" if quantity == "unsafe" else f"{mean:.1f}"
            axes.annotate(text, (mean, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8,
                          color=GRAY)  # fmt: skip
    bare_rows(left, [name for _, _, name in _ROWS])
    bare_rows(right, [""] * len(_ROWS))
    left.set_xlim(0, None)
    left.set_title("unsafe")
    right.set_title("reward")
