"""A study of our own: a small language model, tasks whose truth is decided exactly, and verifiers of known strength.

The answers are recorded and come with the package, so the figure needs neither tables nor the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Float, PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._imperfect_study_claims import imperfect_verifiers_study_claims as imperfect_verifiers_study_claims
from probinf.figures._imperfect_study_plot import plot_imperfect_verifiers_study as plot_imperfect_verifiers_study
from probinf.figures._imperfect_study_runs import (
    BUDGETS,
    COSTS,
    RULES,
    accuracy_of_particles,
    chosen_attempts,
    counts_of,
    rule_accuracies,
    self_aurocs,
    self_verification,
    shortest,
)
from probinf.figures._micro_tasks_data import MicroTaskSamples, micro_task_samples
from probinf.verifiers.imperfect import (
    ceiling_bounds,
    ceiling_interval,
    estimate_outcomes,
    estimate_rates,
    simultaneous_band,
)

# Strengths that are drawn and chosen by: one check, which lets much pass, and all of them.
WEAK, STRONG = 0, -1
PARTICLES = (4, 16, 64, 256, 1024, 4096)
STEPS, STEP_ACCURACY, STEP_FALSE_POSITIVES = 4, 0.6, 0.3
_PLANS = {"smoke": (100, 20), "paper": (2000, 400)}


def imperfect_verifiers_study_data(
    key: PRNGKeyArray,
    budget: str = "smoke",
    *,
    cells: Cells | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    samples: MicroTaskSamples | None = None,
) -> xarray.Dataset:
    """What retrying, choosing and voting come to on the recorded answers; and particles against a ceiling.

    Over `attempt`: `correct`, `accepted` under the weakest verifier, with a `band`. Over `strength`: `rates` (pooled,
    and their mean over tasks), `ceiling_ends`, `ceiling_interval`. Over `cost` and `task`: utilities of the number of
    attempts that was chosen on 32 samples, and of others, judged on the rest, against one check (`utility_`) and all
    five (`strong_`). Over `rule`, `n` and `task`: `accuracy`. Over `n` and `task`: `short_accuracy`, `short_tokens`.
    Over `kind` (filter, retries), `particles` and `run`: `share_right`, whose limit is `step_ceiling`. Over
    `task`: `self_auroc`, of the model's own verdicts, of which the rates are attributes.

    Raises: ValueError for an unknown budget; FileNotFoundError where the recorded answers are missing.
    """
    if budget not in _PLANS:
        raise ValueError(f"budget must be one of {', '.join(_PLANS)}, not {budget!r}.")
    subsets, runs = _PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told = progress or (lambda done, total, current: None)
    samples = micro_task_samples() if samples is None else samples
    told(0, 3, "curves and choices")
    with jax.enable_x64(True):
        curves = _curves(key, samples)
    told(1, 3, "rules")
    rules = rule_accuracies(key, samples, WEAK, subsets)
    accuracy, tokens = shortest(samples)
    told(2, 3, "particles")
    shares = cells.get("particles", {"runs": runs}, lambda: _shares(key, runs))
    told(3, 3, "done")
    more = xarray.Dataset(
        {
            "accuracy": (("rule", "n", "task"), rules),
            "short_accuracy": (("n", "task"), accuracy),
            "short_tokens": (("n", "task"), tokens),
            "share_right": (("kind", "particles", "run"), np.array(shares, float)),
            "mode_is_right": ("task", _mode_is_right(samples)),
            "self_auroc": ("task", self_aurocs(samples)),
        },
        coords={"rule": list(RULES), "n": list(BUDGETS), "kind": ["filter", "retries"], "particles": list(PARTICLES)},
    )
    p, f = STEP_ACCURACY, STEP_FALSE_POSITIVES
    return xarray.merge([curves, more]).assign_attrs(
        budget=budget,
        samples=samples.right.shape[1],
        step_ceiling=(p / (p + (1 - p) * f)) ** STEPS,
        **self_verification(samples),
    )


def _curves(key: PRNGKeyArray, samples: MicroTaskSamples) -> xarray.Dataset:
    places = range(len(samples.strengths))
    counts = [counts_of(samples, j) for j in places]
    attempts = np.arange(1, samples.right.shape[1] + 1)
    found = estimate_outcomes(counts[WEAK], attempts)
    both = jnp.concatenate([found.correct, found.correct + found.wrong], axis=1)
    band = np.stack(simultaneous_band(key, both)).reshape(2, 2, -1).transpose(1, 0, 2)
    kept = [(samples.right & ~samples.accepted[..., j]).sum(1).astype(float) for j in places]
    rates = [estimate_rates(c, k) for c, k in zip(counts, kept, strict=True)]
    chosen, strong = chosen_attempts(samples, WEAK), chosen_attempts(samples, STRONG)
    return xarray.Dataset(
        {
            "correct": ("attempt", np.asarray(found.correct).mean(0)),
            "accepted": ("attempt", np.asarray(found.correct + found.wrong).mean(0)),
            "band": (("curve", "end", "attempt"), band),
            "by_task": (
                ("outcome", "task"),
                np.stack([counts[WEAK].correct, counts[WEAK].wrong, counts[WEAK].rejected]),
            ),
            "rates": (("strength", "which", "pooling"), _rates(rates)),
            "ceiling_ends": (("strength", "end"), np.array([np.stack(ceiling_bounds(c)) for c in counts])),
            "ceiling_interval": (("strength", "end"), np.array([np.stack(ceiling_interval(key, c)) for c in counts])),
            **{f"utility_{name}": (("cost", "task"), value) for name, value in chosen.items()},
            **{f"strong_{name}": (("cost", "task"), value) for name, value in strong.items()},
        },
        coords={
            "attempt": attempts,
            "curve": ["correct", "accepted"],
            "end": ["lower", "upper"],
            "outcome": ["correct", "wrong", "rejected"],
            "strength": list(samples.strengths),
            "which": ["true positive rate", "false positive rate"],
            "pooling": ["pooled", "mean over tasks"],
            "cost": list(COSTS),
            "task": [f"{task.kind}: {task.question}" for task in samples.tasks],
        },
    )


def _rates(rates: list[Any]) -> Float[np.ndarray, "strengths 2 2"]:
    return np.array(
        [
            [[float(pooled), float(macro)] for pooled, macro in zip(rate.pooled, rate.macro, strict=True)]
            for rate in rates
        ]
    )


def _shares(key: PRNGKeyArray, runs: int) -> list[list[list[float]]]:
    args = (STEPS, STEP_ACCURACY, STEP_FALSE_POSITIVES)
    return [
        [
            [float(accuracy_of_particles(k, n, *args, copies=copies)) for k in jax.random.split(key, runs)]
            for n in PARTICLES
        ]
        for copies in (True, False)
    ]


def _mode_is_right(samples: MicroTaskSamples) -> Float[np.ndarray, " tasks"]:
    """Whether the commonest answer is right: what a majority tends to."""
    modes = [np.bincount(row).argmax() for row in samples.answer]
    return np.array(
        [bool(r[a == mode].any()) for r, a, mode in zip(samples.right, samples.answer, modes, strict=True)], float
    )
