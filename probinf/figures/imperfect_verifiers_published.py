"""What arXiv 2411.17501 publishes on resampling with imperfect verifiers, beside what its model implies.

The ceiling of each model against its accuracy is drawn as published. The optimal number of attempts and the utility are
computed twice from the published two types of task: by the released procedure, and by the calculus.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import Float, PRNGKeyArray
from matplotlib.figure import Figure

from probinf.figures._cells import Cells
from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._imperfect_published import (
    ACCURACY,
    COSTS,
    OPTIMAL_ATTEMPTS,
    PRINTED_SLOPE,
    SOUNDNESS,
    TYPE_ACCURACY,
    TYPE_SHARES,
)
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title
from probinf.verifiers.imperfect import Payoff, Population, optimal_attempts, utility

_PAPER = "arXiv:2411.17501"
_MODEL = "Llama 3.1 8B"
_ATTEMPTS = 60
_SHOWN_COSTS = (0.0, 2.0)
_STRONGEST = "GPT-4o"


def imperfect_verifiers_published_data(
    key: PRNGKeyArray,
    budget: str = "smoke",
    *,
    cells: Cells | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> xarray.Dataset:
    """The published numbers, and both readings of the published model; nothing is sampled.

    Over `entry` (benchmark and model): `accuracy`, `ceiling`. Over `model` and `cost`: `printed`. Over `cost`:
    `released` and `optimum`, the optimal attempts of the two types by the released procedure and by ours. Over
    `shown_cost` and `attempt`: `released_utility` and `utility`. Over `shown_cost`: `limit`, with unlimited attempts.
    """
    del key, budget, cells, progress
    rows = [(test, *row) for test, models in ACCURACY.items() for row in models]
    attempts = np.arange(1, _ATTEMPTS + 1)
    with jax.enable_x64(True):
        tasks = Population(np.array(TYPE_ACCURACY), 1.0, 1 - SOUNDNESS, np.array(TYPE_SHARES))
        optimum = [float(optimal_attempts(tasks, Payoff(1.0, cost))) for cost in COSTS]
        right = [np.asarray(utility(tasks, attempts, Payoff(1.0, cost))) for cost in _SHOWN_COSTS]
        limit = [float(utility(tasks, np.inf, Payoff(1.0, cost))) for cost in _SHOWN_COSTS]
    return xarray.Dataset(
        {
            "accuracy": ("entry", [row[2] for row in rows]),
            "ceiling": ("entry", [row[3] for row in rows]),
            "printed": (("model", "cost"), np.array(list(OPTIMAL_ATTEMPTS.values()))),
            "released": ("cost", [released_optimum(cost) for cost in COSTS]),
            "optimum": ("cost", optimum),
            "released_utility": (
                ("shown_cost", "attempt"),
                np.array([np.cumsum(released_gains(cost, _ATTEMPTS)) for cost in _SHOWN_COSTS]),
            ),
            "utility": (("shown_cost", "attempt"), np.array(right)),
            "limit": ("shown_cost", limit),
        },
        coords={
            "benchmark": ("entry", [row[0] for row in rows]),
            "name": ("entry", [row[1] for row in rows]),
            "model": list(OPTIMAL_ATTEMPTS),
            "cost": list(COSTS),
            "shown_cost": list(_SHOWN_COSTS),
            "attempt": attempts,
        },
    )


def released_gains(cost: float, attempts: int) -> Float[np.ndarray, " K"]:
    """What each attempt adds by the released formula, which weights survival by the posterior after the rejections.

    The posterior already holds the rejections, so they count twice.

    Source: arXiv 2411.17501, appendix C and its notebook on the model.
    """
    p, prior = np.array(TYPE_ACCURACY), np.array(TYPE_SHARES)
    false_positive_rate = 1 - SOUNDNESS
    survival = ((1 - p) * SOUNDNESS) ** np.arange(attempts)[:, None]
    posterior = prior * survival / np.sum(prior * survival, axis=1, keepdims=True)
    net = np.sum(posterior * (p - cost * (1 - p) * false_positive_rate), axis=1)
    return np.sum(survival * posterior, axis=1) * net


def released_optimum(cost: float, attempts: int = 1000) -> int:
    """The first of the largest cumulated utilities: where no gain is negative, the first that a double cannot add."""
    return int(np.argmax(np.concatenate([[0.0], np.cumsum(released_gains(cost, attempts))])))


def imperfect_verifiers_published_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts. Seen before: all of the numbers, which the notes on the paper hold; nothing here is sampled."""
    human = dataset.where(dataset["benchmark"] == "HumanEval", drop=True)
    slope = np.polyfit(human["accuracy"].values, human["ceiling"].values, 1)[0]
    strongest = float(human["accuracy"].values[human["name"].values == _STRONGEST].item())
    others = human["ceiling"].values[human["name"].values != _STRONGEST]
    rises = (np.diff(dataset["printed"].values, axis=1) > 0).any(axis=1).sum()
    equal = (dataset["released"].values == dataset["printed"].sel(model=_MODEL).values).sum()
    endless = np.isinf(dataset["optimum"].values).sum()
    beyond = dataset["released_utility"].sel(shown_cost=0.0, attempt=15).item() - dataset["limit"].values[0]
    gap = np.abs(dataset["optimum"].values - dataset["printed"].sel(model=_MODEL).values)
    finite = np.isfinite(dataset["optimum"].values)
    sign = dataset["utility"].sel(shown_cost=2.0, attempt=15).item()
    rows: list[tuple[str, str, str, Relation, float, float, Any]] = [
        ("slope", "Weaker models have lower ceilings: the slope is the printed one",
         "slope over 17 models less .22", "within", 0.005, slope - PRINTED_SLOPE, PRINTED_SLOPE),
        ("below", "Most weaker models cannot reach the strongest, however often they try",
         "models of 16 with P(correct | accepted) below its accuracy", ">", 8.0, (others < strongest).sum(), None),
        ("row", "The released procedure gives the printed optimal attempts of Llama 3.1 8B", "entries that are equal",
         ">", 12.5, equal, None),
        ("endless", "Its large entries are no optima: there the best number of attempts has no end",
         "infinite entries less the six large ones", "within", 0.5, endless - 6, None),
        ("finite", "Where the optimum is finite, the printed one is right", "largest difference", "within", 0.5,
         gap[finite].max(), None),
        ("rises", "In other rows too: an optimum cannot rise with the cost, printed ones do", "rows of 17 that rise",
         ">", 0.5, rises, None),
        ("double", "The released utility passes its own ceiling", "utility at cost 0, K = 15, less the ceiling", ">",
         0.1, beyond, None),
        ("sign", "and has the wrong sign at cost 2, where retrying 15 times pays", "right utility", ">", 0.1, sign,
         "-.066 by the released formula"),
    ]  # fmt: skip
    return [
        Claim(f"imperfect_verifiers_published/{name}", _PAPER, says, quantity, relation, bound, published, True).judge(
            float(value)
        )
        for name, says, quantity, relation, bound, value, published in rows
    ]


