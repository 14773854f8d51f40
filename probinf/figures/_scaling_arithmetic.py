"""The problems, the language model and the reward models of the scaling experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import xarray
from jaxtyping import Array, Int, PRNGKeyArray

from probinf.arithmetic import (
    ArithmeticModels,
    answer_of,
    draw_problem,
    load_arithmetic,
    prompt_of,
    right_answer,
    with_false_positives,
)
from probinf.figures._cells import Cells
from probinf.figures._scaling_bench import Cell, Plan, Progress, plan_of, run_cells
from probinf.figures._scaling_runs import Problems
from probinf.lm import Generation, Reasoning

# Fixed: which problems are evaluated on, and which wrong texts the flawed reward model takes for right ones.
_PROBLEM_SEED, _FLAW_SEED = 20250204, 7
_FALSE_RATE = 0.3


@dataclass(frozen=True)
class ArithmeticBench:
    """What the experiments run on."""

    models: ArithmeticModels
    problems: Problems
    description: dict[str, str]

    def answer(self, text: Generation) -> Int[Array, ""]:
        """The number that one solution gives, -1 for none."""
        return answer_of(text.tokens, text.length)

    def writer(self, reward: str = "strong", temperature: float = 1.0) -> Reasoning:
        """A writer scored by a reward model of the given name; "30 % false" is the strong one with planted flaws."""
        chosen: Any = reward
        if reward == "30 % false":
            chosen = with_false_positives(self.models.rewards["strong"], _FALSE_RATE, jax.random.key(_FLAW_SEED))
        return self.models.writer(chosen, temperature=temperature)


def arithmetic_bench(problems: int) -> ArithmeticBench:
    """The shipped models, on problems that no training has seen.

    Raises: ImportError without the extra `lm`.
    """
    models = load_arithmetic()
    keys = jax.random.split(jax.random.key(_PROBLEM_SEED), problems)
    drawn = jax.vmap(lambda key: draw_problem(key, "evaluation"))(keys)
    ids, lengths = jax.vmap(prompt_of)(drawn)
    bucket = models.writer("strong").prompt.prompt_ids.shape[0]
    ids = jnp.pad(ids, ((0, 0), (0, bucket - ids.shape[1])))
    size = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(models.lm, eqx.is_inexact_array)))
    return ArithmeticBench(
        models,
        Problems(ids, lengths, jax.vmap(right_answer)(drawn)),
        {"language_model": f"A decoder of {size / 1e6:.2f} million parameters"},
    )


def run_on_arithmetic(
    key: PRNGKeyArray,
    budget: str | Plan,
    plans: Mapping[str, Plan],
    make_cells: Callable[[ArithmeticBench, Plan], Sequence[Cell]],
    bench: ArithmeticBench | None,
    store: Cells | None,
    progress: Progress | None,
) -> xarray.Dataset:
    """Runs the cells of a plan, by default on the shipped models: see `run_cells` for the layout.

    Raises: ValueError for an unknown budget.
    """
    plan = plan_of(budget, plans)
    bench = arithmetic_bench(plan.problems) if bench is None else bench
    cells = make_cells(bench, plan)
    dataset = run_cells(key, cells, bench.answer, bench.problems, plan, store=store, progress=progress)
    dataset.attrs |= {"budget": budget if isinstance(budget, str) else "custom", **bench.description}
    return dataset
