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
from probinf.resampling import Systematic

# What kernels call their statistics, and what ArviZ calls them.
_STATISTICS = {
    "is_divergent": "diverging",
    "num_integration_steps": "n_steps",
    "num_trajectory_expansions": "tree_depth",
    "logdensity": "lp",
}


def to_arviz(result: Any, *, model: NumpyroModel | None = None, key: PRNGKeyArray | None = None) -> Any:
    """Draws for ArviZ, with one chain for each chain or each independent run.

    They are an `InferenceData` before version 1 of ArviZ and an `xarray.DataTree` since.

    `result`: what `sample_chains` returns (values with leading axes [chains, draws]); or the result or cloud of a run
    of `sample`; or a sequence of those, one for each independent run of as many particles. Clouds are resampled to
    equal weights with `key`, and equal particles become neighbors, so that ArviZ's effective sample sizes see that they
    are copies (particles without a floating-point leaf may be equal by chance, and keep their order). With a `model`
    from `from_numpyro`, values are constrained and its deterministic sites are added.

    The posterior's attributes `log_z`, `ess` (one number per run, where equal particles count once), `distinct` (how
    many different particles each run hands over) and `log_z_standard_error` describe the clouds; the kernel's
    statistics of chains become the group `sample_stats`.

    Raises: ImportError without the extra `mcmc`; TypeError for what is no result; ValueError for weighted particles
    without a key, for a cloud without mass, and for values without an array.
    """
    arviz = import_arviz()
    clouds = _clouds(result)
    if clouds is None:
        values, statistics, attributes = result.values, _sample_statistics(result), {}
    else:
        values, attributes = _equally_weighted(clouds, key)
        statistics = {}
    posterior = _variables(values if model is None else model.constrain(values, deterministic=True))
    if not posterior:
        raise ValueError("the values hold no array, so there is nothing to hand over: give the particles values")
    groups = {"posterior": posterior} | ({"sample_stats": statistics} if statistics else {})
    data = arviz.from_dict(**groups) if _is_legacy(arviz) else arviz.from_dict(groups)
    data.posterior.attrs.update(attributes)
    return data


def plot_trace(
    result: Any, *, model: NumpyroModel | None = None, key: PRNGKeyArray | None = None, **options: Any
) -> Any:
    """Plot the density and the trace of each quantity with ArviZ.

    `options` go to the function that does so, `plot_trace` before version 1 of ArviZ and `plot_trace_dist` since.
    Returns what it returns: an array of axes, or a `PlotCollection`.

    Raises: as `to_arviz`.
    """
    data, arviz = to_arviz(result, model=model, key=key), import_arviz()
    with warnings.catch_warnings():
        # ArviZ 0.23 calls a function of matplotlib in a way that version 3.11 calls old.
        warnings.filterwarnings("ignore", message="Passing a dict or None as alias_mapping")
        return (arviz.plot_trace if _is_legacy(arviz) else arviz.plot_trace_dist)(data, **options)


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


def _is_legacy(arviz: Any) -> bool:
    """Whether groups are arguments of `from_dict` and draws are `InferenceData`, not a `DataTree`."""
    return int(arviz.__version__.partition(".")[0]) < 1


def runs_of(result: Any) -> list[Any]:
    """The runs of a sequence, or the one that was given."""
    return list(result) if isinstance(result, (list, tuple)) and not hasattr(result, "_fields") else [result]


def _clouds(result: Any) -> list[Any] | None:
    """The clouds of one or several runs; None for chains."""
    runs = runs_of(result)
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
    groups = [_copies(cloud.values, cloud.n) for cloud in clouds]
    ess = [_merged_size(cloud, group) for cloud, group in zip(clouds, groups, strict=True)]
    lanes = [np.arange(cloud.n) for cloud in clouds]
    if any(float(jnp.ptp(cloud.log_weights)) > 0 for cloud in clouds):
        if key is None:
            raise ValueError("weighted particles are resampled to equal weights: pass key=jax.random.key(seed)")
        check_key(key)
        keys = jax.random.split(key, len(clouds))
        scheme = Systematic()
        lanes = [np.asarray(scheme(k, c.log_weights)) for c, k in zip(clouds, keys, strict=True)]
    # The group of a particle is the lane of its first copy.
    lanes = [lane[np.argsort(group[lane], kind="stable")] for lane, group in zip(lanes, groups, strict=True)]
    values = [take_lanes(cloud.values, jnp.asarray(lane)) for cloud, lane in zip(clouds, lanes, strict=True)]
    _, error = evidence_of(log_z)
    distinct = [len(set(group[lane])) for group, lane in zip(groups, lanes, strict=True)]
    attributes = {"log_z": log_z.tolist(), "ess": ess, "distinct": distinct, "log_z_standard_error": error}
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *values), attributes


def _copies(values: Any, n: int) -> np.ndarray:
    """For each lane the first one that holds the same particle; without a floating-point leaf, itself."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(values)]
    return row_groups(leaves) if any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves) else np.arange(n)


def row_groups(leaves: list[np.ndarray], axes: int = 1) -> np.ndarray:
    """For each row, over that many leading axes of all leaves, the number of the first row equal to it."""
    rows = np.prod(leaves[0].shape[:axes], dtype=int)
    flat = [np.ascontiguousarray(leaf.reshape(rows, -1)).view(np.uint8).reshape(rows, -1) for leaf in leaves]
    _, first, group = np.unique(np.concatenate(flat, axis=1), axis=0, return_index=True, return_inverse=True)
    return first[group.reshape(-1)]


def _merged_size(cloud: Particles, group: np.ndarray) -> float:
    """Effective sample size of the cloud in which equal particles are one."""
    merged = np.bincount(group, np.asarray(cloud.normalized_weights, float))
    return float(merged.sum() ** 2 / np.sum(merged**2))


def evidence_of(log_z: np.ndarray) -> tuple[float, float]:
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
