"""What each kind of check needs to see a planted bug: nothing, every world once, or how many independent runs.

The criteria of the claims were written before any run. In the first one the e-processes of six right samplers alarmed
at once: picking tests by an array of indices, which the bets no longer do, gave one test the values of another when
compiled for 16,384 runs. The second run, which the figure shows, has the same criteria.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import Array, Key, PRNGKeyArray
from matplotlib.figure import Figure
from scipy.stats import beta

from probinf import MeaningError
from probinf.cases import planted_cases, shipped_cases
from probinf.figures._cells import Cells, code_fingerprint
from probinf.figures._claims import Claim, Finding
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, bare_rows, title
from probinf.validity import (
    KernelCase,
    KeyReuseError,
    NotEnumerable,
    Row,
    SamplerCase,
    TooManyWorlds,
    bet_on,
    check_case,
    samples_to_alarm,
)

Progress = Callable[[int, int, str], None]
Case = SamplerCase | KernelCase

_PAPER = "arXiv:1711.03219"
# The e-process alarms where its wealth reaches 1 / alpha: at most this share of false alarms, at any number of looks.
ALPHA = 1e-3
# Independent runs of each e-process, how long each may last, and every how many-th shipped case is tried.
_SEEDS = {"smoke": 5, "paper": 20}
_FALSE_SEEDS = 10
_EVERY = {"smoke": 3, "paper": 1}
_SAMPLES = {"smoke": 2**14, "paper": 2**17}
# Runs of the statistical check where randomness is continuous and there is no finite law to bet on.
_REPLICATES = 8192


def validity_power_data(
    key: PRNGKeyArray,
    budget: str = "smoke",
    *,
    shipped: Sequence[Case] | None = None,
    planted: Sequence[Case] | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run the check that catches each planted bug, and e-processes on all that has a finite law.

    Over `bug`: `caught_by`, `error` (of the exact check), `p_value` (where randomness is continuous), and over `seed`
    too: `samples` until the e-process alarms, -1 where it did not in `attrs["samples"]` runs, NaN where there is none.
    Over `right` and `false_seed`: `false_samples`, the same for what is shipped. What `cells` keeps is of use to the
    same code only.

    Raises: ValueError for an unknown budget.
    """
    if budget not in _SEEDS:
        raise ValueError(f"budget must be one of {', '.join(_SEEDS)}, not {budget!r}.")
    wrong = planted_cases() if planted is None else planted
    right = [case for case in (shipped_cases() if shipped is None else shipped) if _has_finite_law(case)]
    right = right[:: _EVERY[budget]]
    seeds, samples, total = _SEEDS[budget], _SAMPLES[budget], len(wrong) + len(right)
    told: Progress = progress or (lambda done, total, current: None)
    cells = Cells(None) if cells is None else cells
    settings = {"code": code_fingerprint(), "seeds": seeds, "samples": samples}
    rows, alarms, false = [], [], []
    for i, case in enumerate(wrong):
        told(i, total, case.name)
        bug = partial(_bug, case, jax.random.fold_in(key, i), seeds, samples)
        row, alarm = cells.get(case.name, {**settings, "bug": i}, bug)
        rows.append(Row(*row))
        alarms.append(alarm)
    for i, case in enumerate(right, start=len(wrong)):
        told(i, total, case.name)
        run = partial(_alarms, case, jax.random.split(jax.random.fold_in(key, i), _FALSE_SEEDS), samples)
        false.append(cells.get(case.name, {**settings, "right": i}, run))
    told(total, total, "done")
    found = _as_dataset(
        wrong, right, rows, np.reshape(alarms, (len(wrong), seeds)), np.reshape(false, (-1, _FALSE_SEEDS))
    )
    found.attrs = {"budget": budget, "samples": samples, "alpha": ALPHA, "replicates": _REPLICATES}
    return found


def _has_finite_law(case: Case) -> bool:
    return not case.grid and not (isinstance(case, SamplerCase) and (case.expectations is not None or case.contract))


def _bug(case: Case, key: PRNGKeyArray, seeds: int, samples: int) -> tuple[Row, list[float]]:
    """The check that catches a bug, and what it takes e-processes to see it."""
    continuous = isinstance(case, SamplerCase) and case.expectations is not None
    row = check_case(case, key, replicates=_REPLICATES if continuous else 0)
    return row, _alarms(case, jax.random.split(key, seeds), samples)


def _alarms(case: Case, keys: Key[Array, " seeds"], samples: int) -> list[float]:
    """Samples until the alarm for each seed; NaN where there is no finite law to bet on."""
    if not _has_finite_law(case):
        return [np.nan] * len(keys)
    try:
        wealth = bet_on(case, samples=samples)
    except (KeyReuseError, MeaningError, NotEnumerable, TooManyWorlds):
        return [np.nan] * len(keys)
    # One program a case; the seeds go through it one by one, which bounds the memory.
    run = jax.jit(lambda keys: jax.lax.map(lambda key: samples_to_alarm(wealth(key), ALPHA), keys))
    return np.asarray(run(keys), float).tolist()


def _as_dataset(
    wrong: Sequence[Case], right: Sequence[Case], rows: Sequence[Row], alarms: np.ndarray, false: np.ndarray
) -> xarray.Dataset:
    number = lambda x: np.nan if x is None else float(x)  # noqa: E731
    return xarray.Dataset(
        {
            "caught_by": ("bug", [row.caught_by or "" for row in rows]),
            "error": ("bug", [number(row.exact_error) for row in rows]),
            "p_value": ("bug", [number(row.p_value) for row in rows]),
            "samples": (("bug", "seed"), alarms),
            "false_samples": (("right", "false_seed"), false),
        },
        coords={"bug": [case.name for case in wrong], "right": [case.name for case in right]},
    )


