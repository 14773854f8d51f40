"""Assemble a `Llama` from named matrices, whatever file they came from."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf.lm._errors import ModelFileError
from probinf.lm._llama import Llama, LlamaLayer
from probinf.lm._llama_config import LlamaConfig
from probinf.lm._rotary import rotary_frequencies


def assemble_llama(
    config: LlamaConfig,
    tensor: Callable[[str, tuple[int, ...]], np.ndarray],
    *,
    tied: bool,
    stop_tokens: tuple[int, ...],
    frequencies: np.ndarray | None = None,
    has: Callable[[str], bool] = lambda name: False,
) -> Llama:
    """Build the decoder from `tensor(name, shape)`, which returns a float32 matrix in [out, in] order.

    The names are: embedding, norm, head, and layer.{i}.{attention_norm, query, key, value, output,
    feed_forward_norm, gate, up, down}. Queries and keys are in half-rotation order. A matrix whose name `has`
    with `_bias` appended gets that bias, the others none. Frequencies default to the unscaled ones of the base.
    """
    query, pair = config.heads * config.head_dimension, config.key_value_heads * config.head_dimension
    width, hidden = config.dimension, config.hidden_dimension

    def biases(layer: str, **rows: int) -> Float[Array, " rows"] | None:
        """The joined biases of some matrices, zero for those that have none; None if none has."""
        present = {name: has(f"{layer}.{name}_bias") for name in rows}
        if not any(present.values()):
            return None
        parts = [
            tensor(f"{layer}.{name}_bias", (size,)) if present[name] else np.zeros(size, np.float32)
            for name, size in rows.items()
        ]
        return jnp.asarray(np.concatenate(parts))

    layers = []
    for i in range(config.layers):
        layer = f"layer.{i}"
        part = {
            name: tensor(f"{layer}.{name}", shape)
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
                query_key_value_bias=biases(layer, query=query, key=pair, value=pair),
                attention_output_bias=biases(layer, output=width),
                gate_up_bias=biases(layer, gate=hidden, up=hidden),
                down_bias=biases(layer, down=width),
            )
        )
    if frequencies is None:
        frequencies = rotary_frequencies(config.rope_base, config.head_dimension)
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


def stored_name(name: str, names: dict[str, str], layers: str) -> str:
    """A file's name of the tensor that `assemble_llama` calls `name`: `layer.0.query` is `blk.0.attn_q.weight`."""
    prefix, _, last = name.rpartition(".")
    matrix, bias = last.removesuffix("_bias"), last.endswith("_bias")
    stored = names[matrix].removesuffix("weight") + "bias" if bias else names[matrix]
    return f"{prefix.replace('layer', layers)}.{stored}" if prefix else stored
