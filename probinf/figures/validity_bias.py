"""Normalized particle averages are biased for every finite N; the evidence estimate times them is not.

Theorem 1 of arXiv 2502.01618v5 states that the average under the normalized weights is unbiased for any number of
particles. A bootstrap filter on a hidden Markov model of two states and three steps decides: on every outcome of its
own randomness for few particles, and on independent runs for more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure

from probinf import Resample, Sampler, spawn
from probinf.figures._cells import Cells, code_fingerprint
from probinf.figures._claims import Claim, Finding
from probinf.figures._validity_style import BLUE, GRAY, ORANGE, STYLE, title
from probinf.resampling import Multinomial
from probinf.validity import enumerate_law
from probinf.validity.planted import small_filter, small_paths

Progress = Callable[[int, int, str], None]

_PAPER = "arXiv:2502.01618v5"
_STEPS = 3
_EXACT = (1, 2, 3)
_SAMPLED = (4, 8, 16, 32, 64)
_BATCH = 2**14
# Independent runs for each N.
_RUNS = {"smoke": 2**18, "paper": 2**22}
# Two-sided 95 % intervals, simultaneous over the numbers of particles that are sampled (Bonferroni, normal).
_SIGMAS = 2.576


def validity_bias_data(
    key: PRNGKeyArray,
    budget: str = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Expectations of three estimates over N = `particles`, for f = "the last state is 1".

    `mean` over `estimate`: "normalized" (weighted average of f), "product" (Z-hat times it, over the true Z) and
    "evidence" (Z-hat over Z); `error` is its standard error, zero where it is computed on every outcome (`exact`).
    `truth` is the posterior probability of f.

    Raises: ValueError for an unknown budget.
    """
    if budget not in _RUNS:
        raise ValueError(f"budget must be one of {', '.join(_RUNS)}, not {budget!r}.")
    particles = (*_EXACT, *_SAMPLED)
    # The model's tables have the precision in force when they are made.
    with jax.enable_x64(True):
        target = small_paths(_STEPS)
    mass = np.exp(target.log_mass)
    z, truth = mass.sum(), mass[target.values.states[:, -1] == 1].sum() / mass.sum()
    cells = Cells(None) if cells is None else cells
    settings = {"code": code_fingerprint(), "runs": _RUNS[budget]}
    table = []
    for i, n in enumerate(particles):
        if progress is not None:
            progress(i, len(particles), f"N={n}")
        run = partial(_exact, n) if n in _EXACT else partial(_sampled, n, jax.random.fold_in(key, n), budget)
        table.append(cells.get(f"N={n}", settings, run))
    if progress is not None:
        progress(len(particles), len(particles), "done")
    scale = np.array([1.0, z, z])
    return xarray.Dataset(
        {
            "mean": (("particles", "estimate"), np.array([mean for mean, _ in table]) / scale),
            "error": (("particles", "estimate"), np.array([error for _, error in table]) / scale),
            "exact": ("particles", np.isin(particles, _EXACT)),
            "truth": truth,
        },
        coords={"particles": list(particles), "estimate": ["normalized", "product", "evidence"]},
        attrs={"budget": budget, "runs": _RUNS[budget], "steps": _STEPS},
    )


class _Estimates(eqx.Module):
    """The three estimates of one run."""

    sampler: Sampler
    n: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray) -> Float[Array, "3"]:
        cloud, _ = self.sampler(key, spawn(self.n))
        average = jnp.sum(cloud.normalized_weights * (cloud.values.states[:, -1] == 1))
        z = jnp.exp(cloud.log_z)
        return jnp.stack([average, z * average, z])


def _filter() -> Sampler:
    return small_filter(Resample(Multinomial()), _STEPS)


def _exact(n: int) -> tuple[list[float], list[float]]:
    """Means of the three estimates on every outcome, and their standard errors: none."""
    with jax.enable_x64(True):
        law = enumerate_law(lambda key, run: run(key), jax.random.key(0), _Estimates(_filter(), n))
    return (law.probability @ np.asarray(law.outputs)).tolist(), [0.0] * 3


