"""The picture of the figure on images."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, ORANGE, STYLE, bare_rows, title

_TITLES = {"plain": "ten classes", "extra": "twenty classes", "scrambled": "twenty classes, scrambled"}
_DATA = {"digits": "digits 8 x 8", "mnist": "MNIST 14 x 14"}
_SHOWN = {"mixture, k = 2": BLUE, "ensemble": ORANGE}


def plot_pairs_images(dataset: xarray.Dataset) -> Figure:
    """Variance against error and coverage of every method, by world, and what two methods say of two images."""
    import matplotlib

    worlds = [str(world) for world in dataset["world"].values]
    examples = dataset.sizes["example"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.2 + 3.1 * len(worlds), 9.6), dpi=110)
        grid = figure.add_gridspec(
            2 + examples, 6 * len(worlds), left=0.115, right=0.985, top=0.83, bottom=0.045, wspace=1.2, hspace=0.62,
            height_ratios=[1.9, 1.9, *[1] * examples],
        )  # fmt: skip
        for column, world in enumerate(worlds):
            place, part = slice(6 * column, 6 * column + 6), dataset.sel(world=world)
            error, coverage = figure.add_subplot(grid[0, place]), figure.add_subplot(grid[1, place])
            _errors(error, part, first=column == 0)
            _coverage(coverage, part, first=column == 0)
            data, variant = world.split("/")
            error.set_title(f"{_DATA[data]}\n{_TITLES[variant]}", fontsize=10)
            for row in range(examples):
                image = figure.add_subplot(grid[2 + row, 6 * column : 6 * column + 2])
                bars = figure.add_subplot(grid[2 + row, 6 * column + 2 : 6 * column + 6])
                _example(image, bars, part.isel(seed=0, example=row))
        title(
            figure,
            "Digits whose annotators disagree: what each method says that it does not know, and its error",
            "Real digits and 50 simulated annotators each, of known probabilities. Twenty classes: thick, thin; "
            "scrambled: most pixels of each image in an order of its own, the truth as before.\n"
            "Top: mean over images and classes, on a log scale. Middle: share of true probabilities in the 95 % "
            "interval. Bottom: the same two test images; digits' true probabilities and, with two\nstandard deviations "
            f"of the epistemic kind, what two methods say. {dataset.sizes['seed']} seeds, bars: 95 % intervals; images "
            "of the first.",
        )
    return figure


def _color(method: str) -> str:
    """Blue where answers to an image teach together, orange where each teaches by itself."""
    return BLUE if method.startswith(("mixture", "Dirichlet")) else ORANGE


def _point(axes: Any, row: int | float, values: Any, color: str, marker: str, *, filled: bool) -> None:
    mean, (low, high) = mean_interval(values)
    axes.plot([low, high], [row, row], color=color, linewidth=1.8)
    axes.plot(mean, row, marker, color=color, markersize=6, mfc=color if filled else "white")


def _rows(axes: Any, part: xarray.Dataset, *, first: bool) -> list[str]:
    methods = [str(method) for method in part["model"].values]
    bare_rows(axes, methods if first else [""] * len(methods))
    return methods


def _errors(axes: Any, part: xarray.Dataset, *, first: bool) -> None:
    for row, method in enumerate(_rows(axes, part, first=first)):
        chosen, color = part.sel(model=method), _color(method)
        v, error = chosen["variance"].values, chosen["squared_error"].values
        axes.plot([v.mean(), error.mean()], [row, row], color=color, linewidth=0.8, alpha=0.6)
        _point(axes, row, v, color, "o", filled=True)
        _point(axes, row, error, GRAY, "D", filled=False)
    axes.set_xscale("log")
    axes.set_xlabel("mean, of classes and images")
    if first:
        axes.plot([], [], "o", color=GRAY, label="epistemic variance")
        axes.plot([], [], "D", color=GRAY, mfc="white", label="squared error")
        axes.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(-0.45, 1.18))


def _coverage(axes: Any, part: xarray.Dataset, *, first: bool) -> None:
    for row, method in enumerate(_rows(axes, part, first=first)):
        chosen, color = part.sel(model=method, beta=0.05), _color(method)
        _point(axes, row, chosen["coverage"].values, color, "o", filled=True)
        _point(axes, row + 0.2, chosen["worst_coverage"].values, color, "v", filled=False)
        _point(axes, row - 0.2, chosen["bounded_coverage"].values, GRAY, "s", filled=False)
    axes.axvline(0.95, color=GRAY, linewidth=0.8)
    axes.set_xlim(-0.04, 1.04)
    axes.set_xlabel("share covered by 95 % intervals")
    if first:
        for marker, name in (("o", "all"), ("v", "worst decile"), ("s", "all, intervals widened by held-out votes")):
            axes.plot([], [], marker, color=GRAY, mfc=GRAY if marker == "o" else "white", label=name)
        axes.legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(-0.45, 0.98))


def _example(image: Any, bars: Any, part: xarray.Dataset) -> None:
    pixels = part["pixels"].values[~np.isnan(part["pixels"].values)]
    image.imshow(pixels.reshape(int(np.sqrt(pixels.size)), -1), cmap="gray_r")
    image.set_axis_off()
    digits = np.arange(10)
    bars.bar(digits, part["example_truth"].values, color="#DDDDDD", width=0.9)
    for shift, (method, color) in zip((-0.2, 0.2), _SHOWN.items(), strict=True):
        said = part.sel(model=method)
        bars.errorbar(digits + shift, said["example_probability"], 2 * said["example_deviation"], fmt=".", color=color,
                      markersize=3, linewidth=1)  # fmt: skip
    said = part.sel(model="mixture, k = 2")
    aleatoric, epistemic = (float(said[f"example_{part}"]) for part in ("aleatoric", "epistemic"))
    text = f"variance {aleatoric:.2f} aleatoric, {epistemic:.2f} epistemic"
    bars.set_title(text, fontsize=7.5, color=BLUE, pad=2)
    bars.set_xticks(digits)
    bars.set_yticks([0, 1])
    bars.set_ylim(0, 1.05)
    bars.tick_params(labelsize=7.5, length=0)
