"""Means over prompts with intervals: what the figure of constrained generation draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray
from jaxtyping import Float

from probinf.figures._estimators import Bootstrap, interval

METHODS = ("particle filtering", "best-of-n", "rejection")
QUANTITIES = ("any success", "success fraction", "distinct successes")
_SEED = 7


def replicates(
    dataset: xarray.Dataset, quantity: str, method: str, particles: int, kind: str | None = None
) -> Float[np.ndarray, "prompts seeds replicates"]:
    """A quantity of a method at N particles, for each prompt (of one kind), seed and independent replicate.

    The pool of plain samples is one replicate, except for distinct successes, which are counted in blocks
    of N samples. Rejection stops at its first success, so only whether there is one is defined for it:
    otherwise NaN.
    """
    tasks = dataset if kind is None else dataset.isel(task=np.flatnonzero(dataset["kind"].values == kind))
    row = tasks.sel(particles=particles)
    if method == "particle filtering":
        successes = row["successes"].values
        if quantity == "any success":
            return np.where(np.isnan(successes), np.nan, successes > 0)
        return row["distinct"].values if quantity == "distinct successes" else successes / particles
    if method == "best-of-n" and quantity == "distinct successes":
        return row["best_of_n_distinct"].values
    if method == "best-of-n" and quantity == "success fraction":
        return tasks["successes"].sel(particles=1).values
    name = "best_of_n" if method == "best-of-n" else "rejection"
    table = row[name].values
    return table if quantity == "any success" else np.full_like(table, np.nan)


def masses(dataset: xarray.Dataset, particles: int) -> Float[np.ndarray, "prompts seeds replicates"]:
    """The estimates of P(accepted) of filters with N particles, not their logarithms: these are unbiased."""
    return np.exp(dataset["log_z"].sel(particles=particles).values)


def pooled_masses(dataset: xarray.Dataset) -> Float[np.ndarray, "prompts seeds replicates"]:
    """The estimates of P(accepted) of all filters that resample, of every N > 1."""
    several = [int(n) for n in dataset["particles"].values if n > 1]
    return np.concatenate([masses(dataset, n) for n in several], axis=-1)


def mean(values: Float[np.ndarray, "prompts seeds replicates"]) -> float:
    """The mean over prompts of the mean over seeds of the mean over replicates; NaN where there is none."""
    empty = np.isnan(values).all()
    return float("nan") if empty else float(np.nanmean(values, -1).mean())


def add_curves(dataset: xarray.Dataset) -> xarray.Dataset:
    """The dataset with `curve` by kind, quantity, algorithm and N, and each prompt's two estimates of P(accepted)."""
    kinds = list(dict.fromkeys(dataset["kind"].values.tolist()))
    particles = dataset["particles"].values.tolist()
    shape = (len(kinds), len(QUANTITIES), len(METHODS), len(particles))
    value, low, high = (np.full(shape, np.nan) for _ in range(3))
    for index in np.ndindex(*shape):
        kind, quantity, method, n = (
            names[i] for names, i in zip((kinds, QUANTITIES, METHODS, particles), index, strict=True)
        )
        table = replicates(dataset, quantity, method, n, kind)
        value[index] = mean(table)
        if np.isfinite(value[index]):
            low[index], high[index] = interval(Bootstrap(len(table), seed=_SEED).means(table))
    dims = ("panel", "quantity", "algorithm", "particles")
    variables: dict[str, Any] = {"curve": (dims, value), "curve_low": (dims, low), "curve_high": (dims, high)}
    for name, table in {"plain": masses(dataset, 1), "filtered": pooled_masses(dataset)}.items():
        variables[f"mass_{name}"] = ("task", _by_task(table, mean))
        variables[f"mass_{name}_interval"] = (("task", "bound"), _by_task(table, _own_interval))
    names = {"panel": kinds, "quantity": list(QUANTITIES), "algorithm": list(METHODS), "bound": ["low", "high"]}
    return dataset.assign_coords(names).assign(variables)


def _by_task(table: np.ndarray, summary: Callable[[np.ndarray], Any]) -> np.ndarray:
    return np.array([summary(table[i : i + 1]) for i in range(len(table))])


def _own_interval(table: np.ndarray) -> tuple[float, float]:
    return interval(Bootstrap(1, seed=_SEED).means(table))
