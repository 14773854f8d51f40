"""The one training loop: any network, any loss on an input and its responses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

Draw = Callable[[PRNGKeyArray], tuple[Array, Int[Array, "k *slots"]]]
# Of the network, a key, how much of the training is done (0 to 1), an input and its responses.
Loss = Callable[[Any, PRNGKeyArray, Float[Array, ""], Array, Int[Array, "k *slots"]], Float[Array, ""]]


class Fixed(nnx.Variable):
    """What a network was born with and no training changes."""


@dataclasses.dataclass(frozen=True)
class PairTraining:
    """AdamW with a cosine to zero after a warm-up.

    Raises: ValueError for no steps, an empty batch, a learning rate that is not positive and finite, and a warm-up or a
        weight decay below zero.
    """

    steps: int = 2000
    batch: int = 256
    learning_rate: float = 3e-3
    warm_up: int = 50
    weight_decay: float = 0.0

    def __post_init__(self):
        # Written so that NaN fails too.
        if min(self.steps, self.batch) < 1 or not 0 < self.learning_rate < math.inf:
            raise ValueError("training needs steps and batch of at least 1, and a learning rate above 0")
        if self.warm_up < 0 or not 0 <= self.weight_decay < math.inf:
            raise ValueError("training needs a warm_up and a weight_decay of at least 0")


class PairModel(eqx.Module):
    """A trained network: `model(x)` is the prediction of one input."""

    graph: Any = eqx.field(static=True)
    weights: Any

    @property
    def network(self) -> Any:
        """The network with its weights."""
        return nnx.merge(self.graph, self.weights)

    def __call__(self, x: Array) -> Any:
        """What the network gives: an `EpistemicPrediction`, or of a prompt `SequencePairs`."""
        return self.network(x)


@eqx.filter_jit
def fit(
    key: PRNGKeyArray, network: Callable[[nnx.Rngs], nnx.Module], draw: Draw, config: PairTraining, loss: Loss
) -> tuple[PairModel, Float[Array, " steps"]]:
    """Minimize the mean loss over fresh draws in one compiled loop, which works under vmap; only `nnx.Param` moves.

    Returns: the model, and the loss of each step.
    """
    graph, abstract = nnx.split(nnx.eval_shape(lambda: network(nnx.Rngs(params=0))))
    moves = nnx.to_pure_dict(
        jax.tree.map(lambda v: isinstance(v, nnx.Param), abstract, is_leaf=lambda v: isinstance(v, nnx.Variable))
    )
    weights_key, run_key, noise_key = jax.random.split(key, 3)
    weights, fixed = eqx.partition(nnx.to_pure_dict(nnx.state(network(nnx.Rngs(params=weights_key)))), moves)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, min(config.warm_up, config.steps // 2), config.steps
    )
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=config.weight_decay))

    def loss_of(weights: Any, keys: Array, progress: Array, x: Array, responses: Array) -> Array:
        model = PairModel(graph, eqx.combine(weights, fixed)).network
        return jnp.mean(jax.vmap(lambda k, x, y: loss(model, k, progress, x, y))(keys, x, responses))

    def step(state: tuple[Any, Any], at: tuple[Array, Array, Array]) -> tuple[tuple[Any, Any], Array]:
        weights, memory = state
        key, noise, progress = at
        x, responses = jax.vmap(draw)(jax.random.split(key, config.batch))
        keys = jax.random.split(noise, config.batch)
        found, gradient = jax.value_and_grad(loss_of)(weights, keys, progress, x, responses)
        change, memory = optimizer.update(gradient, memory, weights)
        return (optax.apply_updates(weights, change), memory), found

    progress = jnp.arange(config.steps) / config.steps
    at = (jax.random.split(run_key, config.steps), jax.random.split(noise_key, config.steps), progress)
    (weights, _), losses = jax.lax.scan(step, (weights, optimizer.init(weights)), at)
    return PairModel(graph, eqx.combine(weights, fixed)), losses
