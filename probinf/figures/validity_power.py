"""What it takes to see a wrong design: a planted bug, or an attack that was written to fool the checks.

The criteria of the claims were written before any run. In the first one the e-processes of six right samplers alarmed
at once: picking tests by an array of indices, which the bets no longer do, gave one test the values of another when
compiled for 16,384 runs. The second run has the same criteria. The attacks and the unusual right designs were added
later, with four claims whose criteria were again written before the run that the figure shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import Array, Float, Key, PRNGKeyArray
from matplotlib.figure import Figure
from scipy.stats import beta

from probinf import MeaningError
from probinf._maps import release_programs
from probinf.cases import CAUSES, Attack, attack_cases, planted_cases, shipped_cases, unusual_cases
from probinf.figures._cells import Cells, code_fingerprint
from probinf.figures._claims import Claim, Finding
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, PINK, STYLE, title
from probinf.validity import (
    DistributionCase,
    FiniteMeasure,
    KernelCase,
    Row,
    SamplerCase,
    bet_on,
    check_case,
    denote,
    samples_to_alarm,
)
from probinf.validity._alarm import bet_on_law
from probinf.validity._law import read_law
from probinf.validity._proper import compared, fresh, program_of

Progress = Callable[[int, int, str], None]
Case = SamplerCase | KernelCase
Wealth = Callable[[PRNGKeyArray], Float[Array, " samples"]]

_PAPER = "arXiv:1711.03219"
# The e-process alarms where its wealth reaches 1 / alpha: at most this share of false alarms, at any number of looks.
ALPHA = 1e-3
# Independent runs of each e-process, and how long each may last.
_SEEDS = {"smoke": 3, "paper": 20}
_FALSE_SEEDS = 20
_SAMPLES = {"smoke": 2**14, "paper": 2**17}
# Every how many-th planted bug and unusual design, and every how many-th shipped case, is tried.
_EVERY = {"smoke": 3, "paper": 1}
_EVERY_SHIPPED = {"smoke": 9, "paper": 1}
# Runs of the statistical check where randomness is continuous and there is no finite law to bet on.
_REPLICATES = 8192
# `NotEnumerable` is a ValueError, and so is a mean that no bounds can hold.
_REFUSED = (MeaningError, ValueError)


def validity_power_data(
    key: PRNGKeyArray,
    budget: str = "smoke",
    *,
    shipped: Sequence[Case] | None = None,
    planted: Sequence[Case] | None = None,
    attacks: Sequence[Attack] | None = None,
    unusual: Sequence[Case] | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run the check that catches each wrong design, and e-processes on all that has a finite law.

    Over `bug`: `caught_by`, `error` (of the exact check), `p_value` (where randomness is continuous), and over `seed`
    too: `samples` until the e-process alarms, -1 where it did not in `attrs["samples"]` runs, NaN where there is none.
    Over `attack` the same with `attack_` before the name, and `cause`, `wanted`, `verdict`, `reason` and `alone`: what
    the exact comparison of a fresh cloud at the case's own size says without any other check, "sees", "passes" or
    "none" where it has nothing to compare. Over `unusual`: `unusual_verdict`. Over `right` and `false_seed`:
    `false_samples`, for what is shipped. What `cells` keeps is of use to the same code only.

    Raises: ValueError for an unknown budget.
    """
    if budget not in _SEEDS:
        raise ValueError(f"budget must be one of {', '.join(_SEEDS)}, not {budget!r}.")
    every = _EVERY[budget]
    wrong = planted_cases()[::every] if planted is None else planted
    attacks = attack_cases() if attacks is None else attacks
    odd = unusual_cases()[::every] if unusual is None else unusual
    right = [case for case in (shipped_cases() if shipped is None else shipped) if _has_finite_law(case)]
    right = right[:: _EVERY_SHIPPED[budget]] if shipped is None else right
    seeds, samples = _SEEDS[budget], _SAMPLES[budget]
    parts: list[tuple[str, str, Callable[[PRNGKeyArray], Any]]] = [
        *(("attack", attack.case.name, partial(_attack, attack, seeds, samples)) for attack in attacks),
        *(("unusual", case.name, partial(_verdict, case)) for case in odd),
        *(("bug", case.name, partial(_bug, case, seeds, samples)) for case in wrong),
        *(("right", case.name, partial(_silence, case, samples)) for case in right),
    ]
    cells = Cells(None) if cells is None else cells
    settings = {"code": code_fingerprint(), "seeds": seeds, "samples": samples}
    found: dict[str, list[Any]] = {"attack": [], "unusual": [], "bug": [], "right": []}
    for i, (kind, name, run) in enumerate(parts):
        if progress is not None:
            progress(i, len(parts), name)
        # Names tell all cases apart, so that a part keeps its key whatever else is run.
        own = jax.random.fold_in(key, zlib.crc32(name.encode()))
        found[kind].append(cells.get(name, {**settings, kind: name}, partial(run, own)))
    if progress is not None:
        progress(len(parts), len(parts), "done")
    dataset = _as_dataset(wrong, attacks, odd, right, found, seeds)
    dataset.attrs = {"budget": budget, "samples": samples, "alpha": ALPHA, "replicates": _REPLICATES}
    return dataset


