"""The models that come with the package."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp

from probinf._arguments import real
from probinf.arithmetic._checker import ArithmeticReward, Checker, Soundness
from probinf.arithmetic._network import NetworkConfig
from probinf.arithmetic._weights import LogisticHead, empty_decoder, load_weights, save_weights
from probinf.arithmetic._writers import ArithmeticModels
from probinf.lm._optional import optional_module
from probinf.lm._read_along import StateReward
from probinf.lm._small_transformer import SmallTransformer

WEIGHTS = Path(__file__).parent / "weights"
LEARNED = ("weak", "medium", "strong")


def load_arithmetic(folder: Path = WEIGHTS, *, oracle_error: float = 0.01) -> ArithmeticModels:
    """Load the language model and the process rewards; `oracle_error` is how unsure the exact step checker says it is.

    Raises: ImportError without the extra `lm`; ValueError for an error outside (0, 0.5), or other files than
    expected.
    """
    if not 0 < oracle_error < 0.5:
        raise ValueError(f"the oracle needs an error in (0, 0.5), got {oracle_error}: 0.01 is the default")
    rewards = {name: load_reward(folder / f"reward_{name}.safetensors") for name in LEARNED}
    return ArithmeticModels(load_language_model(folder), {**rewards, "oracle": oracle(oracle_error)})


def oracle(error: float) -> ArithmeticReward:
    """The exact step checker: reward 1 - error while all steps are right, and error from the first wrong one on.

    Raises: ValueError for an error outside [0, 1].
    """
    return ArithmeticReward(Checker(), StateReward(Soundness(real("error", error, "", low=0, high=1))))


def load_language_model(folder: Path = WEIGHTS) -> SmallTransformer:
    """Load the language model alone."""
    path = folder / "language_model.safetensors"
    return load_weights(path, empty_decoder(_config(path)))[0]


def load_reward(path: Path) -> ArithmeticReward:
    """Load one learned reward."""
    decoder = empty_decoder(_config(path))
    head = LogisticHead(jnp.zeros(decoder.norm.shape[0]), jnp.zeros(()))
    (reader, head), _ = load_weights(path, (decoder, head))
    return ArithmeticReward(reader, StateReward(head))


def save_language_model(folder: Path, lm: SmallTransformer, config: NetworkConfig, settings: dict[str, str]) -> None:
    """Write the language model where `load_language_model` finds it."""
    metadata = {"network": json.dumps(dataclasses.asdict(config)), **settings}
    save_weights(folder / "language_model.safetensors", lm, metadata)


def save_reward(
    folder: Path,
    name: str,
    reader: SmallTransformer,
    head: LogisticHead,
    config: NetworkConfig,
    settings: dict[str, str],
) -> None:
    """Write a learned reward where `load_reward` finds it."""
    metadata = {"network": json.dumps(dataclasses.asdict(config)), **settings}
    save_weights(folder / f"reward_{name}.safetensors", (reader, head), metadata)


def read_metadata(path: Path) -> dict[str, str]:
    """What a file of weights says about itself: the sizes of the network, and how it was trained."""
    with optional_module("safetensors").safe_open(str(path), framework="numpy") as file:
        return dict(file.metadata())


def _config(path: Path) -> NetworkConfig:
    return NetworkConfig(**json.loads(read_metadata(path)["network"]))
