"""From trained networks to the decoder that samples, and to files and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from probinf.arithmetic._network import Network, NetworkConfig
from probinf.arithmetic._vocabulary import END
from probinf.lm._small_transformer import SmallLayer, SmallTransformer
from probinf.lm._tree_files import load_tree, save_tree


class LogisticHead(eqx.Module):
    """Log-odds that are linear in the reader's last activation."""

    weight: Float[Array, " width"]
    bias: Float[Array, ""]

    def __call__(self, state: Any) -> Float[Array, " n"]:
        """The log-odds of each lane, from the state of a `ReadAlong`."""
        return state.reader.hidden @ self.weight + self.bias


def decoder_of(network: Network) -> SmallTransformer:
    """The decoder that has the parameters of a trained network."""
    return SmallTransformer(
        heads=network.blocks[0].heads,
        stop_tokens=(END,),
        embedding=_value(network.embedding.embedding),
        recent=tuple(_value(table.embedding) for table in network.recent),
        prompt_positions=_value(network.prompt_positions.embedding),
        positions=_value(network.positions.embedding),
        layers=tuple(
            SmallLayer(
                _value(block.attention_norm.scale),
                _value(block.query_key_value.kernel),
                _value(block.output.kernel),
                _value(block.feed_forward_norm.scale),
                _value(block.gate_up.kernel),
                _value(block.down.kernel),
            )
            for block in network.blocks
        ),
        norm=_value(network.norm.scale),
    )


def network_of(decoder: SmallTransformer, layers: int) -> Network:
    """A network that has the embeddings and the first `layers` layers of a decoder: where a reward model starts."""
    width, hidden = decoder.embedding.shape[1], decoder.layers[0].down.shape[0]
    config = NetworkConfig(width, layers, decoder.heads, hidden)
    network = Network(config, nnx.Rngs(0))
    _put(network.embedding.embedding, decoder.embedding)
    for table, recent in zip(network.recent, decoder.recent, strict=True):
        _put(table.embedding, recent)
    _put(network.prompt_positions.embedding, decoder.prompt_positions)
    _put(network.positions.embedding, decoder.positions)
    for block, layer in zip(network.blocks, decoder.layers[:layers], strict=True):
        _put(block.attention_norm.scale, layer.attention_norm)
        _put(block.query_key_value.kernel, layer.query_key_value)
        _put(block.output.kernel, layer.output)
        _put(block.feed_forward_norm.scale, layer.feed_forward_norm)
        _put(block.gate_up.kernel, layer.gate_up)
        _put(block.down.kernel, layer.down)
    _put(network.norm.scale, decoder.norm)
    return network


def empty_decoder(config: NetworkConfig) -> SmallTransformer:
    """A decoder of the right shapes, for `load_weights`."""
    return decoder_of(Network(config, nnx.Rngs(0)))


def save_weights(path: Path, tree: Any, metadata: Mapping[str, str]) -> None:
    """Write the arrays of a Module in half precision."""
    save_tree(path, jax.tree.map(lambda leaf: leaf.astype(jnp.float16), tree), metadata)


def load_weights(path: Path, like: Any) -> tuple[Any, dict[str, str]]:
    """Read the arrays of a Module of the same shapes, in single precision."""
    return load_tree(path, like)


def _value(parameter: Any) -> Array:
    return parameter[...]


def _put(parameter: Any, value: Array) -> None:
    parameter[...] = value