def _has_finite_law(case: Any) -> bool:
    if isinstance(case, DistributionCase) or case.grid:
        return False
    return not (isinstance(case, SamplerCase) and (case.expectations is not None or case.contract))


def _bug(case: Case, seeds: int, samples: int, key: PRNGKeyArray) -> tuple[Row, list[float]]:
    """The check that catches a bug, and what it takes e-processes to see it."""
    continuous = isinstance(case, SamplerCase) and case.expectations is not None
    row = check_case(case, key, replicates=_REPLICATES if continuous else 0)
    return row._replace(compared=()), _alarms(_wealth(case, samples), jax.random.split(key, seeds))


def _silence(case: Case, samples: int, key: PRNGKeyArray) -> list[float]:
    return _alarms(_wealth(case, samples), jax.random.split(key, _FALSE_SEEDS))


def _verdict(case: Case, key: PRNGKeyArray) -> str:
    return check_case(case, key, replicates=0, thorough=True).verdict


def _attack(attack: Attack, seeds: int, samples: int, key: PRNGKeyArray) -> tuple[Row, str, list[float]]:
    """The check that catches an attack, what the comparison of a fresh cloud says alone, and e-processes."""
    case = attack.case
    row = check_case(case, key, replicates=0, thorough=True)
    if row.verdict == "unchecked":
        row = check_case(case, key, replicates=_REPLICATES, thorough=True)
    alone, wealth = "none", None
    if isinstance(case, KernelCase):
        # What else is looked at comes after the matrix.
        alone = "passes" if row.compared or row.caught_by == "not ergodic" else "sees"
        wealth = _wealth(case, samples)
    elif isinstance(case, SamplerCase):
        alone, wealth = _alone(case, samples)
    return row._replace(compared=()), alone, _alarms(wealth, jax.random.split(key, seeds))


def _alone(case: SamplerCase, samples: int) -> tuple[str, Wealth | None]:
    """What a sampler's measure says by itself, keys unseen, and the e-process on its law."""
    release_programs()
    try:
        with jax.enable_x64(True):
            program = program_of(case.sampler, fresh(case.n), grid=case.grid)
            law = read_law(program, audit=False)
            target = case.target
            if target is None:
                target = denote(case.sampler, FiniteMeasure((), np.zeros(1))).merged()
            passed = compared(program, law, target).passed
        wealth = bet_on_law(case.sampler, case.n, target, law, samples=samples) if _has_finite_law(case) else None
    except _REFUSED:
        return "sees", None
    return "passes" if passed else "sees", wealth


def _wealth(case: Case, samples: int) -> Wealth | None:
    """The e-process of a case; None where there is no finite law to bet on."""
    if not _has_finite_law(case):
        return None
    try:
        return bet_on(case, samples=samples)
    except _REFUSED:
        return None


def _alarms(wealth: Wealth | None, keys: Key[Array, " seeds"]) -> list[float]:
    """Samples until the alarm for each seed; NaN where there is nothing to bet on."""
    if wealth is None:
        return [np.nan] * len(keys)
    # One program a case; the seeds go through it one by one, which bounds the memory.
    run = jax.jit(lambda keys: jax.lax.map(lambda key: samples_to_alarm(wealth(key), ALPHA), keys))
    try:
        return np.asarray(run(keys), float).tolist()
    except _REFUSED:
        return [np.nan] * len(keys)


