"""Tempered sequential Monte Carlo and NUTS on a benchmark posterior, as numbers for a figure."""

from __future__ import annotations

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from probinf import Status, sample, sample_chains
from probinf.figures._benchmark_posteriors import BenchmarkPosterior
from probinf.interop import NumpyroModel, from_numpyro, summary, warmup
from probinf.kernels import HamiltonianMonteCarlo
from probinf.samplers import adaptive_tempered_smc, ladder_of, tempered_smc

# Step size and leapfrog steps of the moves, and moves a rung: found in a pilot, by acceptance rates of .8 to 1.
_MOVES = {
    "eight_schools": (0.3, 8, 3),
    "brownian_motion": (0.04, 16, 6),
    "stochastic_volatility": (0.07, 12, 4),
}
_CHAINS = 4


def run_tempered(posterior: BenchmarkPosterior, key: PRNGKeyArray, particles: int, seeds: int) -> dict[str, Any]:
    """An adaptive pilot finds the ladder; then `seeds` independent runs on it, whose Z-hat is unbiased.

    Per seed: `log_z`, `ess` (effective sample size of the last rung before it resampled, over particles), `mean_error`
    (largest distance of a posterior mean from the reference, in posterior deviations) and `seconds` (compiled).
    """
    model = from_numpyro(posterior.model, jnp.asarray(posterior.data, jnp.float32))
    step_size, steps, moves = _MOVES[posterior.name]
    make_kernel = eqx.Partial(HamiltonianMonteCarlo, step_size=jnp.asarray(step_size), steps=steps)
    pilot_key, *keys = jax.random.split(key, seeds + 2)
    pilot = sample(adaptive_tempered_smc(model.prior, model.likelihood, make_kernel, moves=moves), pilot_key, particles)
    _expect_ok(pilot.status, f"the pilot on {posterior.title}")
    ladder = ladder_of(pilot.info[-1])
    sampler = tempered_smc(model.prior, model.likelihood, make_kernel, ladder, moves=moves)
    rows: dict[str, list[float]] = {"log_z": [], "ess": [], "mean_error": [], "seconds": []}
    # The first run compiles, and is not counted.
    for i, run_key in enumerate(keys):
        start = time.perf_counter()
        result = sample(sampler, run_key, particles)
        log_z = float(result.particles.log_z)
        seconds = time.perf_counter() - start
        _expect_ok(result.status, f"a run on {posterior.title}")
        if i:
            weights = result.info[-1].stages[1].ess[-1, 0] / particles
            values = [log_z, float(weights), mean_error(posterior, model, result.particles.values), seconds]
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    return {**rows, "rungs": len(ladder)}


def run_nuts(posterior: BenchmarkPosterior, key: PRNGKeyArray, draws: int) -> dict[str, Any]:
    """Four chains of NUTS: `ess` (smallest bulk, over draws), `r_hat` (largest), `mean_error`, `seconds` (compiled)."""
    model = from_numpyro(posterior.model, jnp.asarray(posterior.data, jnp.float32))
    start_key, tune_key, key = jax.random.split(key, 3)
    # The prior is far wider than the posterior: a tenth of its draws starts every chain where gradients are of use.
    starts = jax.vmap(lambda k: model.prior.sample(k, ()))(jax.random.split(start_key, _CHAINS))
    tuned = warmup(model.posterior, tune_key, jax.tree.map(lambda x: 0.1 * x, starts), steps=draws)
    sample_chains(tuned.kernel, key, tuned.values, draws)
    start = time.perf_counter()
    chains = jax.block_until_ready(sample_chains(tuned.kernel, key, tuned.values, draws))
    seconds = time.perf_counter() - start
    table = summary(chains)
    smallest, largest = float(table["ess_bulk"].min()), float(table["r_hat"].max())
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), chains.values)
    error = mean_error(posterior, model, flat)
    return {"ess": smallest / (_CHAINS * draws), "r_hat": largest, "mean_error": error, "seconds": seconds}


def mean_error(posterior: BenchmarkPosterior, model: NumpyroModel, values: Any) -> float:
    """Largest distance of a mean over equally weighted values from the reference mean, in posterior deviations."""
    seen = model.constrain(values, deterministic=True)
    return max(
        float(np.max(np.abs(np.asarray(seen[site], np.float64).mean(axis=0) - moments.mean) / moments.deviation))
        for site, moments in posterior.reference.items()
    )


def _expect_ok(status: Status, who: str) -> None:
    if status is not Status.OK:
        raise RuntimeError(f"{who} ended {status.name}: {status.explanation}")
