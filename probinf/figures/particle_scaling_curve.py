"""Accuracy against the budget, after figure 2 of arXiv 2502.01618, on a language model that is trained here.

Every search is crossed with every selection on the same problems, and a reward model with planted false positives shows
where taking the best-scored solution turns over. The paper's own curves stand beside ours; its numbers were not re-run.
"""

from __future__ import annotations

from collections.abc import Callable

import xarray
from jaxtyping import PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinf import Sampler
from probinf.figures._cells import Cells
from probinf.figures._scaling_arithmetic import ArithmeticBench, run_on_arithmetic
from probinf.figures._scaling_bench import Cell, Plan, Progress
from probinf.figures._scaling_claims import Accuracies
from probinf.figures._scaling_claims import particle_scaling_curve_claims as particle_scaling_curve_claims
from probinf.figures._scaling_plot import budget_axis, draw_curve, draw_published
from probinf.figures._scaling_published import BUDGETS, FIGURE_2
from probinf.figures._scaling_runs import Lanes, Search
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title
from probinf.lm import Reasoning
from probinf.samplers import Odds, Product, ValueRatio, beam_search, dvts, greedy, reasoning_filter, solution_pool

PLANS = {
    "smoke": Plan(problems=200, seeds=5, budgets=BUDGETS),
    "paper": Plan(problems=500, seeds=10, budgets=BUDGETS),
}
_WIDTH = 4
_FALSE = "PF, 30 % false"
_SELECTIONS = ("argmax", "vote", "majority", "draw")
_SEARCHES = ("pool", "beam", "DVTS", "PF", "PF product", "PF value ratio")


def filter_by_odds(writer: Reasoning) -> Sampler:
    """The released algorithm: the odds of the latest reward, resampled in every round."""
    return reasoning_filter(writer, Odds())


def filter_by_product(writer: Reasoning) -> Sampler:
    """The stated target: the product of the rewards."""
    return reasoning_filter(writer, Product())


def filter_by_ratio(writer: Reasoning) -> Sampler:
    """The reward as a value that counts once."""
    return reasoning_filter(writer, ValueRatio())


def beam(writer: Reasoning) -> Sampler:
    """One beam."""
    return beam_search(writer, width=_WIDTH)


def trees(writer: Reasoning) -> Sampler:
    """Diverse verifier tree search."""
    return dvts(writer, width=_WIDTH)


def particle_scaling_curve_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    bench: ArithmeticBench | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run every search at every budget: see `run_cells` for the layout.

    bench: the language model, its rewards and its problems; by default those that are shipped.

    Raises: ValueError for an unknown budget.
    """
    return run_on_arithmetic(key, budget, PLANS, _cells, bench, cells, progress)


def _cells(bench: ArithmeticBench, plan: Plan) -> list[Cell]:
    strong, flawed, most = bench.writer("strong"), bench.writer("30 % false"), max(plan.budgets)
    wide = [n for n in plan.budgets if n >= _WIDTH]
    some = [n for n in plan.budgets if n == 64]
    few = [n for n in plan.budgets if n in (8, 64)]

    def each(name: str, make: Callable[[Reasoning], Sampler], writer: Reasoning, sizes: list[int]) -> list[Cell]:
        return [Cell(name, Search(make, n), n, writer, {n: Lanes(0, n, n)}) for n in sizes]

    return [
        Cell("greedy", Search(greedy, 1), 1, strong, {1: Lanes(0, 1, 1)}),
        Cell("pool", Search(solution_pool, most), most, strong, {n: Lanes(0, most, n) for n in plan.budgets}),
        Cell(
            "pool, 30 % false", Search(solution_pool, most), most, flawed, {n: Lanes(0, most, n) for n in plan.budgets}
        ),
        *each("PF", filter_by_odds, strong, list(plan.budgets)),
        *each("DVTS", trees, strong, [n for n in wide if n <= 64]),
        *each("beam", beam, strong, some),
        *each("PF product", filter_by_product, strong, some),
        *each("PF value ratio", filter_by_ratio, strong, some),
        *each(_FALSE, filter_by_odds, flawed, few),
    ]


def plot_particle_scaling_curve(dataset: xarray.Dataset) -> Figure:
    """Ours, the paper's, all searches crossed with all selections, and the turnover."""
    import matplotlib as mpl

    accuracies = Accuracies(dataset)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(14, 9), dpi=150)
        title(
            figure,
            "Accuracy against the number of generations",
            f"{dataset.attrs['language_model']} on chained arithmetic, {dataset.attrs['problems']} problems x "
            f"{dataset.attrs['seeds']} seeds; bands: 95 %, bootstrap over problems and seeds.\n"
            "Dashed: published curves of arXiv 2502.01618, figure 2 (MATH500, no error bars); not re-run here.",
        )
        grid = figure.add_gridspec(2, 3, left=0.085, right=0.985, top=0.86, bottom=0.065, hspace=0.34, wspace=0.2)
        _ours(figure.add_subplot(grid[0, 0]), accuracies)
        for column, model in ((1, "Llama-3.2-1B"), (2, "Qwen2.5-Math-1.5B")):
            axes = figure.add_subplot(grid[0, column])
            draw_published(axes, FIGURE_2[model], (GRAY, BLUE, ORANGE), BUDGETS)
            budget_axis(axes, f"Published: {model}")
            axes.legend(frameon=False, loc="lower right")
        _crossed(figure.add_subplot(grid[1, 0]), accuracies)
        _tokens(figure.add_subplot(grid[1, 1]), dataset, accuracies)
        _turnover(figure.add_subplot(grid[1, 2]), accuracies)
    return figure


