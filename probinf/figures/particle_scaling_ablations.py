"""What the scaling curve depends on, after figures 4 to 8 of arXiv 2502.01618, with the published curves below ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import xarray
from jaxtyping import PRNGKeyArray
from matplotlib.figure import Figure

from probinf import Particles, Sampler, spawn
from probinf.figures._cells import Cells
from probinf.figures._scaling_arithmetic import ArithmeticBench, run_on_arithmetic
from probinf.figures._scaling_bench import Cell, Plan, Progress
from probinf.figures._scaling_claims import Accuracies
from probinf.figures._scaling_claims import particle_scaling_ablations_claims as particle_scaling_ablations_claims
from probinf.figures._scaling_plot import budget_axis, draw_curve, draw_published
from probinf.figures._scaling_published import BUDGETS, FIGURE_4, FIGURE_5, FIGURE_6, FIGURE_7, FIGURE_8, LATE_BUDGETS
from probinf.figures._scaling_runs import Lanes, Search
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title
from probinf.lm import Reasoning, Solutions
from probinf.samplers import (
    Odds,
    WeightRule,
    first_solution,
    reasoning_filter,
    reasoning_gibbs,
    reasoning_tempering,
)
from probinf.samplers._solution_law import at_rest

PLANS = {
    "smoke": Plan(problems=200, seeds=5, budgets=(8, 32)),
    "paper": Plan(problems=500, seeds=10, budgets=(4, 8, 16, 32, 64, 128)),
}
_TEMPERATURES = (0.6, 1.2)
_BETAS = (0.5, 1.0)
_COLORS = (BLUE, ORANGE, GREEN, PINK, GRAY, "#E69F00")


class Filter(eqx.Module):
    """A filter by a rule, in one cloud or in independent chains of `chain` lanes."""

    rule: WeightRule
    n: int = eqx.field(static=True)
    chain: int | None = eqx.field(static=True, default=None)

    def __call__(self, writer: Reasoning) -> Sampler:
        """The filter of one problem."""
        return reasoning_filter(writer, self.rule, islands=1 if self.chain is None else self.n // self.chain)


class Gibbs(eqx.Module):
    """A filter of n lanes and `sweeps - 1` sweeps of particle Gibbs from it, their clouds side by side."""

    n: int = eqx.field(static=True)
    sweeps: int = eqx.field(static=True)
    ancestor_sampling: bool = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, writer: Reasoning) -> Particles[Solutions]:
        """Sweep k in lanes k n to (k + 1) n."""
        filter_key, pick_key, chain_key = jax.random.split(key, 3)
        kernel = reasoning_gibbs(writer, Odds(), self.n, ancestor_sampling=self.ancestor_sampling, keep_cloud=True)
        first, _ = reasoning_filter(writer, Odds())(filter_key, spawn(self.n))

        def sweep(solution: Solutions, key: PRNGKeyArray) -> tuple[Solutions, Particles[Solutions]]:
            solution, info = kernel(key, solution)
            paid = lambda c: (c.values.spent.tokens, c.values.spent.reward_calls)  # noqa: E731
            tokens, calls = paid(info.cloud)
            replayed = (tokens.at[0].add(info.replayed_tokens), calls.at[0].add(info.replayed_reward_calls))
            return solution, eqx.tree_at(paid, info.cloud, replayed)

        keys = jax.random.split(chain_key, self.sweeps - 1)
        _, later = jax.lax.scan(sweep, first_solution(pick_key, first), keys)
        first = first.replace(values=at_rest(first.values))
        return _in_a_row(jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later), 1)


class Tempering(eqx.Module):
    """Parallel tempering at two temperatures, each transition two sweeps of n lanes at each; it starts from the model.

    The clouds of the second sweep of each transition lie side by side, hot and cold.
    """

    n: int = eqx.field(static=True)
    transitions: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, writer: Reasoning) -> Particles[Solutions]:
        """Two clouds of n lanes a transition."""
        start_key, chain_key = jax.random.split(key)
        kernel = reasoning_tempering(writer, Odds(), self.n, _BETAS, keep_cloud=True)

        def transition(state: Solutions, key: PRNGKeyArray) -> tuple[Solutions, Particles[Solutions]]:
            state, info = kernel(key, state)
            return state, info.kernel.cloud

        keys = jax.random.split(chain_key, self.transitions)
        state, clouds = jax.lax.scan(transition, kernel.init(start_key), keys)
        cloud = _in_a_row(clouds, 2)
        # The chains' own ledgers count the start and the first moves too, whose clouds are not kept.
        paid = lambda c: (c.values.spent.tokens, c.values.spent.reward_calls)  # noqa: E731
        spent = [jnp.zeros(cloud.n, x.dtype).at[0].set(x.sum()) for x in paid(cloud.replace(values=state))]
        return eqx.tree_at(paid, cloud, tuple(spent))


def _in_a_row(clouds: Particles[Solutions], axes: int) -> Particles[Solutions]:
    """The lanes of all clouds of a stack, as one cloud; its evidence means nothing."""
    join = lambda leaf: leaf.reshape(-1, *leaf.shape[axes + 1 :])  # noqa: E731
    zero = jnp.zeros(())
    return Particles(jax.tree.map(join, clouds.values), join(clouds.log_weights), zero, join(clouds.log_twist))


def particle_scaling_ablations_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    bench: ArithmeticBench | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run every variant: see `run_cells` for the layout.

    bench: the language model, its rewards and its problems; by default those that are shipped.

    Raises: ValueError for an unknown budget.
    """
    return run_on_arithmetic(key, budget, PLANS, _cells, bench, cells, progress)


