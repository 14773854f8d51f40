"""Log-evidence and posterior means on real data: tempered sequential Monte Carlo and NUTS against quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray
from matplotlib.figure import Figure
from scipy.stats import t as student

from probinf.figures._benchmark_posteriors import BenchmarkPosterior, benchmark_posteriors
from probinf.figures._cells import Cells, code_fingerprint
from probinf.figures._claims import Claim, Finding
from probinf.figures._evidence_runs import run_nuts, run_tempered
from probinf.figures._exact_evidence import stochastic_volatility_log_evidence
from probinf.figures._validity_style import BLUE, GRAY, ORANGE, STYLE, title

Progress = Callable[[int, int, str], None]

_PAPER = "arXiv:1711.03219"
# An estimate of log Z this close settles every Bayes factor that anybody acts on.
_MARGIN = 0.25
# A posterior mean this close, in posterior deviations, is what 400 independent draws give with certainty .95.
_MEAN_MARGIN = 0.25


@dataclass(frozen=True)
class Plan:
    """How much is run: particles and seeds of the tempered runs, draws of each chain, draws for the reference."""

    particles: int
    seeds: int
    draws: int
    reference: int


PLANS = {"smoke": Plan(2048, 8, 1000, 8192), "paper": Plan(16384, 20, 4000, 65536)}


def validity_evidence_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run both methods on each posterior.

    Over `posterior` and `seed`: `log_z`, `ess` (last rung, over particles), `mean_error` (largest distance of a
    posterior mean from the reference, in posterior deviations) and `seconds` of tempered runs. Over `posterior`:
    `exact_log_z` with `exact_error` (zero where quadrature gives it), `rungs`, and `nuts_ess` (over draws),
    `nuts_r_hat`, `nuts_mean_error` and `nuts_seconds`.

    Raises: ValueError for an unknown budget; ImportError where the data are not installed.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    told: Progress = progress or (lambda done, total, current: None)
    cells = Cells(None) if cells is None else cells
    settings = {"code": code_fingerprint(), "plan": vars(plan)}
    posteriors = benchmark_posteriors()
    tempered, nuts, exact = [], [], []
    for i, posterior in enumerate(posteriors):
        smc_key, nuts_key, exact_key = jax.random.split(jax.random.fold_in(key, i), 3)
        told(3 * i, 3 * len(posteriors), f"{posterior.title}: tempering")
        run = partial(run_tempered, posterior, smc_key, plan.particles, plan.seeds)
        tempered.append(cells.get(f"{posterior.name}-tempered", settings, run))
        told(3 * i + 1, 3 * len(posteriors), f"{posterior.title}: NUTS")
        run = partial(run_nuts, posterior, nuts_key, plan.draws)
        nuts.append(cells.get(f"{posterior.name}-nuts", settings, run))
        told(3 * i + 2, 3 * len(posteriors), f"{posterior.title}: reference")
        run = partial(_reference, posterior, exact_key, plan.reference)
        exact.append(cells.get(f"{posterior.name}-reference", settings, run))
    told(3 * len(posteriors), 3 * len(posteriors), "done")
    by_seed = {name: (("posterior", "seed"), np.array([run[name] for run in tempered]))
               for name in ("log_z", "ess", "mean_error", "seconds")}  # fmt: skip
    return xarray.Dataset(
        {
            **by_seed,
            "rungs": ("posterior", [run["rungs"] for run in tempered]),
            "exact_log_z": ("posterior", [log_z for log_z, _ in exact]),
            "exact_error": ("posterior", [error for _, error in exact]),
            **{f"nuts_{name}": ("posterior", [run[name] for run in nuts])
               for name in ("ess", "r_hat", "mean_error", "seconds")},
        },
        coords={"posterior": [p.name for p in posteriors], "title": ("posterior", [p.title for p in posteriors])},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "particles": plan.particles,
               "draws": plan.draws},
    )  # fmt: skip


def _reference(posterior: BenchmarkPosterior, key: PRNGKeyArray, draws: int) -> tuple[float, float]:
    """Log-evidence and its standard error."""
    if posterior.log_evidence is not None:
        return posterior.log_evidence, 0.0
    moments = posterior.reference
    half, width = (
        (moments["persistence_of_volatility"].mean + 1) / 2,
        moments["persistence_of_volatility"].deviation / 2,
    )
    mean, scale = moments["mean_log_volatility"], moments["white_noise_shock_scale"]
    center = np.array([np.log(half / (1 - half)), mean.mean, np.log(scale.mean)], np.float32)
    spread = np.array([width / (half * (1 - half)), mean.deviation, scale.deviation / scale.mean], np.float32)
    found = stochastic_volatility_log_evidence(np.asarray(posterior.data, np.float32), key, center, spread, draws=draws)
    return found.log_z, found.error


def validity_evidence_claims(dataset: xarray.Dataset) -> list[Finding]:
    """What the figure decides; the criteria were written before the run."""
    findings = []
    for name in dataset["posterior"].values.tolist():
        part = dataset.sel(posterior=name)
        heading, seeds = str(part["title"].values), dataset.sizes["seed"]
        error = part["log_z"].values - float(part["exact_log_z"])
        # The reference has an error of its own where it is sampled.
        spread = np.hypot(error.std(ddof=1) / np.sqrt(seeds), float(part["exact_error"]))
        findings.append(
            Claim(f"validity_evidence/{name}/log-z", _PAPER, f"{heading}: tempering finds the evidence",
                  f"mean over {seeds} seeds of log Z-hat minus log Z (quadrature), t interval", "within", _MARGIN,
                  ).judge(*_interval(error.mean(), spread, seeds)))  # fmt: skip
        distance = part["mean_error"].values
        findings.append(
            Claim(f"validity_evidence/{name}/means", _PAPER, f"{heading}: tempering finds the posterior means",
                  f"largest distance of a mean from the reference, in deviations, mean over {seeds} seeds, t interval",
                  "<", _MEAN_MARGIN,
                  ).judge(*_interval(distance.mean(), distance.std(ddof=1) / np.sqrt(seeds), seeds)))  # fmt: skip
    return findings


def _interval(value: float, error: float, seeds: int) -> tuple[float, tuple[float, float]]:
    arm = float(student.ppf(0.975, seeds - 1) * error)
    return float(value), (float(value) - arm, float(value) + arm)


def plot_validity_evidence(dataset: xarray.Dataset) -> Figure:
    """For each posterior the estimates of log Z around the reference, and beside it means and sample sizes."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.9), dpi=110)
        grid = figure.add_gridspec(1, 3, left=0.15, right=0.985, top=0.7, bottom=0.12, wspace=0.1)
        panels = [figure.add_subplot(grid[i]) for i in range(3)]
        _log_z(panels[0], dataset)
        _means(panels[1], dataset)
        _sizes(panels[2], dataset)
        rows = np.arange(dataset.sizes["posterior"])
        names = [str(name).replace(", ", ",\n") for name in dataset["title"].values]
        for i, axes in enumerate(panels):
            axes.set_yticks(rows, names if i == 0 else [""] * len(rows))
            axes.set_ylim(len(rows) - 0.4, -0.6)
            axes.tick_params(axis="y", length=0, colors="black")
            axes.spines["left"].set_visible(False)
            axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
            axes.set_axisbelow(True)
        title(
            figure,
            "Evidence and posterior means on three benchmark posteriors",
            f"Blue: tempered SMC, {dataset.attrs['particles']:,} particles, {dataset.sizes['seed']} seeds, 95 % "
            f"interval. Orange: NUTS, 4 x {dataset.attrs['draws']:,} draws, which gives no evidence.\nReference: "
            "quadrature, and for the third posterior's evidence importance sampling over a grid filter (band: two "
            "standard\nerrors); means of the first and the third as published. Line: what the claim allows.",
        )
    return figure


