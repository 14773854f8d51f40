"""The baselines that come with the package: the same families, training and kind of encoder, with another density.

The encoder has one token for each component of the prior (that of `squared_1d` has two), and a density is read off the
tokens' mean, where a transformer's head reads each of them.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from probinf.lm import load_tree, save_tree
from probinf.transformers_dist._network import NetworkConfig
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._shipped import RECIPES, WEIGHTS
from probinf.transformers_dist._training import TrainingConfig
from probinf.transformers_dist.baselines._amortized import Amortized, Density, train_amortized, untrained_amortized
from probinf.transformers_dist.baselines._flow import Flow
from probinf.transformers_dist.baselines._riemann import Riemann, quantile_borders

# The tasks whose posteriors are no mixtures.
_TASKS = ("inverse_gamma", "squared_1d", "quantum", "gaussian_process")
BASELINES = tuple(f"{density}_{task}" for density in ("riemann", "flow") for task in _TASKS)
_NETWORK = NetworkConfig()
_BARS = 100
# Problems whose points the bars are laid over.
_LAID_OVER = 4000


def baseline_training(name: str) -> TrainingConfig:
    """As many problems as the transformer of the same task was trained on."""
    return dataclasses.replace(RECIPES[_task(name)].training, prior_loss=False)


def train_baseline(
    name: str, config: TrainingConfig | None = None, *, checkpoint: Path | None = None, show_progress: bool = False
) -> tuple[Amortized, list[float]]:
    """Train a baseline; `BASELINES` has the names.

    Raises: ValueError for an unknown name; otherwise as `train`.
    """
    _check(name)
    family = RECIPES[_task(name)].family()
    config = baseline_training(name) if config is None else config
    return train_amortized(
        family, _density(name, family), _NETWORK, config, checkpoint=checkpoint, show_progress=show_progress
    )


def load_baseline(name: str, folder: Path = WEIGHTS) -> Amortized:
    """The shipped baseline of that name; `BASELINES` has the names.

    Raises: ValueError for an unknown name; ImportError without the extra `plots`, where it is a flow.
    """
    _check(name)
    family = RECIPES[_task(name)].family()
    dimension = family.view.dimension
    # Of the right shapes; the file has the borders.
    bars = np.broadcast_to(np.arange(_BARS + 1.0), (dimension, _BARS + 1))
    density = Riemann(bars) if name.startswith("riemann") else Flow(jax.random.key(0), dimension)
    start = untrained_amortized(jax.random.key(0), family.view, density, _NETWORK)
    return eqx.tree_at(lambda model: model.weights, start, load_tree(folder / f"{name}.safetensors", start.weights)[0])


def save_baseline(name: str, model: Amortized, config: TrainingConfig, folder: Path = WEIGHTS) -> Path:
    """Write the weights where `load_baseline` finds them, with the command and settings beside them."""
    metadata = {
        "command": f"python -m probinf.transformers_dist.train {name}",
        "network": json.dumps(dataclasses.asdict(_NETWORK)),
        "training": json.dumps(dataclasses.asdict(config)),
    }
    path = folder / f"{name}.safetensors"
    save_tree(path, model.weights, metadata)
    return path


def _check(name: str) -> None:
    if name not in BASELINES:
        raise ValueError(f"there is no baseline {name!r}: choose one of {', '.join(BASELINES)}")


def _task(name: str) -> str:
    return name.split("_", 1)[1]


def _density(name: str, family: Family) -> Density:
    if name.startswith("flow"):
        return Flow(jax.random.key(0), family.view.dimension)
    return Riemann(quantile_borders(np.asarray(_places(family)), _BARS))


@eqx.filter_jit
def _places(family: Family) -> Float[Array, "S D"]:
    """Where unknowns lie in the frames of their problems: one draw of the posterior of each."""

    def one(key: Array) -> Array:
        draw_key, choose_key = jax.random.split(key)
        problem: Problem = family.draw(draw_key)
        chosen = problem.points[jax.random.categorical(choose_key, problem.log_weights)]
        return family.view.frame(problem.prior).inward(chosen)

    return jax.lax.map(one, jax.random.split(jax.random.key(0), _LAID_OVER), batch_size=200)
