"""Training process reward models on the outcomes of completions."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray
from rich.progress import track

from probinf.arithmetic._language_training import TrainingConfig, optimizer_of
from probinf.arithmetic._network import Network
from probinf.arithmetic._rollouts import Rollouts
from probinf.arithmetic._weights import LogisticHead, decoder_of, network_of
from probinf.lm._small_transformer import SmallTransformer


@dataclasses.dataclass(frozen=True)
class RewardConfig:
    """What a reward model learns from (prefixes, completions of each) and how; it begins as the first layers."""

    prefixes: int
    rollouts: int
    layers: int = 2
    training: TrainingConfig = TrainingConfig(steps=600, batch=64, learning_rate=1e-3, weight_decay=0.1)


LEVELS = {
    "weak": RewardConfig(1_000, 1, training=TrainingConfig(steps=100, batch=32, learning_rate=1e-3, weight_decay=0.1)),
    "medium": RewardConfig(
        2_000, 4, training=TrainingConfig(steps=200, batch=64, learning_rate=1e-3, weight_decay=0.1)
    ),
    "strong": RewardConfig(
        60_000, 8, training=TrainingConfig(steps=2_000, batch=64, learning_rate=1e-3, weight_decay=0.1)
    ),
}


class RewardNetwork(nnx.Module):
    """A network with a logistic head."""

    def __init__(self, network: Network) -> None:
        width = network.embedding.embedding[...].shape[1]
        self.network = network
        self.weight = nnx.Param(jnp.zeros(width))
        self.bias = nnx.Param(jnp.zeros(()))

    def log_odds(self, data: Rollouts) -> Float[Array, "problems max_steps"]:
        """The log-odds after each step."""
        hidden = self.network.hidden(data.prompt, data.prompt_length, data.tokens)
        at_ends = jnp.take_along_axis(hidden, data.ends[:, :, None], axis=1)
        return at_ends @ self.weight[...] + self.bias[...]


def reward_loss(network: RewardNetwork, data: Rollouts) -> Float[Array, ""]:
    """Mean cross-entropy, in nats a step, between the predicted and the counted share of right completions."""
    losses = optax.sigmoid_binary_cross_entropy(network.log_odds(data), jnp.mean(data.right, axis=-1))
    return jnp.sum(jnp.where(data.written, losses, 0.0)) / jnp.sum(data.written)


def first_prefixes(data: Rollouts, prefixes: int, rollouts: int) -> Rollouts:
    """The first solutions whose steps make up `prefixes` prefixes, with the first `rollouts` completions of each.

    Raises: ValueError where there are not so many.
    """
    total = jnp.cumsum(jnp.sum(data.written, axis=1))
    if int(total[-1]) < prefixes or data.right.shape[2] < rollouts:
        raise ValueError(
            f"wanted {prefixes} prefixes with {rollouts} completions, got {int(total[-1])} with {data.right.shape[2]}"
        )
    count = int(jnp.searchsorted(total, prefixes)) + 1
    return jax.tree.map(lambda leaf: leaf[:count], data._replace(right=data.right[..., :rollouts]))


def train_reward(
    config: RewardConfig, lm: SmallTransformer, data: Rollouts, *, show_progress: bool = False
) -> tuple[SmallTransformer, LogisticHead, list[float]]:
    """Train a reward model from the first layers of the language model.

    Returns: the reader, its head, and the loss of each step, in nats a step of a solution.
    """
    training = config.training
    data = first_prefixes(data, config.prefixes, config.rollouts)
    graph, weights = nnx.split(RewardNetwork(network_of(lm, config.layers)))
    optimizer = optimizer_of(training)
    state = (nnx.to_pure_dict(weights), optimizer.init(nnx.to_pure_dict(weights)))
    size = data.tokens.shape[0]

    @jax.jit
    def update(state: tuple[Any, Any], data: Rollouts, key: PRNGKeyArray) -> tuple[tuple[Any, Any], Array]:
        rows = jax.random.randint(key, (training.batch,), 0, size)
        batch = jax.tree.map(lambda leaf: leaf[rows], data)
        loss, gradient = jax.value_and_grad(lambda w: reward_loss(nnx.merge(graph, w), batch))(state[0])
        change, memory = optimizer.update(gradient, state[1], state[0])
        return (optax.apply_updates(state[0], change), memory), loss

    key, losses = jax.random.key(training.seed + 2), []
    for step in track(range(training.steps), "reward model", disable=not show_progress):
        state, loss = update(state, data, jax.random.fold_in(key, step))
        losses.append(float(loss))
        if show_progress and (step + 1) % 50 == 0:
            print(f"step {step + 1}: {sum(losses[-50:]) / 50:.4f} nats a step", flush=True)
    trained = nnx.merge(graph, state[0])
    return decoder_of(trained.network), LogisticHead(trained.weight[...], trained.bias[...]), losses
