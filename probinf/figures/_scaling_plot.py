"""What the figures about scaling share: curves with intervals, over a logarithmic budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from probinf.figures._scaling_claims import Accuracies
from probinf.figures._scaling_published import BUDGETS, Curve


def draw_curve(axes: Axes, accuracies: Accuracies, curve: str, label: str, color: str, marker: str = "o") -> None:
    """One measured curve with its 95 % band, as far as it was run."""
    budgets = accuracies.budgets(curve)
    if not budgets:
        return
    low, high = np.transpose([accuracies.interval(curve, n) for n in budgets])
    axes.fill_between(budgets, low, high, color=color, alpha=0.15, linewidth=0)
    means = [accuracies.mean(curve, n) for n in budgets]
    axes.plot(budgets, means, color=color, marker=marker, markersize=4, linewidth=1.8, label=label)


def draw_published(axes: Axes, curves: Mapping[str, Curve], colors: Sequence[str], budgets: Sequence[int]) -> None:
    """Curves of the paper, dashed; they come without intervals."""
    for (label, curve), color in zip(curves.items(), colors, strict=False):
        points = [(n, y) for n, y in zip(budgets, curve, strict=False) if y is not None]
        axes.plot(*zip(*points, strict=True), color=color, marker="s", markersize=3.5, linewidth=1.2,
                  linestyle=(0, (4, 1.5)), label=label)  # fmt: skip


def budget_axis(axes: Axes, heading: str, budgets: Sequence[int] = BUDGETS, *, label: bool = True) -> None:
    """A doubling budget below, accuracies on the left."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(budgets), [str(n) for n in budgets])
    axes.minorticks_off()
    axes.set_title(heading)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    axes.set_axisbelow(True)
    if label:
        axes.set_xlabel("generations")
