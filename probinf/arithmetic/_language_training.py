"""Training the language model on solutions that are drawn afresh at every step."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray
from rich.progress import track

from probinf.arithmetic._network import Network, NetworkConfig
from probinf.arithmetic._traces import Trace, draw_trace
from probinf.lm._tree_files import load_tree, save_tree


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained: AdamW, a linear warm-up, then a cosine to zero."""

    steps: int = 1000
    batch: int = 128
    learning_rate: float = 3e-3
    warm_up: int = 50
    weight_decay: float = 0.05
    seed: int = 0


def optimizer_of(config: TrainingConfig) -> optax.GradientTransformation:
    """The optimizer that a configuration describes."""
    warm_up = min(config.warm_up, config.steps // 2)
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warm_up, config.steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.98, weight_decay=config.weight_decay))


def language_loss(network: Network, traces: Trace) -> Float[Array, ""]:
    """Mean negative log-probability of a solution's tokens, in nats a token; the question costs nothing."""
    logits = network.logits(traces.prompt, traces.prompt_length, traces.tokens[:, :-1])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, traces.tokens)
    written = jnp.arange(traces.tokens.shape[1])[None, :] < traces.length[:, None]
    return jnp.sum(jnp.where(written, losses, 0.0)) / jnp.sum(written)


def train_language_model(
    network_config: NetworkConfig,
    config: TrainingConfig,
    *,
    checkpoint: Path | None = None,
    checkpoint_every: int = 200,
    until: int | None = None,
    show_progress: bool = False,
) -> tuple[Network, list[float]]:
    """Train from scratch, or go on from the checkpoint if there is one; the data of step i depend on i and the seed.

    Law: stopping at a checkpoint and going on gives the same weights as never stopping. `until` stops early.

    Returns: the network and the loss of each step of this call, in nats a token.

    Raises: ValueError where the checkpoint was made with other settings.
    """
    network = Network(network_config, nnx.Rngs(config.seed))
    graph, weights = nnx.split(network)
    optimizer = optimizer_of(config)
    state = {"weights": nnx.to_pure_dict(weights), "optimizer": optimizer.init(nnx.to_pure_dict(weights))}
    key = jax.random.key(config.seed + 1)
    settings = json.dumps({"network": dataclasses.asdict(network_config), "training": dataclasses.asdict(config)})
    begin = 0
    if checkpoint is not None and checkpoint.exists():
        state, metadata = load_tree(checkpoint, state)
        if metadata["settings"] != settings:
            raise ValueError(f"{checkpoint} was made with other settings: remove it to start afresh")
        begin = int(metadata["step"])

    @jax.jit
    def update(state: dict[str, Any], key: PRNGKeyArray) -> tuple[dict[str, Any], Array]:
        traces = jax.vmap(draw_trace)(jax.random.split(key, config.batch))

        def loss_of(weights: Any) -> Array:
            return language_loss(nnx.merge(graph, weights), traces)

        loss, gradient = jax.value_and_grad(loss_of)(state["weights"])
        change, memory = optimizer.update(gradient, state["optimizer"], state["weights"])
        return {"weights": optax.apply_updates(state["weights"], change), "optimizer": memory}, loss

    losses = []
    end = config.steps if until is None else until
    for step in track(range(begin, end), "language model", disable=not show_progress):
        state, loss = update(state, jax.random.fold_in(key, step))
        losses.append(float(loss))
        if show_progress and (step + 1) % 50 == 0:
            print(f"step {step + 1}: {sum(losses[-50:]) / 50:.4f} nats a token", flush=True)
        if checkpoint is not None and ((step + 1) % checkpoint_every == 0 or step + 1 == end):
            save_tree(checkpoint, state, {"settings": settings, "step": str(step + 1)})
    return nnx.merge(graph, state["weights"]), losses