def validity_power_claims(dataset: xarray.Dataset) -> list[Finding]:
    """What the figure decides; the criteria were written before the run."""
    samples = dataset["samples"].values
    tried = ~np.isnan(samples).any(axis=1) & (dataset["caught_by"].values == "exact")
    missed = (samples[tried] < 0).mean(axis=1)
    draws = np.random.default_rng(0).integers(0, max(1, len(missed)), (4000, max(1, len(missed))))
    shares = missed[draws].mean(axis=1) if len(missed) else np.full(4000, np.nan)
    false = dataset["false_samples"].values
    false = false[~np.isnan(false)] > 0
    alarms, runs = int(false.sum()), max(1, false.size)
    low = beta.ppf(0.025, alarms, runs - alarms + 1) if alarms else 0.0
    high = beta.ppf(0.975, alarms + 1, runs - alarms) if alarms < runs else 1.0
    limit = f"{dataset.attrs['samples']:,}"
    return [
        Claim("validity_power/missed", _PAPER, f"some bugs that the exact check sees escape {limit} samples",
              "share of them that the e-process misses, mean over seeds, bootstrap interval over bugs", ">", 0.02,
              ).judge(float(missed.mean()) if len(missed) else np.nan,
                      (float(np.quantile(shares, 0.025)), float(np.quantile(shares, 0.975)))),
        Claim("validity_power/false-alarms", _PAPER, f"the e-process is silent on what is right, for {limit} samples",
              "share of its runs on shipped samplers and kernels that alarm, Clopper-Pearson interval", "<", 0.02,
              ).judge(alarms / runs, (float(low), float(high))),
        Claim("validity_power/continuous", _PAPER, "planted bugs with continuous randomness are caught by frequencies",
              "number of them that the statistical check misses", "<", 0.5, computed=True,
              ).judge(float(np.sum(np.isfinite(dataset["p_value"].values) & (dataset["caught_by"].values == "")))),
    ]  # fmt: skip


def plot_validity_power(dataset: xarray.Dataset) -> Figure:
    """One row a bug: on the left which check needs no sample, on the right how many the e-process needs."""
    import matplotlib

    order = np.lexsort((-dataset["error"].fillna(9.0).values, _typical(dataset)))
    dataset = dataset.isel(bug=order)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.5, 1.9 + 0.2 * dataset.sizes["bug"]), dpi=100)
        inches = figure.get_figheight()
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={
            "left": 0.36, "right": 0.985, "top": 1 - 1.3 / inches, "bottom": 0.6 / inches, "wspace": 0.04,
            "width_ratios": [1, 2.3]})  # fmt: skip
        _without_samples(left, dataset)
        _with_samples(right, dataset)
        title(
            figure,
            "What it takes to see a planted bug",
            "Left: the check that catches it, with the error that exact enumeration finds. Right: independent "
            f"runs until an e-process alarms (false alarms at most {dataset.attrs['alpha']:g});\n"
            f"median and range of {dataset.sizes['seed']} seeds; cross: silent in {dataset.attrs['samples']:,} runs. "
            f"Diamond: continuous randomness, caught by a test on {dataset.attrs['replicates']:,} runs.",
        )
    return figure


def _typical(dataset: xarray.Dataset) -> np.ndarray:
    """The median number of samples; misses count as more than all, and no e-process as none."""
    samples = dataset["samples"].values
    typical = np.median(np.where(samples < 0, 2.0 * dataset.attrs["samples"], samples), axis=1)
    return np.where(np.isnan(typical), 0.0, typical)


def _without_samples(axes: Any, dataset: xarray.Dataset) -> None:
    colors = {"exact": BLUE, "symbolic": GREEN, "key reuse": PINK, "contract": GRAY}
    for row, (check, error) in enumerate(zip(dataset["caught_by"].values, dataset["error"].values, strict=True)):
        if check not in colors:
            continue
        text = f"exact, {error:.0e}".replace("e-0", "e-").replace("e+00", "") if check == "exact" else str(check)
        axes.plot(0.04, row, "s", color=colors[check], markersize=5)
        axes.annotate(text, (0.04, row), xytext=(9, 0), textcoords="offset points", va="center", color=colors[check],
                      fontsize=9)  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title("caught by")
    bare_rows(axes, dataset["bug"].values.tolist())


def _with_samples(axes: Any, dataset: xarray.Dataset) -> None:
    most = dataset.attrs["samples"]
    samples = dataset["samples"].values
    edge = 2.0 * most
    for row, runs in enumerate(np.where(samples < 0, edge, samples)):
        if np.isfinite(runs).all():
            axes.plot([runs.min(), runs.max()], [row, row], color=ORANGE, linewidth=1.5, alpha=0.5)
            mark = (
                {"marker": "x", "markersize": 6, "markeredgewidth": 1.8} if np.median(runs) == edge else {"marker": "o"}
            )
            axes.plot(np.median(runs), row, color=ORANGE, **{"markersize": 5, **mark})
    for row in np.flatnonzero(np.isfinite(dataset["p_value"].values)):
        axes.plot(dataset.attrs["replicates"], row, "D", color=ORANGE, markerfacecolor="white", markersize=5)
    axes.set_xscale("log")
    axes.set_xlim(0.8, edge * 1.5)
    axes.axvline(most, color="#BBBBBB", linewidth=1, zorder=0)
    axes.set_xlabel("independent runs until the alarm")
    axes.set_title("by sampling")
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