def _sampled(n: int, key: PRNGKeyArray, budget: str) -> tuple[list[float], list[float]]:
    """Means of the three estimates over independent runs, and their standard errors."""
    runs = _RUNS[budget]
    sums = [
        np.asarray(_moments(_Estimates(_filter(), n), k), np.float64) for k in jax.random.split(key, runs // _BATCH)
    ]
    first, second = np.mean(sums, axis=0)
    return first.tolist(), np.sqrt(np.maximum(second - first**2, 0.0) / runs).tolist()


@eqx.filter_jit
def _moments(run: _Estimates, key: PRNGKeyArray) -> Float[Array, "2 3"]:
    x = jax.vmap(run)(jax.random.split(key, _BATCH))
    return jnp.stack([jnp.mean(x, axis=0), jnp.mean(x**2, axis=0)])


def validity_bias_claims(dataset: xarray.Dataset) -> list[Finding]:
    """What the figure decides; the criteria were written before the run."""
    truth = float(dataset["truth"])
    few, many = dataset.isel(particles=dataset["exact"].values), dataset.isel(particles=~dataset["exact"].values)
    bias = few["mean"].sel(estimate="normalized").values - truth
    product = few["mean"].sel(estimate="product").values - truth
    deviation = many["mean"].sel(estimate="product").values / truth - 1
    arms = _SIGMAS * many["error"].sel(estimate="product").values / truth
    worst = int(np.argmax(np.abs(deviation) + arms))
    return [
        Claim("validity_bias/normalized", _PAPER, "the normalized average is biased at one particle",
              "distance of its expectation from the posterior probability, N = 1", ">", 0.05,
              published="0 (Theorem 1)", computed=True).judge(float(abs(bias[0]))),
        Claim("validity_bias/product", _PAPER, "the evidence estimate times the average is unbiased at N = 1, 2, 3",
              "largest distance of its expectation (over Z) from the posterior probability", "<", 1e-10,
              computed=True).judge(float(np.max(np.abs(product)))),
        Claim("validity_bias/product-sampled", _PAPER, "and on independent runs at N = 4 to 64",
              "largest relative deviation of its mean, simultaneous interval over N", "within", 0.01,
              ).judge(float(deviation[worst]),
                      (float(deviation[worst] - arms[worst]), float(deviation[worst] + arms[worst]))),
        _order(dataset, truth),
    ]  # fmt: skip


def _order(dataset: xarray.Dataset, truth: float) -> Finding:
    """The exponent of the bias between N = 8 and N = 64, by the delta method."""
    claim = Claim("validity_bias/order", _PAPER, "the bias of the normalized average is of order 1/N",
                  "-(slope of log bias over log N, from N = 8 to 64) - 1", "within", 0.3)  # fmt: skip
    pair = dataset.sel(particles=[8, 64], estimate="normalized")
    bias = np.abs(pair["mean"].values - truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = pair["error"].values / bias
        value = float(np.log(bias[0] / bias[1]) / np.log(8.0)) - 1
        arm = float(1.96 * np.sqrt(np.sum(relative**2)) / np.log(8.0))
    return claim.judge(value, (value - arm, value + arm))


def plot_validity_bias(dataset: xarray.Dataset) -> Figure:
    """On the left what each estimate is on average, on the right how far that is from the truth."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.6), dpi=110)
        left, right = figure.subplots(1, 2, gridspec_kw={"left": 0.07, "right": 0.98, "top": 0.76, "bottom": 0.13,
                                                         "wspace": 0.22})  # fmt: skip
        _means(left, dataset)
        _biases(right, dataset)
        title(
            figure,
            "Normalized averages are biased; the evidence estimate times them is not",
            f"Bootstrap filter, {dataset.attrs['steps']} steps, two states; f: the last state is 1. Filled: computed "
            f"on every outcome. Open: mean of {dataset.attrs['runs']:,} runs, 95 % intervals.",
            left=0.02,
        )
    return figure


_CURVES = (("normalized", ORANGE, "normalized average of f"), ("product", BLUE, "Z-hat times it, over Z"))


def _means(axes: Any, dataset: xarray.Dataset) -> None:
    particles, exact = dataset["particles"].values, dataset["exact"].values
    axes.axhline(float(dataset["truth"]), color="#999999", linewidth=1)
    axes.annotate("posterior probability", (particles[-1], float(dataset["truth"])), xytext=(0, 5),
                  textcoords="offset points", ha="right", color=GRAY)  # fmt: skip
    for name, color, label in _CURVES:
        line = dataset.sel(estimate=name)
        axes.plot(particles, line["mean"], color=color, linewidth=1.5, label=label)
        axes.errorbar(particles[~exact], line["mean"][~exact], 1.96 * line["error"][~exact], fmt="o", color=color,
                      markerfacecolor="white", markersize=5)  # fmt: skip
        axes.plot(particles[exact], line["mean"][exact], "o", color=color, markersize=6)
    axes.set_xscale("log", base=2)
    axes.set_xticks(particles[particles != 3], [str(n) for n in particles if n != 3])
    axes.set_xlabel("particles N")
    axes.set_title("expectation of the estimate")
    axes.legend(frameon=False, labelcolor="linecolor", loc="lower right")


def _biases(axes: Any, dataset: xarray.Dataset) -> None:
    particles, exact, truth = dataset["particles"].values, dataset["exact"].values, float(dataset["truth"])
    for name, color, _ in _CURVES:
        line = dataset.sel(estimate=name)
        bias = np.maximum(np.abs(line["mean"].values - truth), 1e-17)
        axes.plot(particles[exact], bias[exact], "o", color=color, markersize=6)
        if name == "normalized":
            axes.plot(particles[~exact], bias[~exact], "o", color=color, markerfacecolor="white", markersize=6)
            last = bias[-1] * particles[-1] / particles
            axes.plot(particles, last, color="#BBBBBB", linewidth=1, zorder=0)
            axes.annotate("order 1/N", (particles[3], last[3]), xytext=(6, 8), textcoords="offset points", color=GRAY)
        else:
            bound = bias[~exact] + 1.96 * line["error"].values[~exact]
            axes.plot(particles[~exact], bound, "v", color=color, markerfacecolor="white", markersize=6)
    axes.annotate("rounding of the exact sums", (particles[2], 1e-14), xytext=(10, -8), textcoords="offset points",
                  color=BLUE)  # fmt: skip
    axes.annotate("95 % upper bounds of the runs", (particles[3], 1e-3), xytext=(-4, -26),
                  textcoords="offset points", color=BLUE)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(3e-18, 1)
    axes.set_xticks(particles[particles != 3], [str(n) for n in particles if n != 3])
    axes.set_xlabel("particles N")
    axes.set_title("distance from the posterior probability")
