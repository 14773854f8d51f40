"""Distribution Transformers on linear-Gaussian problems, whose posteriors are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.distributions import GMM, moment_match
from probinf.figures._cells import Cells
from probinf.figures._transformer_conjugate_claims import (
    distribution_transformer_conjugate_claims as distribution_transformer_conjugate_claims,
)
from probinf.figures._transformer_conjugate_plot import (
    plot_distribution_transformer_conjugate as plot_distribution_transformer_conjugate,
)
from probinf.figures._transformer_metrics import corrections, divergences, draw_problems
from probinf.transformers_dist import (
    RECIPES,
    Family,
    NetworkConfig,
    TrainingConfig,
    load,
    published_config,
    train,
)
from probinf.transformers_dist.families import (
    LinearData,
    LinearLikelihood,
    exact_linear,
    linear_evidence,
    linear_gaussian,
)

Progress = Callable[[int, int, str], None]

DIMENSIONS = (1, 2, 4, 8)
COMPONENTS = (2, 5, 10, 20)
HEADS = ("direct", "residual", "site")


@dataclass(frozen=True)
class Plan:
    """Held-out problems, draws for each divergence and each correction; seeds, steps and batch of the comparison."""

    problems: int
    draws: int
    corrected: int
    seeds: int
    steps: int
    batch: int


PLANS = {"smoke": Plan(1000, 64, 1024, 5, 1000, 128), "paper": Plan(4000, 256, 4096, 10, 4000, 256)}


def distribution_transformer_conjugate_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Measure the shipped transformers, and train three heads alike.

    Over `dimension` and `problem`: `kl` of each `approximation` in nats ("site": the shipped transformer; "gaussian":
    the one Gaussian with the exact moments; "prior"), and of the corrected sampler `ess` (over draws), `pareto_k` and
    `log_z_error`. Over `components` and `problem`: `component_kl` in 8 dimensions. Over `head`, `seed` and `problem`:
    `head_kl` in one dimension, after a short training.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)
    total = len(DIMENSIONS) + len(COMPONENTS) + len(HEADS) * plan.seeds
    by_dimension, by_components, by_head = [], [], []
    for i, dimension in enumerate(DIMENSIONS):
        told(i, total, f"{dimension}-D")
        run = partial(_dimension, jax.random.fold_in(key, dimension), dimension, plan)
        by_dimension.append(cells.get(f"{dimension}d", {"plan": vars(plan)}, run))
    for i, components in enumerate(COMPONENTS):
        told(len(DIMENSIONS) + i, total, f"8-D, {components} components")
        run = partial(_components, jax.random.fold_in(key, 100 + components), components, plan)
        by_components.append(cells.get(f"8d-{components}", {"plan": vars(plan)}, run))
    for head in HEADS:
        for seed in range(plan.seeds):
            told(total - len(HEADS) * plan.seeds + len(by_head), total, f"{head} head, seed {seed}")
            settings = {"head": head, "seed": seed, "plan": vars(plan)}
            by_head.append(cells.get(f"{head}-{seed}", settings, lambda h=head, s=seed: _head(key, h, s, plan)))
    told(total, total, "done")
    return xarray.Dataset(
        {
            "kl": (("dimension", "approximation", "problem"), np.array([found["kl"] for found in by_dimension])),
            **{name: (("dimension", "problem"), np.array([found[name] for found in by_dimension]))
               for name in ("ess", "pareto_k", "log_z_error")},
            "component_kl": (("components", "problem"), np.array(by_components)),
            "head_kl": (("head", "seed", "problem"), np.array(by_head).reshape(len(HEADS), plan.seeds, -1)),
        },
        coords={"dimension": list(DIMENSIONS), "approximation": ["site", "gaussian", "prior"], "head": list(HEADS),
                "components": list(COMPONENTS)},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "corrected": plan.corrected,
               "steps": plan.steps, "batch": plan.batch},
    )  # fmt: skip


def _dimension(key: PRNGKeyArray, dimension: int, plan: Plan) -> dict[str, Any]:
    name = f"linear_{dimension}d"
    dt, family = load(name), family_of(dimension)
    problem_key, kl_key, correction_key = jax.random.split(key, 3)
    problems = draw_problems(family, problem_key, plan.problems)
    kl = [divergences(q, exact_linear, problems, kl_key, plan.draws) for q in (dt, _gaussian, _prior)]
    found = corrections(dt, LinearLikelihood, linear_evidence, problems, correction_key, plan.corrected)
    return {name: np.asarray(value).tolist() for name, value in {"kl": kl, **found._asdict()}.items()}


def _components(key: PRNGKeyArray, components: int, plan: Plan) -> list[float]:
    """The shipped 8-D transformer on priors of other sizes, which it never met above 10."""
    family = linear_gaussian(8, components, least_components=components, points=1)
    problem_key, kl_key = jax.random.split(key)
    problems = draw_problems(family, problem_key, plan.problems)
    return divergences(load("linear_8d"), exact_linear, problems, kl_key, plan.draws).tolist()


def _head(key: PRNGKeyArray, head: str, seed: int, plan: Plan) -> list[float]:
    """A short training of one head, and its divergences on problems that are the same for all."""
    config = _HEAD_CONFIGS[head]()
    dt, _ = train(family_of(1), config, TrainingConfig(steps=plan.steps, batch=plan.batch, seed=seed))
    problem_key, kl_key = jax.random.split(jax.random.fold_in(key, 1000))
    problems = draw_problems(family_of(1), problem_key, plan.problems)
    return divergences(dt, exact_linear, problems, kl_key, plan.draws).tolist()


# The paper's architecture with as many layers and as wide as ours, so that training costs the same.
_HEAD_CONFIGS: dict[str, Callable[[], NetworkConfig]] = {
    "direct": lambda: published_config(width=32, feed_forward=64, layers=2, heads=4),
    "residual": lambda: NetworkConfig(head="residual"),
    "site": NetworkConfig,
}


def family_of(dimension: int) -> Family:
    """The family that the shipped transformer of a dimension was trained on."""
    return RECIPES[f"linear_{dimension}d"].family()


def _gaussian(prior: GMM, data: LinearData) -> GMM:
    return moment_match(exact_linear(prior, data))


def _prior(prior: GMM, data: LinearData) -> GMM:
    del data
    return prior