def _ours(axes: Axes, accuracies: Accuracies) -> None:
    for curve, label, color in (
        ("pool/any", "any of N (ceiling)", "#BBBBBB"),
        ("PF/argmax", "particle filter, argmax", BLUE),
        ("DVTS/argmax", "DVTS, argmax", ORANGE),
        ("pool/vote", "weighted best-of-n", GRAY),
        ("pool/argmax", "best-of-n", PINK),
        ("pool/majority", "majority", GREEN),
    ):
        draw_curve(axes, accuracies, curve, label, color)
    if accuracies.has("greedy/argmax", 1):
        axes.axhline(accuracies.mean("greedy/argmax", 1), color="black", linewidth=0.8, linestyle=":")
        axes.text(max(BUDGETS), accuracies.mean("greedy/argmax", 1), "greedy", va="bottom", ha="right", fontsize=8)
    budget_axis(axes, "Ours")
    axes.set_ylim(0, 1)
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)


def _crossed(axes: Axes, accuracies: Accuracies) -> None:
    """Each search a row, each selection a mark."""
    n = max((b for b in accuracies.budgets("PF product/argmax")), default=None)
    if n is None:
        return
    searches = [search for search in _SEARCHES if accuracies.has(f"{search}/argmax", n)]
    marks = dict(zip(_SELECTIONS, ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (GRAY, "d")), strict=True))
    for row, search in enumerate(searches):
        for k, (selection, (color, marker)) in enumerate(marks.items()):
            low, high = accuracies.interval(f"{search}/{selection}", n)
            y = row + 0.16 * (k - 1.5)
            axes.plot([low, high], [y, y], color=color, linewidth=1.4, alpha=0.5)
            axes.plot(accuracies.mean(f"{search}/{selection}", n), y, marker, color=color, markersize=5,
                      label=selection if row == 0 else None)  # fmt: skip
    axes.set_yticks(range(len(searches)), [s.replace("pool", "samples") for s in searches])
    axes.set_ylim(len(searches) - 0.5, -0.5)
    axes.grid(axis="x", color="#EEEEEE", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("accuracy")
    axes.set_title(f"Search x selection at N = {n}")
    # Room for the legend on the right.
    axes.set_xlim(0, 1.2)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.legend(frameon=False, fontsize=8, loc="upper right", handletextpad=0.2)


def _tokens(axes: Axes, dataset: xarray.Dataset, accuracies: Accuracies) -> None:
    """The same accuracies over the tokens that were paid for."""
    for cell, selection, label, color in (
        ("PF", "argmax", "particle filter, argmax", BLUE),
        ("PF", "vote", "particle filter, weighted vote", GREEN),
        ("DVTS", "vote", "DVTS, weighted vote", ORANGE),
        ("pool", "vote", "weighted best-of-n", GRAY),
    ):
        budgets = accuracies.budgets(f"{cell}/{selection}")
        tokens = [float(dataset["tokens"].sel(cell=cell, budget=n)) for n in budgets]
        means = [accuracies.mean(f"{cell}/{selection}", n) for n in budgets]
        axes.plot(tokens, means, color=color, marker="o", markersize=4, linewidth=1.8, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("tokens of the language model per problem")
    axes.set_title("The same, by tokens")
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _turnover(axes: Axes, accuracies: Accuracies) -> None:
    for curve, label, color, marker in (
        (f"{_FALSE}/argmax", "particle filter, argmax", BLUE, "o"),
        (f"{_FALSE}/vote", "particle filter, weighted vote", GREEN, "o"),
        ("pool, 30 % false/argmax", "best-of-n", PINK, "s"),
        ("pool, 30 % false/vote", "weighted best-of-n", GRAY, "s"),
    ):
        draw_curve(axes, accuracies, curve, label, color, marker)
    budget_axis(axes, "30 % of wrong endings scored as right")
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
