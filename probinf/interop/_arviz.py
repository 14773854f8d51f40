"""Results for ArviZ: chains as they are, clouds resampled to equal weights, runs side by side.

Law: every draw handed over has weight one. A weighted cloud is resampled first, so its draws are only as good as its
effective sample size, which is stored beside them; means over them are consistent, and `exp(log_z)` is unbiased where
the run's guarantee is PROPER.

Source: Kumar, Carroll, Hartikainen and Martin, Journal of Open Source Software 4 (2019).
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from probinf._choice import check_key
from probinf._particles import Particles, take_lanes
from probinf.interop._numpyro import NumpyroModel
from probinf.resampling import Systematic, effective_sample_size

# What kernels call their statistics, and what ArviZ calls them.
_STATISTICS = {
    "is_divergent": "diverging",
    "num_integration_steps": "n_steps",
    "num_trajectory_expansions": "tree_depth",
    "logdensity": "lp",
}


def to_arviz(result: Any, *, model: NumpyroModel | None = None, key: PRNGKeyArray | None = None) -> Any:
    """Draws as `arviz.InferenceData`, with one chain for each chain or each independent run.

    `result`: what `sample_chains` returns (values with leading axes [chains, draws]); or the result or cloud of a run
    of `sample`; or a sequence of those, one for each independent run of as many particles. Clouds are resampled to
    equal weights with `key`; the copies of one particle stay neighbors, so that ArviZ's effective sample sizes see
    them. With a `model` from `from_numpyro`, values are constrained and its deterministic sites are added.

    The posterior's attributes `log_z`, `ess` (one number per run) and `log_z_standard_error` describe the clouds; the
    kernel's statistics of chains become the group `sample_stats`.

    Raises: ImportError without the extra `mcmc`; TypeError for what is no result; ValueError for weighted particles
    without a key, and for a cloud without mass.
    """
    arviz = import_arviz()
    clouds = _clouds(result)
    if clouds is None:
        values, statistics, attributes = result.values, _sample_statistics(result), {}
    else:
        values, attributes = _equally_weighted(clouds, key)
        statistics = {}
    posterior = _variables(values if model is None else model.constrain(values, deterministic=True))
    data = arviz.from_dict(posterior=posterior, sample_stats=statistics or None)
    data.posterior.attrs.update(attributes)
    return data


def summary(result: Any, *, model: NumpyroModel | None = None, key: PRNGKeyArray | None = None) -> Any:
    """Table of mean, sd, Monte Carlo error, effective sample sizes and R-hat; for clouds a last row `log_z`.

    In that row `mean` is the log of the mean of Z-hat over runs, `sd` the spread of log Z-hat between runs and
    `mcse_mean` the standard error of the mean (by the delta method; NaN for a single run). The other rows of a
    single cloud know nothing of dependence between its particles: give several runs.

    Raises: as `to_arviz`.
    """
    arviz = import_arviz()
    data = to_arviz(result, model=model, key=key)
    table = arviz.summary(data, kind="all", round_to="none")
    columns = ["mean", "sd", "mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "r_hat"]
    table = table[columns]
    if "log_z" in data.posterior.attrs:
        log_z = np.asarray(data.posterior.attrs["log_z"])
        mean, error = _evidence(log_z)
        spread = float(np.std(log_z, ddof=1)) if len(log_z) > 1 else np.nan
        table.loc["log_z"] = [mean, spread, error, np.nan, np.nan, np.nan, np.nan]
    return table


def plot_trace(
    result: Any, *, model: NumpyroModel | None = None, key: PRNGKeyArray | None = None, **options: Any
) -> Any:
    """ArviZ's trace plot of a result; `options` go to `arviz.plot_trace`. Returns its axes.

    Raises: as `to_arviz`.
    """
    data = to_arviz(result, model=model, key=key)
    with warnings.catch_warnings():
        # ArviZ 0.23 calls a function of matplotlib in a way that version 3.11 calls old.
        warnings.filterwarnings("ignore", message="Passing a dict or None as alias_mapping")
        return import_arviz().plot_trace(data, **options)


def import_arviz() -> Any:
    """The package arviz, without the announcement of its next version.

    Raises: ImportError without the extra `mcmc`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
        try:
            return importlib.import_module("arviz")
        except ImportError:
            raise ImportError("results for ArviZ need the package arviz: run  pip install 'probinf[mcmc]'") from None


def _clouds(result: Any) -> list[Any] | None:
    """The clouds of one or several runs; None for chains."""
    runs: list[Any] = list(result) if isinstance(result, (list, tuple)) and not hasattr(result, "_fields") else [result]
    clouds = [getattr(run, "particles", run) for run in runs]
    if clouds and all(isinstance(cloud, Particles) for cloud in clouds):
        if len({cloud.n for cloud in clouds}) > 1:
            raise ValueError(f"runs become chains of one length, got {[cloud.n for cloud in clouds]} particles")
        return clouds
    values = getattr(result, "values", None)
    if values is not None and not callable(values):
        return None
    raise TypeError(
        f"expected the result of sample or of sample_chains, or a sequence of results, got {type(result).__name__}"
    )


def _equally_weighted(clouds: list[Particles], key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any]]:
    log_z = np.array([float(cloud.log_z) for cloud in clouds])
    if not np.all(np.isfinite(log_z)):
        raise ValueError(f"a cloud without mass holds no draws, got log_z = {log_z.tolist()}: see the run's status")
    ess = [float(effective_sample_size(cloud.log_weights)) for cloud in clouds]
    values = [cloud.values for cloud in clouds]
    if any(float(jnp.ptp(cloud.log_weights)) > 0 for cloud in clouds):
        if key is None:
            raise ValueError("weighted particles are resampled to equal weights: pass key=jax.random.key(seed)")
        check_key(key)
        keys = jax.random.split(key, len(clouds))
        scheme = Systematic()
        values = [take_lanes(c.values, scheme(k, c.log_weights)) for c, k in zip(clouds, keys, strict=True)]
    _, error = _evidence(log_z)
    attributes = {"log_z": log_z.tolist(), "ess": ess, "log_z_standard_error": error}
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *values), attributes


def _evidence(log_z: np.ndarray) -> tuple[float, float]:
    """Log of the mean evidence over runs, and its standard error by the delta method."""
    top = np.max(log_z)
    ratios = np.exp(log_z - top)
    mean = float(np.mean(ratios))
    error = float(np.std(ratios, ddof=1) / np.sqrt(len(ratios)) / mean) if len(ratios) > 1 else float("nan")
    return float(top + np.log(mean)), error


def _sample_statistics(result: Any) -> dict[str, np.ndarray]:
    """The kernel's numbers that have one entry per draw."""
    shape = np.shape(jax.tree.leaves(result.values)[0])[:2]
    found = _named(getattr(result, "info", ()))
    return {_STATISTICS.get(k, k): np.asarray(v) for k, v in found.items() if np.shape(v)[:2] == shape}


def _variables(values: Any) -> dict[str, np.ndarray]:
    """One array per leaf, named by its path; a bare array is called x."""
    return {name or "x": np.asarray(leaf) for name, leaf in _named(values).items()}


def _named(tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
