"""The transformers that come with the package: the family of each, its sizes, and how it was trained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp

from probinf.lm import load_tree, save_tree
from probinf.transformers_dist._network import NetworkConfig
from probinf.transformers_dist._problem import Family
from probinf.transformers_dist._training import TrainingConfig
from probinf.transformers_dist._transformer import DistributionTransformer, blank
from probinf.transformers_dist.families import (
    Quantum,
    SensorFusion,
    StochasticVolatility,
    gaussian_process,
    inverse_gamma,
    linear_gaussian,
    squared,
)

WEIGHTS = Path(__file__).parent / "weights"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What `python -m probinf.transformers_dist.train NAME` trains."""

    family: Callable[[], Family]
    network: NetworkConfig
    training: TrainingConfig


RECIPES = {
    "linear_1d": Recipe(
        lambda: linear_gaussian(1, 10, observations=20, least_components=5),
        NetworkConfig(),
        TrainingConfig(steps=2500),
    ),
    "linear_2d": Recipe(lambda: linear_gaussian(2, 8), NetworkConfig(), TrainingConfig(steps=4000)),
    "linear_4d": Recipe(lambda: linear_gaussian(4, 8), NetworkConfig(), TrainingConfig(steps=2000)),
    "linear_8d": Recipe(lambda: linear_gaussian(8, 10), NetworkConfig(), TrainingConfig(steps=1500)),
    "sensor_fusion": Recipe(SensorFusion, NetworkConfig(expand=2), TrainingConfig(steps=1500, batch=128)),
    "stochastic_volatility": Recipe(
        StochasticVolatility, NetworkConfig(expand=2), TrainingConfig(steps=1500, batch=128)
    ),
    "inverse_gamma": Recipe(
        lambda: inverse_gamma("wide", "narrow"),
        NetworkConfig(),
        TrainingConfig(steps=1000, batch=128, learning_rate=4e-3, prior_loss=True),
    ),
    "quantum": Recipe(
        Quantum,
        NetworkConfig(),
        TrainingConfig(steps=1200, batch=128, learning_rate=4e-3, prior_loss=True),
    ),
    "gaussian_process": Recipe(
        gaussian_process,
        NetworkConfig(),
        TrainingConfig(steps=600, batch=128, learning_rate=4e-3, prior_loss=True),
    ),
    "squared_1d": Recipe(
        squared,
        NetworkConfig(expand=2),
        TrainingConfig(steps=2500, batch=128, learning_rate=4e-3),
    ),
}


def load(name: str, folder: Path = WEIGHTS) -> DistributionTransformer:
    """The shipped transformer of that name; `RECIPES` has the names.

    Raises: ValueError for an unknown name; FileNotFoundError where it has not been trained yet; ImportError without the
    extra `lm`.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no transformer {name!r}: choose one of {', '.join(RECIPES)}")
    start = blank(RECIPES[name].family().view, RECIPES[name].network)
    path = folder / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: run  python -m probinf.transformers_dist.train {name}")
    return eqx.tree_at(lambda dt: dt.weights, start, load_tree(path, start.weights)[0])


def save(name: str, dt: DistributionTransformer, folder: Path = WEIGHTS) -> Path:
    """Write the weights in half precision where `load` finds them, with the command and settings beside them."""
    recipe = RECIPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "command": f"python -m probinf.transformers_dist.train {name}",
        "network": json.dumps(dataclasses.asdict(recipe.network)),
        "training": json.dumps(dataclasses.asdict(recipe.training)),
    }
    path = folder / f"{name}.safetensors"
    save_tree(path, jax.tree.map(lambda leaf: leaf.astype(jnp.float16), dt.weights), metadata)
    return path
