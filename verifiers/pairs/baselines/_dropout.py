"""Monte Carlo dropout: units that are left out at random in training, and in use too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from probinf.verifiers.pairs._fit import Draw, PairModel, PairTraining, fit
from probinf.verifiers.pairs._heads import Perceptron
from probinf.verifiers.pairs._prediction import Mixture
from probinf.verifiers.pairs.baselines._checks import check_samples


class DropoutNetwork(nnx.Module):
    """A perceptron whose hidden units are zero with probability `rate`, and else divided by 1 - rate.

    Raises: ValueError for a rate outside (0, 1).
    """

    def __init__(self, trunk: Perceptron, classes: int, rngs: nnx.Rngs, *, rate: float = 0.1) -> None:
        if not 0 < rate < 1:
            raise ValueError(f"the rate is the probability in (0, 1) that a unit is left out, got {rate}")
        self.trunk, self.rate = trunk, rate
        self.logits = nnx.Linear(trunk.layers[-1].out_features, classes, rngs=rngs)

    def __call__(self, x: Float[Array, " inputs"], key: PRNGKeyArray) -> Float[Array, " K"]:
        """Logarithms of the probabilities under one mask for each layer."""
        for layer, layer_key in zip(self.trunk.layers, jax.random.split(key, len(self.trunk.layers)), strict=True):
            x = jax.nn.gelu(layer(x))
            x = jnp.where(jax.random.bernoulli(layer_key, 1 - self.rate, x.shape), x / (1 - self.rate), 0.0)
        return jax.nn.log_softmax(self.logits(x))


class DropoutMixture(eqx.Module):
    """The mixture of a network's predictions over masks that are drawn from `key`, the same for all inputs.

    Law: CONSISTENT in the number of masks for the mixture over all of them; heuristic for the error.

    Source: Gal and Ghahramani, arXiv 1506.02142.
    """

    model: PairModel
    key: PRNGKeyArray
    samples: int = eqx.field(static=True)

    def __call__(self, x: Array) -> Mixture:
        """The prediction."""
        network = self.model.network
        rows = jax.vmap(lambda key: network(x, key))(jax.random.split(self.key, self.samples))
        return Mixture(jnp.full(self.samples, -jnp.log(self.samples)), rows)


def train_dropout(
    key: PRNGKeyArray,
    network: Callable[[nnx.Rngs], nnx.Module],
    draw: Draw,
    config: PairTraining,
    *,
    samples: int = 32,
) -> tuple[DropoutMixture, Float[Array, " steps"]]:
    """Train a `DropoutNetwork` by the log-probability of each response, with fresh masks for each input.

    Returns: the mixture over `samples` masks, and the loss of each step in nats a response.

    Raises: ValueError for fewer than two samples.
    """
    check_samples(samples)
    train_key, mask_key = jax.random.split(key)
    model, losses = fit(train_key, network, draw, config, _loss)
    return DropoutMixture(model, mask_key, samples), losses


def _loss(network: Any, key: PRNGKeyArray, progress: Any, x: Array, responses: Array) -> Array:
    del progress
    return -jnp.mean(network(x, key)[responses])
