"""Retrying against unit tests, and coverage laws, on outcomes of real programs and answers.

The tables are not part of the package: `probinf figures imperfect_verifiers_counts --data DIR` reads them from DIR.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Float, PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._imperfect_counts_claims import (
    imperfect_verifiers_counts_claims as imperfect_verifiers_counts_claims,
)
from probinf.figures._imperfect_counts_plot import plot_imperfect_verifiers_counts as plot_imperfect_verifiers_counts
from probinf.figures._imperfect_tables import STRENGTHS, outcome_counts, program_outcomes, pythia_counts
from probinf.verifiers.imperfect import (
    Payoff,
    Population,
    SampleCounts,
    apparent_coverage,
    ceiling_bounds,
    ceiling_interval,
    estimate_outcomes,
    estimate_utilities,
    fit_beta_binomial,
    fit_power_law,
    pass_at,
    plausible_attempts,
    select_attempts,
    simultaneous_band,
    task_interval,
)

COSTS = (0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 10.0)
BUCKETS = ((1, 1), (2, 3), (4, 7), (8, 15), (16, 31), (32, 63), (64, 100))
_ATTEMPTS = 100
_SEEN, _FORECAST, _DRAWS = 100, 10_000, {"smoke": 50, "paper": 1000}
_FALSE_POSITIVES = 0.001
_BOOTSTRAPS = 2000


def imperfect_verifiers_counts_data(
    key: PRNGKeyArray,
    budget: str = "smoke",
    *,
    data: Path,
    cells: Cells | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> xarray.Dataset:
    """Estimates of what retrying buys on 151 tasks of HumanEval, and coverage of 128 problems by seven models.

    Over `attempt`: `correct` and `accepted` (shares of tasks), with a `band` over all attempts (`end`: lower, upper).
    Over `bucket` (of attempts): `fdr`, P(wrong | first accepted there), with `fdr_interval`. Over `strength` (asserts
    that the verifier looks at): `ceiling_ends` (the identified set), `ceiling_interval`, `false_positive_rate`. Over
    `cost`: `best` (attempts with the largest estimated utility), `plausible` (least and most), `naive`, `fitted` (its
    utility judged on other tasks). Over `model`: coverage at `attempts` with the law fitted to it, and what 100 samples
    forecast of 10,000 (`error_of_law`, `error_of_beta`: root mean squares). Over `attempts`: `apparent` and `true`
    coverage of the largest model's tasks with false positives of one in a thousand.

    Raises: ValueError for an unknown budget; FileNotFoundError where a table is missing.
    """
    del cells
    if budget not in _DRAWS:
        raise ValueError(f"budget must be one of {', '.join(_DRAWS)}, not {budget!r}.")
    told = progress or (lambda done, total, current: None)
    with jax.enable_x64(True):
        told(0, 2, "programs")
        programs = _programs(key, *program_outcomes(data))
        told(1, 2, "coverage laws")
        laws = _laws(key, pythia_counts(data), _DRAWS[budget])
    told(2, 2, "done")
    return xarray.merge([programs, laws]).assign_attrs(budget=budget)


def _programs(key: PRNGKeyArray, accepted: Any, right: Any) -> xarray.Dataset:
    counts = [outcome_counts(one, right) for one in accepted]
    attempts = np.arange(1, _ATTEMPTS + 1)
    found = estimate_outcomes(counts[-1], attempts)
    correct, wrong = np.asarray(found.correct), np.asarray(found.wrong)
    both = jnp.concatenate([found.correct, found.correct + found.wrong], axis=1)
    band = np.stack(simultaneous_band(key, both)).reshape(2, 2, -1)
    ceilings = [ceiling_interval(key, c) for c in counts]
    utilities = [estimate_utilities(counts[-1], attempts, Payoff(1.0, cost)) for cost in COSTS]
    plausible = [attempts[np.asarray(plausible_attempts(simultaneous_band(key, u)))] for u in utilities]
    chosen = [select_attempts(key, u) for u in utilities]
    fdr, fdr_interval = _fdr_by_bucket(key, correct, wrong)
    falls = _bootstrap(key, lambda c, w: (c / (c + w))[:, 0] - (c / (c + w))[:, -1], correct, wrong)
    gap = task_interval(key, jnp.asarray(wrong[:, -1]))
    gained = _bootstrap(
        key, lambda weak, strong: strong - weak, *(np.asarray(_ppv(c)) for c in (counts[0], counts[-1]))
    )
    return xarray.Dataset(
        {
            "correct": ("attempt", correct.mean(0)),
            "accepted": ("attempt", (correct + wrong).mean(0)),
            "band": (("curve", "end", "attempt"), band.transpose(1, 0, 2)),
            "fdr": ("bucket", fdr),
            "fdr_interval": (("bucket", "end"), fdr_interval),
            "ceiling_ends": (("strength", "end"), np.array([np.stack(ceiling_bounds(c)) for c in counts])),
            "ceiling_interval": (("strength", "end"), np.array([np.stack(c) for c in ceilings])),
            "false_positive_rate": ("strength", [float((a & ~right).sum() / (~right).sum()) for a in accepted]),
            "best": ("cost", [float(attempts[int(c.index)]) for c in chosen]),
            "plausible": (("cost", "end"), np.array([(p.min(), p.max()) for p in plausible], float)),
            "naive": ("cost", [float(c.naive) for c in chosen]),
            "fitted": ("cost", [float(c.utility) for c in chosen]),
            "fitted_interval": (("cost", "end"), np.array([np.stack(c.interval) for c in chosen])),
            "fall_of_accuracy": ("value", falls),
            "gap": ("value", np.array([wrong[:, -1].mean(), gap.lower.item(), gap.upper.item()])),
            "gain_of_strength": ("value", gained),
        },
        coords={
            "attempt": attempts,
            "curve": ["correct", "accepted"],
            "end": ["lower", "upper"],
            "bucket": [f"{a}" if a == b else f"{a}-{b}" for a, b in BUCKETS],
            "strength": list(STRENGTHS),
            "cost": list(COSTS),
            "value": ["mean", "lower", "upper"],
        },
        attrs={"tasks": right.shape[0]},
    )


def _ppv(counts: SampleCounts) -> Float[np.ndarray, " N"]:
    return np.asarray(counts.correct / jnp.maximum(counts.accepted, 1))


def _fdr_by_bucket(key: PRNGKeyArray, correct: Any, wrong: Any) -> tuple[np.ndarray, np.ndarray]:
    """P(wrong | first accepted in a bucket of attempts) from what each attempt adds, with bootstrap intervals."""
    last = np.array([b for _, b in BUCKETS]) - 1
    before = [a - 2 for a, _ in BUCKETS]

    def added(curve: np.ndarray) -> np.ndarray:
        padded = np.concatenate([curve, np.zeros((len(curve), 1))], axis=1)
        return padded[:, last] - padded[:, before]

    found = _bootstrap(key, lambda c, w: w / (c + w), added(correct), added(wrong))
    return found[0], found[1:].T


def _bootstrap(key: PRNGKeyArray, statistic: Callable[..., Any], *scores: Any) -> np.ndarray:
    """A function of means over tasks: its value, and the ends of a 95 % percentile interval over resampled tasks."""
    tasks = len(scores[0])
    picked = np.asarray(jax.random.randint(key, (_BOOTSTRAPS, tasks), 0, tasks))
    weights = np.stack([np.bincount(row, minlength=tasks) for row in picked]) / tasks
    columns = [np.asarray(s).reshape(tasks, -1) for s in scores]
    value = statistic(*(c.mean(0, keepdims=True) for c in columns))[0]
    drawn = statistic(*(weights @ c for c in columns))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return np.stack([np.squeeze(x) for x in (value, low, high)])


def _laws(key: PRNGKeyArray, counts: dict[str, np.ndarray], draws: int) -> xarray.Dataset:
    attempts = np.unique(np.round(np.geomspace(1, _FORECAST, 40)))
    seen = np.unique(np.round(np.geomspace(1, _SEEN, 40)))
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    coverage, laws, errors = [], [], []
    for correct in counts.values():
        curve = pass_at(correct, float(_FORECAST), attempts).mean(0)
        law = fit_power_law(jnp.asarray(attempts), curve)
        # A hundred of the ten thousand samples of each problem, without replacement.
        subset = random.hypergeometric(
            correct.astype(int), (_FORECAST - correct).astype(int), _SEEN, (draws, len(correct))
        )
        forecast = np.asarray(jax.vmap(lambda c: _forecasts(c, seen))(jnp.asarray(subset, float)))
        coverage.append(np.asarray(curve))
        laws.append(np.asarray(law.coverage(attempts)))
        errors.append(np.sqrt(np.mean((forecast - np.asarray(curve)[-1]) ** 2, axis=0)))
    largest = list(counts.values())[-1] / _FORECAST
    fooled = Population(largest, 1.0, _FALSE_POSITIVES)
    return xarray.Dataset(
        {
            "coverage": (("model", "attempts"), np.array(coverage)),
            "law": (("model", "attempts"), np.array(laws)),
            "error_of_law": ("model", np.array(errors)[:, 0]),
            "error_of_beta": ("model", np.array(errors)[:, 1]),
            "apparent": ("attempts", np.asarray(apparent_coverage(fooled, attempts))),
            "true": ("attempts", np.asarray(fooled.outcomes(attempts).correct)),
            "exact": ("attempts", np.asarray(Population(largest).outcomes(attempts).correct)),
        },
        coords={"model": list(counts), "attempts": attempts},
    )


def _forecasts(correct: Any, seen: Any) -> Any:
    """Coverage of 10,000 samples from counts out of 100: by the power law, and by Beta difficulties."""
    curve = pass_at(correct, float(_SEEN), seen).mean(0)
    law = fit_power_law(jnp.asarray(seen), curve).coverage(float(_FORECAST))
    beta = fit_beta_binomial(correct, float(_SEEN)).coverage(float(_FORECAST))
    return jnp.stack([law, beta])
