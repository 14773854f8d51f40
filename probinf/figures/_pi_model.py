"""A small decoder that is taught pairs of statements about the digits of pi."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf.arithmetic._network import Block, NetworkConfig
from probinf.figures._pi_world import END, PAD, SLOTS, VOCABULARY, draw_pair, prompts
from probinf.verifiers.pairs import PairLanguageModel, PairModel, PairTraining, ordered_loss, train_pairs

_LEARNING_RATE = 4e-3
SIZES = NetworkConfig(dimension=64, layers=2, heads=4, hidden_dimension=192, vocabulary_size=len(VOCABULARY))


class Trunk(nnx.Module):
    """Tokens to the logits of the next: the layers of the repository's small decoder, at learned positions."""

    def __init__(self, config: NetworkConfig, rngs: nnx.Rngs) -> None:
        width = config.dimension
        table = lambda rows: nnx.Embed(rows, width, embedding_init=nnx.initializers.normal(width**-0.5), rngs=rngs)  # noqa: E731
        self.embedding = table(config.vocabulary_size)
        self.positions = table(prompts().shape[1] + 2 * SLOTS - 1)
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = nnx.RMSNorm(width, rngs=rngs)

    def __call__(self, tokens: Int[Array, " positions"]) -> Float[Array, "positions vocabulary"]:
        """The logits after each token."""
        place = jnp.arange(tokens.shape[0])
        x = (self.embedding(tokens) + self.positions(place))[None]
        for block in self.blocks:
            x = block(x, (place[None, :] <= place[:, None])[None])
        return self.embedding.attend(self.norm(x)[0])


def build(rngs: nnx.Rngs) -> PairLanguageModel:
    """The network of every seed."""
    return PairLanguageModel(Trunk(SIZES, rngs), slots=SLOTS, end=END, pad=PAD)


def train(key: PRNGKeyArray, steps: int, batch: int) -> PairModel:
    """A trained model, of fresh pairs at every step."""
    config = PairTraining(steps=steps, batch=batch, learning_rate=_LEARNING_RATE)
    return train_pairs(key, build, draw_pair, config, ordered_loss)[0]
