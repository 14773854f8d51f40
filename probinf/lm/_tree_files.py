"""Trees of arrays in safetensors files, written so that an interrupted run leaves the old file whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinf.lm._optional import optional_module


def save_tree(path: Path, tree: Any, metadata: Mapping[str, str]) -> None:
    """Write every array of a tree under its path, then put the file in place at once."""
    numpy = optional_module("safetensors.numpy")
    tensors = {name: np.asarray(leaf, order="C") for name, leaf in _named(tree)}
    partial = path.with_suffix(".partial")
    numpy.save_file(tensors, str(partial), metadata=dict(metadata))
    partial.replace(path)


def load_tree(path: Path, like: Any) -> tuple[Any, dict[str, str]]:
    """Read a tree of the same structure, shapes and dtypes as `like`, and the metadata.

    Raises: ValueError where the file holds other arrays than `like`.
    """
    safetensors = optional_module("safetensors")
    with safetensors.safe_open(str(path), framework="numpy") as file:
        metadata = dict(file.metadata() or {})
        names = [name for name, _ in _named(like)]
        if set(names) != set(file.keys()):
            raise ValueError(
                f"{path} holds other arrays than this run: remove it, or use the settings it was made with"
            )
        leaves = [file.get_tensor(name) for name in names]
    expected, structure = jax.tree.flatten(like)
    for name, leaf, wanted in zip(names, leaves, expected, strict=True):
        if leaf.shape != np.shape(wanted):
            raise ValueError(f"{path}: {name} has shape {leaf.shape}, expected {np.shape(wanted)}")
    arrays = [jnp.asarray(leaf, jnp.result_type(wanted)) for leaf, wanted in zip(leaves, expected, strict=True)]
    return jax.tree.unflatten(structure, arrays), metadata


def _named(tree: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in jax.tree.leaves_with_path(tree)
    ]
