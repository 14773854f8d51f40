"""Assemble a `Llama` from named matrices, whatever file they came from."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from probinf.lm._errors import ModelFileError
from probinf.lm._llama import Llama, LlamaLayer
from probinf.lm._llama_config import LlamaConfig


def assemble_llama(
    config: LlamaConfig,
    tensor: Callable[[str, tuple[int, ...]], np.ndarray],
    *,
    tied: bool,
    stop_tokens: tuple[int, ...],
    frequency_divisors: np.ndarray | None = None,
) -> Llama:
    """Build the decoder from `tensor(name, shape)`, which returns a float32 matrix in [out, in] order.

    The names are: embedding, norm, head, and layer.{i}.{attention_norm, query, key, value, output,
    feed_forward_norm, gate, up, down}. Queries and keys are in half-rotation order.
    """
    query, pair = config.heads * config.head_dimension, config.key_value_heads * config.head_dimension
    width, hidden = config.dimension, config.hidden_dimension
    layers = []
    for i in range(config.layers):
        part = {
            name: tensor(f"layer.{i}.{name}", shape)
            for name, shape in {
                "attention_norm": (width,),
                "query": (query, width),
                "key": (pair, width),
                "value": (pair, width),
                "output": (width, query),
                "feed_forward_norm": (width,),
                "gate": (hidden, width),
                "up": (hidden, width),
                "down": (width, hidden),
            }.items()
        }
        layers.append(
            LlamaLayer(
                attention_norm=jnp.asarray(part["attention_norm"]),
                query_key_value=jnp.asarray(np.concatenate([part["query"], part["key"], part["value"]])),
                attention_output=jnp.asarray(part["output"]),
                feed_forward_norm=jnp.asarray(part["feed_forward_norm"]),
                gate_up=jnp.asarray(np.concatenate([part["gate"], part["up"]])),
                down=jnp.asarray(part["down"]),
            )
        )
    half = config.head_dimension // 2
    frequencies = config.rope_base ** -(np.arange(half) / half)
    if frequency_divisors is not None:
        if frequency_divisors.shape != (half,):
            raise ModelFileError(f"The rotary divisors have shape {frequency_divisors.shape}, expected {(half,)}.")
        frequencies = frequencies / frequency_divisors
    return Llama(
        config=config,
        embedding=jnp.asarray(tensor("embedding", (config.vocabulary_size, width))),
        layers=tuple(layers),
        norm=jnp.asarray(tensor("norm", (width,))),
        head=None if tied else jnp.asarray(tensor("head", (config.vocabulary_size, width))),
        frequencies=jnp.asarray(frequencies, jnp.float32),
        stop_tokens=stop_tokens,
    )


def checked_shape(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return `value`, or raise ModelFileError if its shape is not the one that the configuration implies."""
    if value.shape != shape:
        raise ModelFileError(f"Tensor {name!r} has shape {value.shape}, but the configuration implies {shape}.")
    return value
