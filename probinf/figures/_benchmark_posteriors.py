"""Three posteriors of the Inference Gym on data and with reference moments that its package ships.

The models are written out here from their definitions, with standard normals in place of what is Gaussian given the
scales. Only files of plain numbers are read from the package: importing it would import TensorFlow.

Source: Sountsov, Radul and contributors, Inference Gym (2020), whose reference moments come from long Stan runs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from probinf.figures._exact_evidence import brownian_motion_moments, eight_schools_log_evidence

# The only data that are not read from a file: Rubin, Journal of Educational Statistics 6 (1981), table 1.
_EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
_ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
_DAYS = 100


@dataclass(frozen=True)
class Moments:
    """Posterior mean and standard deviation of a quantity as published, and the standard error of that mean."""

    mean: Float[np.ndarray, "..."]
    deviation: Float[np.ndarray, "..."]
    error: Float[np.ndarray, "..."]


@dataclass(frozen=True)
class BenchmarkPosterior:
    """A numpyro model with its data, reference moments by site name, and its log-evidence where quadrature gives it."""

    name: str
    title: str
    model: Callable[..., None]
    data: Float[np.ndarray, "..."]
    reference: dict[str, Moments]
    log_evidence: float | None


def eight_schools(effects: Float[Array, " schools"]) -> None:
    """Effects of coaching in eight schools, partially pooled; the standard errors are part of the design."""
    average = numpyro.sample("avg_effect", dist.Normal(0.0, 10.0))
    log_stddev = numpyro.sample("log_stddev", dist.Normal(5.0, 1.0))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([len(_ERRORS)]).to_event(1))
    school: Any = numpyro.deterministic("school_effects", average + jnp.exp(log_stddev) * z)
    numpyro.sample(
        "treatment_effects", dist.Normal(school, jnp.asarray(_ERRORS, school.dtype)).to_event(1), obs=effects
    )


def brownian_motion(observed: Float[Array, " steps"]) -> None:
    """A Brownian motion seen with noise, both scales unknown; NaN is a step that was not observed."""
    innovation = numpyro.sample("innovation_noise_scale", dist.LogNormal(0.0, 2.0))
    noise = numpyro.sample("observation_noise_scale", dist.LogNormal(0.0, 2.0))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand(observed.shape).to_event(1))
    locs = numpyro.deterministic("locs", innovation * jnp.cumsum(z))
    seen = ~jnp.isnan(observed)
    log_p = dist.Normal(locs, noise).log_prob(jnp.where(seen, observed, 0.0))
    numpyro.factor("observed_locs", jnp.sum(jnp.where(seen, log_p, 0.0)))


def stochastic_volatility(returns: Float[Array, " days"]) -> None:
    """Daily returns whose log-variance is a stationary autoregression of order one."""
    persistence: Any = numpyro.sample("persistence", dist.Beta(20.0, 1.5))
    persistence = 2.0 * persistence - 1.0
    numpyro.deterministic("persistence_of_volatility", persistence)
    mean = numpyro.sample("mean_log_volatility", dist.Cauchy(0.0, 5.0))
    scale = numpyro.sample("white_noise_shock_scale", dist.HalfCauchy(2.0))
    z: Any = numpyro.sample("z", dist.Normal(0.0, 1.0).expand(returns.shape).to_event(1))
    log_volatility: Any = numpyro.deterministic("log_volatility", mean + scale * autoregression(persistence, z))
    # The prior's Cauchy tails reach log-variances that overflow; beyond these no return is explained anyhow.
    deviation = jnp.exp(0.5 * jnp.clip(log_volatility, -80.0, 80.0))
    numpyro.sample("centered_returns", dist.Normal(0.0, deviation).to_event(1), obs=returns)


def autoregression(persistence: Float[Array, ""], z: Float[Array, " steps"]) -> Float[Array, " steps"]:
    """A stationary series x_t = persistence x_{t-1} + z_t of unit innovations, from independent normals z."""

    def step(x: Float[Array, ""], innovation: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        x = persistence * x + innovation
        return x, x

    first = z[0] / jnp.sqrt(1.0 - persistence**2)
    return jnp.concatenate([first[None], jax.lax.scan(step, first, z[1:])[1]])


def benchmark_posteriors() -> tuple[BenchmarkPosterior, ...]:
    """The three posteriors, read from the files of the package `inference_gym`.

    Raises: ImportError where it is not installed.
    """
    walk = np.asarray(_shipped("internal/datasets/brownian_motion_missing_middle_observations.py").OBSERVED_LOC)
    prices = np.asarray(_shipped("internal/datasets/sp500_closing_prices.py").CLOSING_PRICES)
    returns = np.diff(prices)[-_DAYS:]
    exact = brownian_motion_moments(walk)
    return (
        BenchmarkPosterior(
            "eight_schools", "Eight schools", eight_schools, _EFFECTS,
            _moments("eight_schools", "avg_effect", "log_stddev", "school_effects"),
            eight_schools_log_evidence(_EFFECTS, _ERRORS),
        ),
        BenchmarkPosterior(
            "brownian_motion", "Brownian motion, unknown scales", brownian_motion, walk,
            # Not the published moments, which belong to a wider prior than the published definition (docs/errata.md).
            {
                site: Moments(np.asarray(exact.mean[i]), np.asarray(exact.deviation[i]), np.zeros(()))
                for i, site in enumerate(("innovation_noise_scale", "observation_noise_scale"))
            },
            exact.log_z,
        ),
        BenchmarkPosterior(
            "stochastic_volatility", f"Stochastic volatility, {_DAYS} days of the S&P 500", stochastic_volatility,
            returns - returns.mean(),
            _moments("stochastic_volatility_sp500_small", "persistence_of_volatility", "mean_log_volatility",
                     "white_noise_shock_scale", "log_volatility"),
            None,
        ),
    )  # fmt: skip


def _moments(target: str, *sites: str) -> dict[str, Moments]:
    truth = _shipped(f"targets/ground_truth/{target}.py")
    read = lambda site, what: np.asarray(getattr(truth, f"IDENTITY_{site.upper()}_{what}"))  # noqa: E731
    return {
        site: Moments(read(site, "MEAN"), read(site, "STANDARD_DEVIATION"), read(site, "MEAN_STANDARD_ERROR"))
        for site in sites
    }


def _shipped(path: str) -> ModuleType:
    """A module of plain numbers inside the package, loaded by its file alone."""
    package = importlib.util.find_spec("inference_gym")
    if package is None or not package.submodule_search_locations:
        raise ImportError("The data are in the package inference-gym: install it with pip install 'probinf[data]'.")
    file = Path(package.submodule_search_locations[0]) / path
    spec: Any = importlib.util.spec_from_file_location(f"probinf_data_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
