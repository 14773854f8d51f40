"""Particle filtering of word problems on SmolLM2, steered by a linear probe on its own activations.

The experiment of arXiv 2502.01618 at the size of a laptop: two-step word problems, one equation a step, against
weighted best-of-n, majority and DVTS with as many generations. All methods write on from the same first steps.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
import xarray
from jaxtyping import Float, PRNGKeyArray

import probinf
from probinf.figures._cells import Cells, fingerprint
from probinf.figures._particle_scaling_lm_claims import particle_scaling_lm_claims as particle_scaling_lm_claims
from probinf.figures._particle_scaling_lm_plot import plot_particle_scaling_lm as plot_particle_scaling_lm
from probinf.figures._train_word_probe import TRAINING_PROBLEMS, probe_path
from probinf.figures._word_problem_runs import METHODS, NO_ANSWER, SELECTIONS, WIDTH, run_cell, select_answers
from probinf.figures._word_problem_writer import TEMPERATURE
from probinf.figures._word_problems import STEPS, TOKENS_PER_STEP, WordProblem, prompt_text, word_problems
from probinf.figures.lm_constraints import default_model
from probinf.lm import Reward, TextModel
from probinf.lm._linear_probe import LinearProbe, load_probe
from probinf.lm._read_along import StateReward

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class LmBudget:
    """How many problems, independent searches of each, and generations of a search."""

    problems: int
    searches: int
    generations: tuple[int, ...]


LM_BUDGETS = {
    "smoke": LmBudget(problems=20, searches=5, generations=(4, 8, 16)),
    "paper": LmBudget(problems=80, searches=5, generations=(4, 8, 16, 32)),
}


def particle_scaling_lm_data(
    key: PRNGKeyArray,
    budget: str | LmBudget = "smoke",
    *,
    model: TextModel | None = None,
    probe: LinearProbe | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run the experiment.

    `accuracy` by curve ("METHOD/SELECTION"; "lane" is the share of right lanes, "any" whether there is one), budget,
    problem and seed. `tokens`, `reward_calls` and `seconds` by method, budget and problem, of one search; prompts are
    not counted, and first steps that methods share count for each. `sample_log_odds` and `sample_right`: the probe on
    plain samples at the largest budget.

    model, probe: SmolLM2-135M-Instruct and the probe that ships with the package by default; the model is downloaded if
    need be. cells: where finished parts are kept.

    Raises: ValueError for an unknown budget, or generations that are no multiple of DVTS's width; ModelDownloadError,
    ModelFileError where there is no model.
    """
    plan = budget if isinstance(budget, LmBudget) else _budget(budget)
    if any(n % WIDTH for n in plan.generations):
        raise ValueError(f"generations must be multiples of the width {WIDTH} of DVTS, got {plan.generations}")
    model = default_model() if model is None else model
    reward = StateReward(load_probe(probe_path()) if probe is None else probe)
    _, problems = word_problems(TRAINING_PROBLEMS, plan.problems)
    results = _run_all(key, plan, model, reward, problems, cells or Cells(None), progress)
    dataset = _assemble(results, plan, problems)
    dataset.attrs = {
        "budget": budget if isinstance(budget, str) else "custom",
        "model": model.name,
        "temperature": TEMPERATURE,
        "width": WIDTH,
        "training_problems": TRAINING_PROBLEMS,
    }
    return dataset


def _budget(name: str) -> LmBudget:
    if name not in LM_BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(LM_BUDGETS)}, not {name!r}.")
    return LM_BUDGETS[name]


def _run_all(
    key: PRNGKeyArray,
    plan: LmBudget,
    model: TextModel,
    reward: Reward,
    problems: list[WordProblem],
    cells: Cells,
    progress: Progress | None,
) -> dict[tuple[int, int], dict[str, Any]]:
    weights = [fingerprint(module) for module in (model.lm, reward) if isinstance(module, eqx.Module)]
    parts = [(i, n) for i in range(len(problems)) for n in plan.generations]
    results = {}
    for done, (i, n) in enumerate(parts):
        prompt = prompt_text(problems[i])
        if progress is not None:
            progress(done, len(parts), f"problem {i + 1}, N={n}")
        settings = {
            "prompt": prompt,
            "n": n,
            "searches": plan.searches,
            "temperature": TEMPERATURE,
            "steps": [STEPS, TOKENS_PER_STEP],
            "methods": list(METHODS),
            "width": WIDTH,
            "weights": weights,
            "key": jax.random.key_data(key).tolist(),
            "probinf": probinf.__version__,
        }
        # Independent of which other cells are run.
        own = jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(prompt.encode())), n)
        results[i, n] = cells.get(
            f"problem{i}-n{n}",
            settings,
            lambda own=own, i=i, n=n: run_cell(own, model, problems[i], reward, n, plan.searches),
        )
    if progress is not None:
        progress(len(parts), len(parts), "done")
    return results


def _assemble(
    results: dict[tuple[int, int], dict[str, Any]], plan: LmBudget, problems: list[WordProblem]
) -> xarray.Dataset:
    curves = [f"{method}/{selection}" for method in METHODS for selection in (*SELECTIONS, "lane", "any")]
    accuracy = np.full((len(curves), len(plan.generations), len(problems), plan.searches), np.nan)
    costs = {
        name: np.zeros((len(METHODS), len(plan.generations), len(problems)))
        for name in ("tokens", "reward_calls", "seconds")
    }
    lanes = max(plan.generations) * plan.searches
    log_odds = np.zeros((len(problems), lanes, STEPS))
    right = np.zeros((len(problems), lanes), bool)
    for (i, n), found in results.items():
        at = plan.generations.index(n)
        for m, method in enumerate(METHODS):
            run = found[method]
            answers = np.array([NO_ANSWER if answer is None else answer for answer in run["answers"]])
            rewards = np.array(run["log_odds"])
            for name, row in accuracies(
                answers.reshape(-1, n), _sigmoid(rewards[:, -1]).reshape(-1, n), problems[i].answer
            ).items():
                accuracy[curves.index(f"{method}/{name}"), at, i] = row
            for name, table in costs.items():
                table[m, at, i] = run[name] / plan.searches
            if method == "samples" and n == max(plan.generations):
                log_odds[i], right[i] = rewards, answers == problems[i].answer
    cost = ("method", "budget", "problem")
    return xarray.Dataset(
        {
            "accuracy": (("curve", "budget", "problem", "seed"), accuracy),
            **{name: (cost, table) for name, table in costs.items()},
            "sample_log_odds": (("problem", "lane", "step"), log_odds),
            "sample_right": (("problem", "lane"), right.astype(np.int8)),
        },
        coords={
            "curve": curves,
            "budget": list(plan.generations),
            "method": list(METHODS),
            "question": ("problem", [problem.question for problem in problems]),
        },
    )


def accuracies(
    answers: np.ndarray, rewards: Float[np.ndarray, "searches n"], right: int
) -> dict[str, Float[np.ndarray, " searches"]]:
    """Whether each selection finds the right answer in each search, the share of right lanes, and whether any is."""
    hits = {
        name: (chosen == right).astype(float) for name, chosen in select_answers(answers, rewards)._asdict().items()
    }
    return {**hits, "lane": (answers == right).mean(1), "any": (answers == right).any(1).astype(float)}


def _sigmoid(log_odds: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return 1 / (1 + np.exp(-log_odds))