def _cells(bench: ArithmeticBench, plan: Plan) -> list[Cell]:
    strong, most = bench.writer(), max(plan.budgets)

    def each(name: str, rule: WeightRule, writer: Reasoning, sizes: Sequence[int] = plan.budgets) -> list[Cell]:
        return [Cell(name, Search(Filter(rule, n), n), n, writer, {n: Lanes(0, n, n)}) for n in sizes]

    def chains(chain: int) -> list[Cell]:
        sizes = [n for n in plan.budgets if n > chain]
        return [
            Cell(f"chains/{chain}", Search(Filter(Odds(), n, chain), n), n, strong, {n: Lanes(0, n, n)}) for n in sizes
        ]

    def gibbs(name: str, n: int, ancestors: bool, total: int) -> Cell:
        sweeps = total // n
        groups = {n * (k + 1): Lanes(n * k, n * (k + 1), n) for k in range(sweeps)}
        return Cell(f"{name}/{n}", Gibbs(n, sweeps, ancestors), total, strong, groups)

    return [
        *each("reference", Odds(), strong, sorted({*plan.budgets, 16})),
        *(
            cell
            for level in ("weak", "medium", "oracle")
            for cell in each(f"reward {level}", Odds(), bench.writer(level))
        ),
        *each("aggregate min", Odds(aggregate="min"), strong),
        *each("aggregate product", Odds(aggregate="product"), strong),
        *(cell for t in _TEMPERATURES for cell in each(f"temperature {t}", Odds(), bench.writer(temperature=t))),
        gibbs("gibbs", 4, False, most),
        gibbs("gibbs, ancestors", 4, True, 16),
        *chains(4),
        *chains(8),
        Cell("tempering/4", Tempering(4, most // 16), most // 2, strong, {most: Lanes(0, most // 2, most // 2)}),
    ]


def plot_particle_scaling_ablations(dataset: xarray.Dataset) -> Figure:
    """Five comparisons of ours, and below each the paper's."""
    import matplotlib as mpl

    accuracies = Accuracies(dataset)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(17, 7.6), dpi=150)
        title(
            figure,
            "What the accuracy of particle filtering depends on",
            f"{dataset.attrs['language_model']} on chained arithmetic, {dataset.attrs['problems']} problems x "
            f"{dataset.attrs['seeds']} seeds, argmax of the final reward; bands: 95 %, bootstrap over both.\n"
            "Below, dashed: published curves of arXiv 2502.01618, figures 4 to 8 (100 questions, no error bars).",
        )
        grid = figure.add_gridspec(2, 5, left=0.045, right=0.99, top=0.84, bottom=0.075, hspace=0.34, wspace=0.2)
        shared = None
        for column, (heading, curves) in enumerate(_PANELS.items()):
            axes = figure.add_subplot(grid[0, column], sharey=shared)
            shared = axes
            for (label, curve), color in zip(curves.items(), _COLORS, strict=False):
                draw_curve(axes, accuracies, f"{curve}/argmax", label + _price(dataset, curve), color)
            budget_axis(axes, heading, [n for n in BUDGETS if n in dataset["budget"].values], label=False)
            axes.set_ylim(0, 1)
            axes.legend(frameon=False, fontsize=8, loc="lower left")
        shared = None
        for column, (heading, curves, budgets) in enumerate(_PUBLISHED):
            axes = figure.add_subplot(grid[1, column], sharey=shared)
            shared = axes
            draw_published(axes, curves, _COLORS, budgets)
            budget_axis(axes, heading, budgets)
            axes.legend(frameon=False, fontsize=7, loc="lower right")
    return figure


def _price(dataset: xarray.Dataset, curve: str) -> str:
    """How many more tokens a search reads than it has generations to show for, where that is more than a tenth."""
    if curve not in dataset["cell"].values or "reference" not in dataset["cell"].values:
        return ""
    tokens = dataset["tokens"] / dataset["budget"]
    more = float(tokens.sel(cell=curve).mean() / tokens.sel(cell="reference").mean())
    return f" ({more:.1f} x the tokens)" if more > 1.1 else ""


_PANELS: Mapping[str, Mapping[str, str]] = {
    "Reward model": {
        "oracle": "reward oracle",
        "strong": "reference",
        "medium": "reward medium",
        "weak": "reward weak",
    },
    "Aggregate of the rewards": {"last": "reference", "min": "aggregate min", "product": "aggregate product"},
    "Temperature, at all steps": {"1.0": "reference", **{str(t): f"temperature {t}" for t in _TEMPERATURES}},
    "Particle Gibbs": {
        "filter": "reference",
        "Gibbs, N=4": "gibbs/4",
        "N=4, ancestor sampling": "gibbs, ancestors/4",
    },
    "Chains and tempering": {
        "one filter": "reference",
        "chains of 4": "chains/4",
        "chains of 8": "chains/8",
        "tempering, N=4": "tempering/4",
    },
}
_PUBLISHED: Sequence[tuple[str, Mapping[str, Any], Sequence[int]]] = (
    ("Published: reward model", FIGURE_4, BUDGETS),
    ("Published: aggregate", FIGURE_5, BUDGETS),
    ("Published: temperature", FIGURE_6, BUDGETS),
    ("Published: particle Gibbs", FIGURE_7, LATE_BUDGETS),
    ("Published: chains", FIGURE_8, LATE_BUDGETS),
)
