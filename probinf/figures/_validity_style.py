"""What the figures about validity share: colors, fonts and frames."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

# Okabe and Ito's palette, which color-blind readers can tell apart.
BLUE, ORANGE, GREEN, PINK, GRAY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#555555"
_LONGEST = 42
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRAY,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "xtick.color": GRAY,
    "ytick.color": GRAY,
}


def title(figure: Any, heading: str, subtitle: str, *, left: float = 0.02, top: float = 0.985) -> None:
    """A heading and, below it, what the reader must know about the data; sizes are in points, so any height will do."""
    points = 72 * figure.get_figheight()
    figure.text(left, top, heading, fontsize=15, weight="bold", va="top")
    figure.text(left, top - 24 / points, subtitle, color=GRAY, va="top", linespacing=1.35)


def bare_rows(axes: Axes, names: list[str]) -> None:
    """One named row per entry, from the top down, without ticks; a long name is cut."""
    short = [name if len(name) <= _LONGEST else name[: _LONGEST - 3].rstrip(" ,") + " ..." for name in names]
    axes.set_yticks(range(len(names)), short)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, colors="black")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
