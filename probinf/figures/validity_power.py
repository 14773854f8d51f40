"""What it takes to see a wrong design: a planted bug, or an attack that was written to fool the checks.

The criteria of the claims were written before any run. In the first one the e-processes of six right samplers alarmed
at once: picking tests by an array of indices, which the bets no longer do, gave one test the values of another when
compiled for 16,384 runs. The second run has the same criteria. The attacks and the unusual right designs were added
later, with four claims whose criteria were again written before the run that the figure shows. That run tries every
ninth shipped case on 20 seeds: before, every third on 10 seeds gave one false alarm in 240, which left the claim about
them undecided.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

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
# What the causes of the attacks stand for.
_CAUSES = {
    "not a number": "NaN, overflow, dead clouds",
    "the same lie": "draw and density, or meaning, lie alike",
    "stronger guarantee": "called exact or proper, and only weaker",
    "small n": "right at the size that was checked",
    "stages": "right alone, wrong after other stages",
    "invariance": "keeps the target, or seems to",
    "randomness": "keys, hidden coins, wrong cells",
    "precision": "wrong in one precision or calling form",
}
# What catches a design: the name in the legend, and a color that color-blind readers can tell from the others.
_CATCHES = {
    "the whole on a fresh cloud": BLUE,
    "other sizes, weighed clouds": "#56B4E9",
    "a claim or a part by itself": GREEN,
    "precision, calling forms": "#E69F00",
    "keys, hidden coins, cells": PINK,
    "not a number": "#000000",
    "not ergodic": ORANGE,
    "a test on runs, a contract": "#999999",
}


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

    Over `bug`: `caught_by`, `bug_reason`, `error` (of the exact check), `p_value` (where randomness is continuous),
    and over `seed` too: `samples` until the e-process alarms, -1 where it did not in `attrs["samples"]` runs, NaN
    where there is none. Over `attack`: `attack_caught_by`, `reason`, `attack_samples` alike; `cause`, `wanted` and
    `verdict`; and `alone`, what the exact comparison of a fresh cloud of the case's own size says without any other
    check: "sees" (also where it refuses to read the program), "passes", or "none" where there is no cloud. Over
    `unusual`: `unusual_verdict`. Over `right` and `false_seed`: `false_samples`, for what is shipped. What `cells`
    keeps is of use to the same code only.

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
    """What a sampler's measure says by itself, and the e-process on its law; a program that is refused is seen."""
    release_programs()
    try:
        with jax.enable_x64(True):
            program = program_of(case.sampler, fresh(case.n), grid=case.grid)
            law = read_law(program, audit=False)
            target = case.target
            if target is None:
                target = denote(case.sampler, FiniteMeasure((), np.zeros(1))).merged()
            alone = "passes" if compared(program, law, target).passed else "sees"
    except _REFUSED:
        return "sees", None
    if not _has_finite_law(case):
        return alone, None
    try:
        return alone, bet_on_law(case.sampler, case.n, target, law, samples=samples)
    except _REFUSED:
        return alone, None


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
            "bug_reason": ("bug", [row.reason or "" for row in rows]),
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
    """One band a cause: what catches each design, and how many runs an e-process needs or is silent in."""
    import matplotlib

    bands = _bands(dataset)
    columns = max([10, *(len(band.catches) for band in bands if band.name in CAUSES)])
    heights = [1 + (max(1, len(band.catches)) - 1) // columns for band in bands]
    ends = np.cumsum(heights)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(14.0, 2.45 + 0.5 * ends[-1]), dpi=100)
        inches = figure.get_figheight()
        units, runs, silent = figure.subplots(1, 3, sharey=True, gridspec_kw={
            "left": 0.225, "right": 0.98, "top": 1 - 1.35 / inches, "bottom": 1.1 / inches, "wspace": 0.06,
            "width_ratios": [2.3, 2.0, 0.75]})  # fmt: skip
        for band, height, end in zip(bands, heights, ends, strict=True):
            top = float(end - height)
            _draw_units(units, band, top, columns)
            _draw_runs(runs, band, top, height, dataset.attrs["samples"])
            _draw_silent(silent, band, top + height / 2)
            for axes in (units, runs, silent):
                axes.axhline(end, color="#DDDDDD", linewidth=0.8, zorder=0)
            label = {"transform": units.get_yaxis_transform(), "ha": "right", "clip_on": False}
            units.text(
                -0.02,
                top + height / 2 - 0.04,
                f"{band.title} ({len(band.catches)})",
                va="bottom",
                fontsize=11,
                weight="bold",
                **label,
            )
            units.text(-0.02, top + height / 2 + 0.08, band.note, va="top", fontsize=9, color=GRAY, **label)
        _frame(dataset, units, runs, silent, columns, float(ends[-1]))
        _legend(figure, inches)
        title(
            figure,
            "What it takes to see a wrong design",
            "Each square is one design, in the color of the check that catches it. Hollow: it passes where only the "
            "measure that a fresh cloud gives is compared.\nEach dot is the median number of independent runs, over "
            f"{dataset.sizes['seed']} seeds, until an e-process alarms (false alarms at most "
            f"{dataset.attrs['alpha']:g}).",
        )
    return figure


