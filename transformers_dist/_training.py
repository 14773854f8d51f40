"""Training on problems that are drawn afresh at every step."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from rich.progress import track

from probinf._arguments import is_count
from probinf.lm import load_tree, save_tree
from probinf.transformers_dist._network import NetworkConfig
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._transformer import DistributionTransformer, log_loss, untrained


@runtime_checkable
class Weighted(Protocol):
    """A model whose trained numbers are its field `weights`."""

    weights: Any


Model = TypeVar("Model", bound=Weighted)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained: AdamW without decay, linear warm-up, cosine to zero, and an average of the weights.

    averaging: the part of the average that a step keeps. prior_loss: whether the network's own account of the prior is
    scored too, which it must be where the prior is no mixture.
    """

    steps: int = 2000
    batch: int = 256
    learning_rate: float = 2e-3
    warm_up: int = 100
    averaging: float = 0.99
    prior_loss: bool = False
    seed: int = 0

    def __post_init__(self):
        if not is_count(self.warm_up, 0) or not is_count(self.seed, 0):
            raise ValueError(f"warm_up and seed must be whole numbers, got {self.warm_up} and {self.seed}")
        if (
            not is_count(self.steps)
            or not is_count(self.batch)
            or not 0 <= self.averaging < 1
            or self.learning_rate <= 0
        ):
            raise ValueError("training needs steps, batch >= 1, learning_rate > 0 and averaging in [0, 1)")


def transformer_loss(dt: DistributionTransformer, problems: Problem, *, prior_loss: bool) -> Float[Array, ""]:
    """Mean cross-entropy of the posteriors' points, in nats, and of the same points under the account of the prior.

    Law: its minimum over all mixtures is where each is nearest to its posterior in KL(posterior || mixture).

    Source: arXiv 2502.02463, proposition 3.1 and algorithm 1.
    """

    def one(problem: Problem) -> Array:
        before, after = dt.forward(problem.prior, problem.data)
        loss = log_loss(after, problem.points, problem.log_weights)
        # Points of posteriors, over data that follow the joint law, are draws of the prior.
        return loss + log_loss(before, problem.points, problem.log_weights) if prior_loss else loss

    return jnp.mean(jax.vmap(one)(problems))


class TransformerLoss(eqx.Module):
    """`transformer_loss` with its choice made; equal ones share a compiled program."""

    prior_loss: bool = eqx.field(static=True)

    def __call__(self, dt: DistributionTransformer, problems: Problem) -> Float[Array, ""]:
        """The mean loss, in nats."""
        return transformer_loss(dt, problems, prior_loss=self.prior_loss)


def train(
    family: Family,
    network: NetworkConfig,
    config: TrainingConfig,
    *,
    checkpoint: Path | None = None,
    checkpoint_every: int = 500,
    until: int | None = None,
    show_progress: bool = False,
) -> tuple[DistributionTransformer, list[float]]:
    """Train from scratch, or go on from the checkpoint if there is one; problems depend on the step and the seed.

    Law: stopping at a checkpoint and going on gives the same weights as never stopping. `until` stops early.

    Returns: the transformer with averaged weights, and the loss of each step of this call, in nats.

    Raises: ValueError where the checkpoint was made with other settings; FloatingPointError where a loss is not finite
    (no problem is dropped silently).
    """
    start = untrained(jax.random.key(config.seed), family.view, network)
    return train_from(
        start,
        family,
        TransformerLoss(config.prior_loss),
        config,
        {"network": dataclasses.asdict(network)},
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        until=until,
        show_progress=show_progress,
    )


def train_from(
    start: Model,
    family: Family,
    loss: Callable[[Model, Problem], Float[Array, ""]],
    config: TrainingConfig,
    description: dict[str, Any],
    *,
    checkpoint: Path | None = None,
    checkpoint_every: int = 500,
    until: int | None = None,
    show_progress: bool = False,
) -> tuple[Model, list[float]]:
    """Train the `weights` of any model on a loss; otherwise as `train`, which says what happens and what is raised.

    description: what else, beside the training's own settings, a checkpoint must agree in.
    """
    # Without the seed, so that trainings that differ in it share one program.
    shared = dataclasses.replace(config, seed=0)
    optimizer = optimizer_of(shared)
    state = {"weights": start.weights, "average": start.weights, "optimizer": optimizer.init(start.weights)}
    settings = json.dumps(description | {"training": dataclasses.asdict(config)})
    begin = 0
    if checkpoint is not None and checkpoint.exists():
        state, metadata = load_tree(checkpoint, state)
        if metadata["settings"] != settings:
            raise ValueError(f"{checkpoint} was made with other settings: remove it to start afresh")
        begin = int(metadata["step"])
    end = config.steps if until is None else until
    losses: list[float] = []
    key = jax.random.key(config.seed + 1)
    for step in track(range(begin, end), "training", disable=not show_progress):
        step_key = jax.random.fold_in(key, step)
        state, value = _update(start, family, loss, optimizer, shared, state, step_key, jnp.asarray(step))
        losses.append(float(value))
        if not jnp.isfinite(value):
            raise FloatingPointError(f"the loss of step {step} is {losses[-1]}: lower the learning rate")
        if show_progress and (step + 1) % 200 == 0:
            print(f"step {step + 1}: {sum(losses[-200:]) / len(losses[-200:]):.4f} nats", flush=True)
        if checkpoint is not None and ((step + 1) % checkpoint_every == 0 or step + 1 == end):
            save_tree(checkpoint, state, {"settings": settings, "step": str(step + 1)})
    return eqx.tree_at(lambda model: model.weights, start, state["average"]), losses


@functools.cache
def optimizer_of(config: TrainingConfig) -> optax.GradientTransformation:
    """The optimizer that a configuration describes."""
    warm_up = min(config.warm_up, config.steps // 2)
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warm_up, config.steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


@eqx.filter_jit
def _update(
    start: Any,
    family: Family,
    loss: Callable[[Any, Problem], Array],
    optimizer: optax.GradientTransformation,
    config: TrainingConfig,
    state: dict[str, Any],
    key: PRNGKeyArray,
    step: Array,
) -> tuple[dict[str, Any], Array]:
    problems = jax.vmap(family.draw)(jax.random.split(key, config.batch))

    def loss_of(weights: Any) -> Array:
        return loss(eqx.tree_at(lambda model: model.weights, start, weights), problems)

    value, gradient = jax.value_and_grad(loss_of)(state["weights"])
    change, memory = optimizer.update(gradient, state["optimizer"], state["weights"])
    weights = optax.apply_updates(state["weights"], change)
    # Early on the average is that of all steps so far, so that it soon forgets where it began.
    keep = jnp.minimum(config.averaging, step / (step + 10.0))
    average = jax.tree.map(lambda mean, new: keep * mean + (1 - keep) * new, state["average"], weights)
    return {"weights": weights, "average": average, "optimizer": memory}, value