def _as_dataset(
    wrong: Sequence[Case],
    attacks: Sequence[Attack],
    odd: Sequence[Case],
    right: Sequence[Case],
    found: dict[str, list[Any]],
    seeds: int,
) -> xarray.Dataset:
    number = lambda x: np.nan if x is None else float(x)  # noqa: E731
    rows = [Row(*row) for row, _ in found["bug"]]
    caught = [Row(*row) for row, _, _ in found["attack"]]
    return xarray.Dataset(
        {
            "caught_by": ("bug", [row.caught_by or "" for row in rows]),
            "error": ("bug", [number(row.exact_error) for row in rows]),
            "p_value": ("bug", [number(row.p_value) for row in rows]),
            "samples": (("bug", "seed"), np.reshape([runs for _, runs in found["bug"]], (-1, seeds))),
            "cause": ("attack", [attack.cause for attack in attacks]),
            "wanted": ("attack", [attack.verdict for attack in attacks]),
            "verdict": ("attack", [row.verdict for row in caught]),
            "attack_caught_by": ("attack", [row.caught_by or "" for row in caught]),
            "reason": ("attack", [row.reason or "" for row in caught]),
            "alone": ("attack", [alone for _, alone, _ in found["attack"]]),
            "attack_samples": (("attack", "seed"), np.reshape([runs for *_, runs in found["attack"]], (-1, seeds))),
            "unusual_verdict": ("unusual", found["unusual"]),
            "false_samples": (("right", "false_seed"), np.reshape(found["right"], (-1, _FALSE_SEEDS))),
        },
        coords={
            "bug": [case.name for case in wrong],
            "attack": [attack.case.name for attack in attacks],
            "unusual": [case.name for case in odd],
            "right": [case.name for case in right],
        },
    )


def validity_power_claims(dataset: xarray.Dataset) -> list[Finding]:
    """What the figure decides; the criteria were written before the run."""
    samples = dataset["samples"].values
    tried = ~np.isnan(samples).any(axis=1) & (dataset["caught_by"].values == "exact")
    missed, interval = _missed(samples[tried])
    bets = dataset["attack_samples"].values
    escaped, escape = _missed(bets[~np.isnan(bets).any(axis=1)])
    alone = dataset["alone"].values
    blind = float(np.mean(alone[alone != "none"] == "passes")) if np.any(alone != "none") else np.nan
    false = dataset["false_samples"].values
    false = false[~np.isnan(false)] > 0
    alarms, runs = int(false.sum()), max(1, false.size)
    low = beta.ppf(0.025, alarms, runs - alarms + 1) if alarms else 0.0
    high = beta.ppf(0.975, alarms + 1, runs - alarms) if alarms < runs else 1.0
    limit = f"{dataset.attrs['samples']:,}"
    return [
        Claim("validity_power/missed", _PAPER, f"some bugs that the exact check sees escape {limit} samples",
              "share of them that the e-process misses, mean over seeds, bootstrap interval over bugs", ">", 0.02,
              ).judge(missed, interval),
        Claim("validity_power/false-alarms", _PAPER, f"the e-process is silent on what is right, for {limit} samples",
              "share of its runs on shipped samplers and kernels that alarm, Clopper-Pearson interval", "<", 0.02,
              ).judge(alarms / runs, (float(low), float(high))),
        Claim("validity_power/continuous", _PAPER, "planted bugs with continuous randomness are caught by frequencies",
              "number of them that the statistical check misses", "<", 0.5, computed=True,
              ).judge(float(np.sum(np.isfinite(dataset["p_value"].values) & (dataset["caught_by"].values == "")))),
        Claim("validity_power/attacks", _PAPER, "every design that was written to fool the checks gets its verdict",
              "number of attacks with another verdict", "<", 0.5, computed=True,
              ).judge(float(np.sum(dataset["verdict"].values != dataset["wanted"].values))),
        Claim("validity_power/unusual", _PAPER, "unusual designs that are right pass",
              "number of them that do not", "<", 0.5, computed=True,
              ).judge(float(np.sum(dataset["unusual_verdict"].values != "pass"))),
        Claim("validity_power/alone", _PAPER, "most attacks pass where only the measure of a fresh cloud is compared",
              "share of the attacks on samplers and kernels that pass the exact comparison alone", ">", 0.5,
              computed=True).judge(blind),
        Claim("validity_power/attacks-missed", _PAPER, f"most attacks escape {limit} samples",
              "share of them that the e-process misses, mean over seeds, bootstrap interval over attacks", ">", 0.5,
              ).judge(escaped, escape),
    ]  # fmt: skip


def _missed(samples: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The share of designs that e-processes miss, with a bootstrap interval over designs."""
    if not len(samples):
        return np.nan, (np.nan, np.nan)
    missed = (samples < 0).mean(axis=1)
    shares = missed[np.random.default_rng(0).integers(0, len(missed), (4000, len(missed)))].mean(axis=1)
    return float(missed.mean()), (float(np.quantile(shares, 0.025)), float(np.quantile(shares, 0.975)))


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