def _log_z(axes: Any, dataset: xarray.Dataset) -> None:
    axes.axvline(0, color="#999999", linewidth=1)
    for row in range(dataset.sizes["posterior"]):
        part = dataset.isel(posterior=row)
        error = part["log_z"].values - float(part["exact_log_z"])
        band = 2 * float(part["exact_error"])
        axes.fill_betweenx([row - 0.32, row + 0.32], -band, band, color="#DDDDDD", zorder=0)
        axes.plot(error, np.full(error.size, row) + np.linspace(-0.12, 0.12, error.size), "o", color=BLUE, alpha=0.45,
                  markersize=4.5, markeredgewidth=0)  # fmt: skip
        value, (low, high) = _interval(error.mean(), error.std(ddof=1) / np.sqrt(error.size), error.size)
        axes.plot([low, high], [row, row], color=BLUE, linewidth=2.2)
        axes.plot(value, row, "o", color=BLUE, markersize=7)
        axes.annotate(f"log Z {float(part['exact_log_z']):.2f}", (0.01, row + 0.3), color=GRAY, fontsize=9,
                      xycoords=("axes fraction", "data"), va="center")  # fmt: skip
    reach = 1.15 * max(0.3, float(np.abs(dataset["log_z"] - dataset["exact_log_z"]).max()))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("log Z-hat minus log Z")
    axes.set_title("evidence")


def _means(axes: Any, dataset: xarray.Dataset) -> None:
    for row in range(dataset.sizes["posterior"]):
        part = dataset.isel(posterior=row)
        axes.plot(part["mean_error"], np.full(dataset.sizes["seed"], row - 0.12), "o", color=BLUE, alpha=0.6,
                  markersize=5, markeredgewidth=0)  # fmt: skip
        axes.plot(part["nuts_mean_error"], row + 0.12, "o", color=ORANGE, markersize=7)
    axes.axvline(_MEAN_MARGIN, color="#BBBBBB", linewidth=1)
    axes.set_xlim(
        0, 1.2 * max(_MEAN_MARGIN, float(dataset["mean_error"].max()), float(dataset["nuts_mean_error"].max()))
    )
    axes.set_xlabel("largest error, in posterior deviations")
    axes.set_title("posterior means")


def _sizes(axes: Any, dataset: xarray.Dataset) -> None:
    for row in range(dataset.sizes["posterior"]):
        part = dataset.isel(posterior=row)
        axes.plot(part["ess"], np.full(dataset.sizes["seed"], row - 0.12), "o", color=BLUE, alpha=0.6, markersize=5,
                  markeredgewidth=0)  # fmt: skip
        axes.plot(part["nuts_ess"], row + 0.12, "o", color=ORANGE, markersize=7)
        axes.annotate(f"R-hat {float(part['nuts_r_hat']):.3f}", (float(part["nuts_ess"]), row + 0.12), xytext=(8, 0),
                      textcoords="offset points", va="center", color=ORANGE, fontsize=9)  # fmt: skip
    axes.set_xlim(0, 1.25 * max(1.0, float(dataset["nuts_ess"].max())))
    axes.set_xlabel("effective sample size per particle or draw")
    axes.set_title("effective sample sizes")
