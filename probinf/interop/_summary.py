"""The table of a result: moments, Monte Carlo errors, effective sample sizes, R-hat and the evidence.

Law: the numbers are ArviZ's, computed in float64 on draws scaled to the unit interval, with 5 % in each tail: neither
the version of ArviZ nor the unit of a parameter changes them.

Source: arXiv:1903.08008 (rank-normalized R-hat, bulk and tail effective sample sizes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from probinf.interop._arviz import evidence_of, import_arviz, row_groups, to_arviz
from probinf.interop._numpyro import NumpyroModel

# Both versions of ArviZ take them; their defaults differ (version 1 puts 5.5 % in a tail).
_TAILS = (0.05, 0.95)


def summary(result: Any, *, model: NumpyroModel | None = None, key: PRNGKeyArray | None = None) -> Any:
    """Tabulate mean, sd, Monte Carlo errors, effective sample sizes, R-hat.

    The column `distinct` counts the different values among a row's draws. Where every draw is one and the same, the
    chains never moved or the cloud collapsed: `distinct` and the effective sample sizes are 1, and the errors and R-hat
    are NaN. A quantity that is constant while others vary has effective sample sizes NaN, as has one with draws that
    are not finite. Effective sample sizes of clouds never exceed the number of different particles.

    A result of clouds gets a last row `log_z`: `mean` is the log of the mean of Z-hat over runs, `sd` the spread of
    log Z-hat between runs and `mcse_mean` the standard error of the mean (by the delta method; NaN for a single run).
    The other rows of a single cloud know nothing of dependence between its particles: give several runs.

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
    # ArviZ depends on pandas, which probinf does not otherwise need.
    import pandas as pd

    return pd.DataFrame.from_dict(rows, orient="index", columns=list(_row(np.zeros((1, 4)), 1, 1.0)))


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
    return {"mean": mean, "sd": spread, "mcse_mean": error}