class _Band(NamedTuple):
    """Designs that are drawn together: what catches each, whether the comparison alone sees it, and its bets."""

    name: str
    title: str
    note: str
    catches: list[str]
    seen: np.ndarray
    samples: np.ndarray
    text: str = ""


def _bands(dataset: xarray.Dataset) -> list[_Band]:
    """Planted bugs, the attacks by cause, and the unusual designs that are right."""
    bugs = [_catch(*pair) for pair in zip(dataset["caught_by"].values, dataset["bug_reason"].values, strict=True)]
    # What is off in a finding was looked at after the whole had passed.
    seen = np.array([": off by" not in reason for reason in dataset["bug_reason"].values], bool)
    part = "" if (every := _EVERY[dataset.attrs["budget"]]) == 1 else f", 1 in {every}"
    planted = _Band(
        "planted", "planted bugs", f"mistakes that people make{part}", bugs, seen, _typical(dataset["samples"])
    )
    bands = [_sorted(planted)]
    reasons = zip(dataset["attack_caught_by"].values, dataset["reason"].values, strict=True)
    catches, seen = np.array([_catch(*pair) for pair in reasons], object), dataset["alone"].values != "passes"
    typical, cause = _typical(dataset["attack_samples"]), dataset["cause"].values
    for name in CAUSES:
        here = cause == name
        if np.any(here):
            bands.append(_sorted(_Band(name, name, _CAUSES[name], catches[here].tolist(), seen[here], typical[here])))
    odd = ["passes" if verdict == "pass" else "fails" for verdict in dataset["unusual_verdict"].values]
    false = dataset["false_samples"].values
    silence = f"{len(false)} shipped designs: alarms in {int(np.sum(false > 0))} of {false.size} runs"
    nothing = np.full(len(odd), np.nan)
    return [
        *bands,
        _Band(
            "right",
            "right designs",
            f"unusual ones, all must pass{part}",
            odd,
            np.ones(len(odd), bool),
            nothing,
            silence,
        ),
    ]


def _sorted(band: _Band) -> _Band:
    """The band by what catches, then what the comparison alone sees first."""
    places = list(_CATCHES)
    order = sorted(range(len(band.catches)), key=lambda i: (places.index(band.catches[i]), not band.seen[i]))
    return band._replace(catches=[band.catches[i] for i in order], seen=band.seen[order], samples=band.samples[order])


def _catch(check: str, reason: str) -> str:
    """The entry of the legend for a check and its reason."""
    if check in ("key reuse", "hidden randomness", "cells"):
        return "keys, hidden coins, cells"
    if check in ("not a number", "not ergodic"):
        return check
    if check in ("forms", "precision") or reason.startswith("float32"):
        return "precision, calling forms"
    if reason.startswith(("weighed cloud", "fresh cloud", "conditional form")):
        return "other sizes, weighed clouds"
    if check == "exact" and (not reason or reason.startswith("the kernel")):
        return "the whole on a fresh cloud"
    return "a claim or a part by itself" if check in ("exact", "symbolic") else "a test on runs, a contract"