def plot_imperfect_verifiers_published(dataset: xarray.Dataset) -> Figure:
    """Ceilings, optimal attempts, and utilities."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.8), dpi=110)
        grid = figure.add_gridspec(1, 3, left=0.06, right=0.985, top=0.74, bottom=0.14, wspace=0.26)
        ceilings, optimum, value = (figure.add_subplot(grid[i]) for i in range(3))
        _ceilings(ceilings, dataset)
        _optimum(optimum, dataset)
        _utility(value, dataset)
        title(
            figure,
            "What retrying against an imperfect verifier can buy: published, and what the published model implies",
            "Left: accuracy of a draw against P(correct | accepted), mean over tasks, as published. Middle and right: "
            "the two types of task fitted to Llama 3.1 8B;\nwhere each attempt pays, the best number of attempts has "
            "no end (top), and the printed one is where a double stops changing (hollow).",
        )
    return figure


def _ceilings(axes: Any, dataset: xarray.Dataset) -> None:
    for benchmark, color in (("HumanEval", BLUE), ("MBPP", ORANGE)):
        part = dataset.where(dataset["benchmark"] == benchmark, drop=True)
        x, y = part["accuracy"].values, part["ceiling"].values
        slope, offset = np.polyfit(x, y, 1)
        axes.plot(x, y, "o", color=color, markersize=5)
        line = np.array([0.0, 0.9])
        axes.plot(line, offset + slope * line, color=color, label=f"{benchmark}: {slope:.2f} x + {offset:.2f}")
    strongest = next(row for row in ACCURACY["HumanEval"] if row[0] == _STRONGEST)
    axes.axhline(strongest[1], color=GRAY, linestyle=":", linewidth=1)
    axes.text(0.01, strongest[1] + 0.005, "accuracy of one draw of GPT-4o", color=GRAY, fontsize=8.5)
    axes.set_xlabel("accuracy of one draw")
    axes.set_ylabel("P(correct | accepted), mean over tasks")
    axes.legend(frameon=False, loc="lower right", fontsize=9)


def _optimum(axes: Any, dataset: xarray.Dataset) -> None:
    top = 3000.0
    costs = dataset["cost"].values
    for row in dataset["printed"].values:
        axes.plot(costs, np.maximum(row, 0.5), color="#DDDDDD", linewidth=0.8, zorder=0)
    printed, right = dataset["printed"].sel(model=_MODEL).values, dataset["optimum"].values
    endless = np.isinf(right)
    axes.plot(costs[endless], printed[endless], "o", color=PINK, mfc="white", label="printed, saturated")
    axes.plot(costs[~endless], np.maximum(printed[~endless], 0.5), "o", color=PINK, markersize=8, label="printed")
    axes.plot(costs, np.where(endless, top, np.maximum(right, 0.5)), ".", color=GREEN, label="the calculus")
    axes.plot([], [], color="#DDDDDD", label="printed, the other 16 models")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_yticks([0.5, 1, 10, 100, top], ["0", "1", "10", "100", "no end"])
    axes.minorticks_off()
    axes.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axes.set_xlabel("cost of a wrong answer, in right ones")
    axes.set_ylabel("best number of attempts")
    axes.legend(frameon=False, fontsize=8.5, loc="upper right", bbox_to_anchor=(1.02, 0.95))


def _utility(axes: Any, dataset: xarray.Dataset) -> None:
    for cost, color in zip(_SHOWN_COSTS, (BLUE, ORANGE), strict=True):
        part = dataset.sel(shown_cost=cost)
        axes.plot(part["attempt"], part["utility"], color=color, label=f"cost {cost:g}")
        axes.plot(part["attempt"], part["released_utility"], "--", color=color)
        axes.axhline(part["limit"].item(), color=color, linewidth=0.8, linestyle=":")
    axes.plot([], [], "--", color=GRAY, label="as released")
    axes.plot([], [], ":", color=GRAY, label="unlimited attempts")
    axes.axhline(0, color=GRAY, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_xticks([1, 3, 10, 30, 60], ["1", "3", "10", "30", "60"])
    axes.minorticks_off()
    axes.set_xlabel("attempts at most")
    axes.set_ylabel("utility")
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")
