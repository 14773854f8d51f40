"""Training on several responses to each input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf.verifiers.pairs._prediction import EpistemicPrediction, Mixture, PairTable
from probinf.verifiers.pairs._sequences import SequencePairs

Draw = Callable[[PRNGKeyArray], tuple[Array, Int[Array, "k *slots"]]]


@dataclasses.dataclass(frozen=True)
class PairTraining:
    """AdamW with a cosine to zero after a warm-up.

    Raises: ValueError for no steps, an empty batch, and a learning rate that is not positive.
    """

    steps: int = 2000
    batch: int = 256
    learning_rate: float = 3e-3
    warm_up: int = 50
    weight_decay: float = 0.0

    def __post_init__(self):
        if min(self.steps, self.batch) < 1 or self.learning_rate <= 0:
            raise ValueError("training needs steps and batch of at least 1, and a learning rate above 0")


class PairModel(eqx.Module):
    """A trained network: `model(x)` is the prediction of one input."""

    graph: Any = eqx.field(static=True)
    weights: Any

    def __call__(self, x: Array) -> Any:
        """What the network gives: an `EpistemicPrediction`, or of a prompt `SequencePairs`."""
        return nnx.merge(self.graph, self.weights)(x)


class Ensemble(eqx.Module):
    """Models of one response each, alike but for their seeds, as a mixture with equal weights.

    Law: heuristic: where all members underfit alike they agree, and the variance says nothing of the error.

    Source: Lakshminarayanan, Pritzel and Blundell, arXiv 1612.01474.
    """

    members: PairModel

    def __call__(self, x: Array) -> Mixture:
        """The prediction."""
        p = eqx.filter_vmap(lambda member: member(x).probabilities)(self.members)
        return Mixture(jnp.full(p.shape[0], -jnp.log(p.shape[0])), jnp.log(p))


def response_loss(
    prediction: EpistemicPrediction | SequencePairs, responses: Int[Array, "k *slots"]
) -> Float[Array, ""]:
    """Minus the log-probability of k responses to one input, in nats a response; a table's and a sequence's in both
    orders.

    Law: proper: its mean is least where the prediction is calibrated for k responses.
    """
    if isinstance(prediction, PairTable | SequencePairs):
        both = prediction.log_probability(responses) + prediction.log_probability(responses[::-1])
        return -0.25 * both
    return -prediction.log_probability(responses) / responses.shape[0]  # pyright: ignore[reportAttributeAccessIssue]


@eqx.filter_jit
def train_pairs(
    key: PRNGKeyArray,
    network: Callable[[nnx.Rngs], nnx.Module],
    draw: Draw,
    config: PairTraining,
    loss: Callable[[Any, Array], Array] = response_loss,
) -> tuple[PairModel, Float[Array, " steps"]]:
    """Train a network on fresh draws of an input and its responses; one compiled loop, which works under vmap.

    Returns: the model, and the loss of each step in nats a response.
    """
    graph, _ = nnx.split(nnx.eval_shape(lambda: network(nnx.Rngs(params=0))))
    weights_key, run_key = jax.random.split(key)
    weights = nnx.to_pure_dict(nnx.state(network(nnx.Rngs(params=weights_key))))
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, min(config.warm_up, config.steps // 2), config.steps
    )
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=config.weight_decay))

    def loss_of(weights: Any, x: Array, responses: Array) -> Array:
        model = PairModel(graph, weights)
        return jnp.mean(jax.vmap(lambda x, y: loss(model(x), y))(x, responses))

    def step(state: tuple[Any, Any], key: PRNGKeyArray) -> tuple[tuple[Any, Any], Array]:
        weights, memory = state
        x, responses = jax.vmap(draw)(jax.random.split(key, config.batch))
        value, gradient = jax.value_and_grad(loss_of)(weights, x, responses)
        change, memory = optimizer.update(gradient, memory, weights)
        return (optax.apply_updates(weights, change), memory), value

    keys = jax.random.split(run_key, config.steps)
    (weights, _), losses = jax.lax.scan(step, (weights, optimizer.init(weights)), keys)
    return PairModel(graph, weights), losses