def _typical(samples: xarray.DataArray) -> np.ndarray:
    """The median number of samples until the alarm; infinite where most seeds are silent, NaN without a bet."""
    return np.median(np.where(samples.values < 0, np.inf, samples.values), axis=1)


def _draw_units(axes: Any, band: _Band, top: float, columns: int) -> None:
    for i, (catch, seen) in enumerate(zip(band.catches, band.seen, strict=True)):
        color = _CATCHES.get(catch, "#BBBBBB")
        marker = "x" if catch == "fails" else "s"
        axes.plot(i % columns, top + 0.5 + i // columns, marker, color=color, markersize=10.5, markeredgewidth=2,
                  markerfacecolor=color if seen else "white")  # fmt: skip
    if band.catches:
        hollow = f"{int(np.sum(~band.seen))} of {len(band.seen)}"
        if band.name == "right":
            hollow = f"{band.catches.count('passes')} pass"
        middle = top + (1 + (len(band.seen) - 1) // columns) / 2
        axes.text(columns + 3.2, middle, hollow, ha="right", va="center")


def _draw_runs(axes: Any, band: _Band, top: float, height: int, most: int) -> None:
    """Dots that make way for each other, up and down in turn."""
    placed: list[tuple[float, float]] = []
    steps = [0.0, *(sign * k for k in range(1, 40) for sign in (0.14, -0.14))]
    shown = np.flatnonzero(np.isfinite(band.samples))
    for i in shown[np.argsort(band.samples[shown], kind="stable")]:
        x = float(np.log10(band.samples[i]))
        offset = next(d for d in steps if all(abs(x - a) > 0.085 or abs(d - b) > 0.12 for a, b in placed))
        placed.append((x, offset))
        axes.plot(10**x, top + height / 2 + offset, "o", color=_CATCHES[band.catches[i]], markersize=5.5)
    if band.text:
        axes.text(most**0.5, top + height / 2, band.text, ha="center", va="center", fontsize=9, color=GRAY)


def _draw_silent(axes: Any, band: _Band, middle: float) -> None:
    tried = int(np.sum(~np.isnan(band.samples)))
    if tried:
        silent = int(np.sum(np.isinf(band.samples)))
        axes.barh(middle, 1.0, 0.4, color="#EEEEEE")
        axes.barh(middle, silent / tried, 0.4, color="#AAAAAA")
        axes.text(1.06, middle, f"{silent} of {tried}", va="center", fontsize=10)


def _frame(dataset: xarray.Dataset, units: Any, runs: Any, silent: Any, columns: int, bottom: float) -> None:
    most = dataset.attrs["samples"]
    units.set_ylim(bottom, 0)
    units.set_xlim(-0.7, columns + 3.2)
    units.set_title("hollow", loc="right")
    runs.set_xscale("log")
    runs.set_xlim(0.8, most)
    runs.set_xlabel("independent runs until the alarm")
    silent.set_xlim(0, 1.75)
    for axes, heading in ((units, "caught by"), (runs, "e-process"), (silent, f"silent in {most:,} runs")):
        axes.set_title(heading)
        axes.tick_params(axis="y", length=0, labelleft=False)
        axes.spines["left"].set_visible(False)
    for axes in (units, silent):
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)


def _legend(figure: Figure, inches: float) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], marker="s", linestyle="", color=color, markersize=9, label=name)
        for name, color in _CATCHES.items()
    ]
    figure.legend(handles=entries, ncols=4, loc="lower left", bbox_to_anchor=(0.215, 0.08 / inches), frameon=False,
                  fontsize=10, columnspacing=1.6, handletextpad=0.3)  # fmt: skip
