"""The network that is trained: a small decoder that reads whole texts at once, in flax."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from probinf.arithmetic._vocabulary import MODULUS, PROMPT_SLOTS, SOLUTION_SLOTS, VOCABULARY

RECENT = 3  # tokens before each one that are read together with it
_GENERATOR = 2  # its powers are all numbers but zero, modulo 19


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network: width, layers, attention heads (which share one key and value), and SwiGLU units."""

    dimension: int = 128
    layers: int = 4
    heads: int = 4
    hidden_dimension: int = 384
    prompt_slots: int = PROMPT_SLOTS
    slots: int = SOLUTION_SLOTS
    vocabulary_size: int = len(VOCABULARY)

    @property
    def head_dimension(self) -> int:
        """Width of one head."""
        return self.dimension // self.heads


def number_waves() -> Float[Array, "modulus waves"]:
    """Cosines and sines of each number and of its discrete logarithm, at every frequency; rows of norm about one.

    In these coordinates sums and products modulo a prime are additions of angles, which one gated layer can do. From
    random numbers the same training does not get beyond the format of a solution.
    """
    logarithm = [0] * MODULUS
    for exponent in range(MODULUS - 1):
        logarithm[pow(_GENERATOR, exponent, MODULUS)] = exponent
    frequencies = jnp.arange(1, MODULUS // 2 + 1)
    sums = 2 * jnp.pi / MODULUS * jnp.arange(MODULUS)[:, None] * frequencies[None, :]
    products = 2 * jnp.pi / (MODULUS - 1) * jnp.array(logarithm)[:, None] * frequencies[None, :]
    nonzero = (jnp.arange(MODULUS) > 0)[:, None]
    waves = [jnp.cos(sums), jnp.sin(sums), jnp.cos(products) * nonzero, jnp.sin(products) * nonzero]
    return jnp.concatenate(waves, axis=1) / (MODULUS // 2) ** 0.5


class Block(nnx.Module):
    """One layer: multi-query attention, then SwiGLU, each after a root-mean-square norm and added to its input."""

    def __init__(self, config: NetworkConfig, rngs: nnx.Rngs) -> None:
        width, head = config.dimension, config.head_dimension
        scaled = nnx.initializers.normal(width**-0.5)
        small = nnx.initializers.normal((2 * config.layers * width) ** -0.5)
        small_down = nnx.initializers.normal((2 * config.layers * config.hidden_dimension) ** -0.5)
        dense = lambda rows, columns, init: nnx.Linear(rows, columns, use_bias=False, kernel_init=init, rngs=rngs)  # noqa: E731
        self.attention_norm = nnx.RMSNorm(width, rngs=rngs)
        self.query_key_value = dense(width, width + 2 * head, scaled)
        self.output = dense(width, width, small)
        self.feed_forward_norm = nnx.RMSNorm(width, rngs=rngs)
        self.gate_up = dense(width, 2 * config.hidden_dimension, scaled)
        self.down = dense(config.hidden_dimension, width, small_down)
        self.heads = config.heads

    def __call__(self, x: Float[Array, "texts positions width"], seen: Array) -> Array:
        """The layer applied to all positions; `seen[text, query, key]` is what a position may look at."""
        width = x.shape[-1]
        head = width // self.heads
        q, k, v = jnp.split(self.query_key_value(self.attention_norm(x)), [width, width + head], axis=-1)
        q = q.reshape(*q.shape[:-1], self.heads, head)
        scores = jnp.einsum("bqhd,bkd->bhqk", q, k) * head**-0.5
        weights = jax.nn.softmax(jnp.where(seen[:, None], scores, -1e30), axis=-1)
        x = x + self.output(jnp.einsum("bhqk,bkd->bqhd", weights, v).reshape(x.shape))
        gate, up = jnp.split(self.gate_up(self.feed_forward_norm(x)), 2, axis=-1)
        return x + self.down(jax.nn.silu(gate) * up)


class Network(nnx.Module):
    """A decoder that reads each token together with the three before it, at learned positions.

    The positions of the solution count from its own beginning, which makes the place of a step's operands a fixed
    look-up, whatever the length of the question.

    Source: short convolutions before attention, Primer, arXiv:2109.08668.
    """

    def __init__(self, config: NetworkConfig, rngs: nnx.Rngs) -> None:
        width = config.dimension
        table = lambda rows: nnx.Embed(rows, width, embedding_init=nnx.initializers.normal(width**-0.5), rngs=rngs)  # noqa: E731
        self.embedding = table(config.vocabulary_size)
        self.recent = nnx.List([table(config.vocabulary_size) for _ in range(RECENT)])
        waves = number_waves()
        for part, begin in ((self.embedding, 0), (self.recent[-1], waves.shape[1])):
            numbers = part.embedding[:MODULUS].at[:, begin : begin + waves.shape[1]].set(waves)
            part.embedding[...] = part.embedding[...].at[:MODULUS].set(numbers)
        self.prompt_positions = table(config.prompt_slots)
        self.positions = table(config.slots)
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = nnx.RMSNorm(width, rngs=rngs)

    def hidden(
        self,
        prompt: Int[Array, "texts prompt_slots"],
        prompt_length: Int[Array, " texts"],
        tokens: Int[Array, "texts read"],
    ) -> Float[Array, "texts read_and_one width"]:
        """The activation after the prompt, and after each token of the solution."""
        slots, read = prompt.shape[1], tokens.shape[1]
        before = jnp.pad(prompt, ((0, 0), (RECENT, 0)))
        last = jnp.take_along_axis(before, prompt_length[:, None] + jnp.arange(RECENT)[None, :], axis=1)
        x = jnp.concatenate(
            [
                self._embedded(before) + self.prompt_positions(jnp.arange(slots))[None],
                self._embedded(jnp.concatenate([last, tokens], axis=1)) + self.positions(jnp.arange(read))[None],
            ],
            axis=1,
        )
        place = jnp.arange(slots + read)
        question = (place < slots)[None, :] & (place[None, :] < prompt_length[:, None])
        seen = (place[None, :] <= place[:, None])[None] & (question | (place >= slots)[None])[:, None, :]
        for block in self.blocks:
            x = block(x, seen)
        x = self.norm(x)
        last = jnp.take_along_axis(x, (prompt_length - 1)[:, None, None], axis=1)
        return jnp.concatenate([last, x[:, slots:]], axis=1)

    def _embedded(self, tokens: Int[Array, "texts recent_and_positions"]) -> Array:
        """Each token together with the `RECENT` ones before it, by tables of their own."""
        size = tokens.shape[1] - RECENT
        x = self.embedding(tokens[:, RECENT:])
        for distance, part in enumerate(self.recent, start=1):
            x = x + part(tokens[:, RECENT - distance : RECENT - distance + size])
        return x

    def logits(
        self,
        prompt: Int[Array, "texts prompt_slots"],
        prompt_length: Int[Array, " texts"],
        tokens: Int[Array, "texts read"],
    ) -> Float[Array, "texts read_and_one vocabulary"]:
        """Unnormalized log-probabilities of the next token after the prompt, and after each token."""
        return self.embedding.attend(self.hidden(prompt, prompt_length, tokens))


def count_parameters(network: nnx.Module) -> int:
    """Number of trained numbers."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
