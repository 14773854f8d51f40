"""The table of a result: moments, Monte Carlo errors, effective sample sizes, R-hat and the evidence.

Law: the numbers are ArviZ's, computed in float64 on draws scaled to the unit interval, with 5 % in each tail: neither
the version of ArviZ nor the unit of a parameter changes them.

Source: arXiv:1903.08008 (rank-normalized R-hat, bulk and tail effective sample sizes).
"""

from __future__ import annotations

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from probinf._diagnosis import diagnose
from probinf._particles import spawn
from probinf.interop._arviz import evidence_of, import_arviz, row_groups, runs_of, to_arviz
from probinf.interop._numpyro import NumpyroModel

# Both versions of ArviZ take them; their defaults differ (version 1 puts 5.5 % in a tail).
_TAILS = (0.05, 0.95)
# Fewer runs have no tail to fit a shape to.
_RUNS_FOR_A_TAIL = 25
# Above this shape the variance of Z-hat is not only infinite, it cannot be seen any more.
_LARGEST_SHAPE = 0.7


def summary(result: Any, *, model: NumpyroModel | None = None, key: PRNGKeyArray | None = None) -> Any:
    """Tabulate mean, sd, Monte Carlo errors, effective sample sizes, R-hat.

    The column `distinct` counts the different values among a row's draws. Where every draw is one and the same, the
    chains never moved or the cloud collapsed: `distinct` and the effective sample sizes are 1, and the errors and R-hat
    are NaN. A quantity that is constant while others vary has effective sample sizes NaN, as has one with draws that
    are not finite. Effective sample sizes of clouds never exceed the number of different particles.

    A result of clouds gets a row `log_z`: `mean` is the log of the mean of Z-hat over runs, `sd` the spread of log
    Z-hat between runs and `mcse_mean` the standard error of the mean (by the delta method; NaN for a single run). The
    other rows of a single cloud know nothing of dependence between its particles: give several runs. That error sees
    only what some run has visited: `pareto_k`, of 25 runs or more, is the shape of the tail of Z-hat over runs. Above
    .7 the error is infinite, and a warning says so, as it does where log Z-hat spreads by more than a nat.

    Where the samplers move their particles, `acceptance` of the row `log_z` is the lowest rate over runs and
    temperatures, which tells whether a kernel stood still somewhere.

    Args:
        result: as for `to_arviz`.
        model: the model from `from_numpyro` whose values are constrained.
        key: resamples weighted clouds to equal weights.

    Returns:
        A `pandas.DataFrame` with one row for each scalar.

    Raises:
        ImportError, TypeError, ValueError: as `to_arviz`.
    """
    data = to_arviz(result, model=model, key=key)
    variables = {str(name): np.asarray(variable) for name, variable in data.posterior.data_vars.items()}
    states = len(set(row_groups(list(variables.values()), axes=2)))
    most = float(sum(data.posterior.attrs.get("distinct", [np.inf])))
    rows = {
        name if not place else f"{name}[{', '.join(map(str, place))}]": _row(draws[(..., *place)], states, most)
        for name, draws in variables.items()
        for place in np.ndindex(draws.shape[2:])
    }
    if "log_z" in data.posterior.attrs:
        rows["log_z"] = _evidence_row(np.asarray(data.posterior.attrs["log_z"]))
        rates = [rate for run in runs_of(result) for rate in _acceptances(getattr(run, "info", ()))]
        if rates:
            rows["log_z"]["acceptance"] = float(np.min(rates))
    # ArviZ depends on pandas, which probinf does not otherwise need.
    import pandas as pd

    columns = [*_row(np.zeros((1, 4)), 1, 1.0), *(name for name in ("pareto_k", "acceptance") if _has(rows, name))]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _row(draws: np.ndarray, states: int, most: float) -> dict[str, float]:
    """The numbers of one scalar with draws [chains, draws].

    `states` is how many different draws the result has, of all scalars together, and `most` how many can count.
    """
    nan, draws = np.nan, draws.astype(float)
    finite = bool(np.isfinite(draws).all())
    low, width = np.min(draws), (np.ptp(draws) if finite else nan)
    row = {
        "mean": float(np.mean(draws)) if finite else nan,
        "sd": nan,
        "mcse_mean": nan,
        "mcse_sd": nan,
        "ess_bulk": 1.0 if states == 1 else nan,
        "ess_tail": 1.0 if states == 1 else nan,
        "r_hat": nan,
        "distinct": float(np.unique(draws).size),
    }
    if width == 0:
        return row | {"mean": float(low), "sd": 0.0}
    if not finite:
        return row
    arviz, unit = import_arviz(), (draws - low) / width
    row["sd"] = float(width * np.std(unit, ddof=1))
    if draws.shape[1] < 4:
        return row
    row |= {f"mcse_{method}": float(width * arviz.mcse(unit, method=method)) for method in ("mean", "sd")}
    row["mcse_mean"] = max(row["mcse_mean"], row["sd"] / most**0.5)
    row["ess_bulk"] = min(float(arviz.ess(unit)), most)
    row["ess_tail"] = min(float(arviz.ess(unit, method="tail", prob=_TAILS)), most)
    # Chains that stand at different places for ever have no variance within, so that R-hat is infinite.
    with np.errstate(divide="ignore"):
        return row if draws.shape[0] < 2 else row | {"r_hat": float(arviz.rhat(unit))}


def _evidence_row(log_z: np.ndarray) -> dict[str, float]:
    mean, error = evidence_of(log_z)
    spread = float(np.std(log_z, ddof=1)) if len(log_z) > 1 else np.nan
    row = {"mean": mean, "sd": spread, "mcse_mean": error}
    if len(log_z) >= _RUNS_FOR_A_TAIL:
        runs = spawn(len(log_z)).replace(log_weights=jnp.asarray(log_z - np.max(log_z)))
        row["pareto_k"] = float(diagnose(runs).pareto_k)
        if row["pareto_k"] > _LARGEST_SHAPE:
            row["mcse_mean"] = np.inf
    if spread > 1.0 or row["mcse_mean"] == np.inf:
        warnings.warn(
            f"the evidence of {len(log_z)} runs has a long tail (log Z-hat spreads by {spread:.2g} nats"
            + (f", Pareto k = {row['pareto_k']:.2f}" if "pareto_k" in row else "")
            + "): its mean and error rest on the largest few; use more particles, temperatures or moves a run",
            stacklevel=3,
        )
    return row


def _acceptances(info: Any) -> list[float]:
    """The acceptance rate of every move of a run, one entry a temperature."""
    if not isinstance(info, tuple):
        return []
    fields = getattr(info, "_fields", ())
    found = [rate for part in info for rate in _acceptances(part)]
    if "acceptance" in fields:
        rates = np.ravel(np.asarray(info.acceptance))  # pyright: ignore[reportAttributeAccessIssue]
        # An adaptive run has room for more temperatures than it used.
        used = int(info.rungs) if "rungs" in fields else rates.size  # pyright: ignore[reportAttributeAccessIssue]
        found.extend(map(float, rates[:used]))
    return found


def _has(rows: dict[str, dict[str, float]], name: str) -> bool:
    return any(name in row for row in rows.values())
