"""Streams of tasks: the transformer against the exact chain, and classifiers of blobs by HMC chains and prototypes."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._measure import Factor
from probinf.distributions import GMM
from probinf.transformers_dist import DistributionTransformer
from probinf.transformers_dist.families import LinearData, draw_mixture, exact_linear
from probinf.transformers_dist.sequential import HamiltonianChain, prototypes

TASKS = 5
_CENTERS = 12


class Labeled(NamedTuple):
    """Points of the plane and their labels, 0 or 1."""

    x: Float[Array, "N 2"]
    label: Int[Array, " N"]


class Logistic(Factor):
    """The likelihood of labels given the weights of fixed radial features."""

    data: Labeled
    name: str = eqx.field(static=True, default="labels")

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Log-probability of the labels, in nats."""
        logits = radial_features(self.data.x) @ x
        return jnp.sum(jax.nn.log_sigmoid(jnp.where(self.data.label == 1, logits, -logits)))


def radial_features(x: Float[Array, "N 2"]) -> Float[Array, "N D"]:
    """Bumps around points of a sunflower, and a constant."""
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(_CENTERS)
    radius = 3.0 * np.sqrt((np.arange(_CENTERS) + 0.5) / _CENTERS)
    centers = jnp.asarray(np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1), x.dtype)
    squared = jnp.sum((x[:, None, :] - centers[None, :, :]) ** 2, axis=-1)
    return jnp.concatenate([jnp.exp(-0.5 * squared), jnp.ones((x.shape[0], 1), x.dtype)], axis=1)


def blob_tasks(key: PRNGKeyArray, points: int) -> tuple[Labeled, Labeled]:
    """Five tasks, each to tell two of ten blobs apart, by one label that all tasks share, and as many points to test.

    Both have a leading axis of tasks.
    """
    center_key, point_key = jax.random.split(key)
    angle = 2 * jnp.pi * (jnp.arange(10) + 0.5) / 10
    order = jax.random.permutation(center_key, 10)
    centers = 2.5 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)[order]
    label = jnp.tile(jnp.arange(2), points // 2)
    which = jnp.arange(TASKS)[:, None] + 5 * label[None, :]
    x = centers[which] + 0.3 * jax.random.normal(point_key, (2, TASKS, points, 2))
    labels = jnp.broadcast_to(label, which.shape)
    return Labeled(x[0], labels), Labeled(x[1], labels)


def blob_accuracy(key: PRNGKeyArray, points: int, chain: HamiltonianChain) -> dict[str, Any]:
    """Accuracy on all tasks after all tasks, for the chain, for one run on all data, and for prototypes."""
    train_key, chain_key, batch_key = jax.random.split(key, 3)
    tasks, test = blob_tasks(train_key, points)
    dimension = _CENTERS + 1
    start = GMM(jnp.zeros(1), jnp.zeros((1, dimension)), 3.0 * jnp.eye(dimension)[None], "prior")
    belief, by_task = start, []
    for t in range(TASKS):
        belief = chain(jax.random.fold_in(chain_key, t), belief, jax.tree.map(lambda leaf, t=t: leaf[t], tasks))
        draws = jax.vmap(lambda k, belief=belief: belief.sample(k, ()))(jax.random.split(chain_key, 200))
        by_task.append(float(_accuracy(draws, jax.tree.map(lambda leaf, t=t: leaf[: t + 1], test))))
    everything = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tasks)
    batch = float(_accuracy(chain.samples(batch_key, start, everything), test))
    return {"chain": by_task, "batch": batch, "prototypes": _prototype_accuracy(tasks, test)}


@eqx.filter_jit
def _accuracy(draws: Float[Array, "S D"], test: Labeled) -> Array:
    x = test.x.reshape(-1, 2)
    chance = jnp.mean(jax.nn.sigmoid(radial_features(x) @ draws.T), axis=1)
    return jnp.mean((chance > 0.5) == (test.label.reshape(-1) == 1))


def _prototype_accuracy(tasks: Labeled, test: Labeled) -> float:
    """One class for each blob, learned task by task; its label is that of its blob."""
    known = prototypes(10, 2, noise=0.09, prior_variance=9.0)
    for t in range(TASKS):
        known = known.update(tasks.x[t], t + 5 * tasks.label[t])
    chosen = jnp.argmax(jax.vmap(known.log_probabilities)(test.x.reshape(-1, 2)), axis=1)
    return float(jnp.mean((chosen >= 5) == (test.label.reshape(-1) == 1)))


@eqx.filter_jit
def stream_divergence(dt: DistributionTransformer, key: PRNGKeyArray, updates: int, draws: int) -> Float[Array, " T"]:
    """KL(exact || transformer) after each of several updates, each with one observation, posteriors becoming priors."""
    prior_key, truth_key, run_key = jax.random.split(key, 3)
    prior = draw_mixture(prior_key, 2, 4, least=4)
    truth = prior.sample(truth_key, ())

    def step(beliefs: tuple[GMM, GMM], key: PRNGKeyArray) -> tuple[tuple[GMM, GMM], Array]:
        row_key, noise_key, draw_key = jax.random.split(key, 3)
        row = jax.random.normal(row_key, (1, 2)) / 2**0.5
        data = LinearData(row, row @ truth + 0.7 * jax.random.normal(noise_key, (1,)), jnp.full(1, 0.7))
        ours, exact = dt(beliefs[0], data).renamed("prior"), exact_linear(beliefs[1], data)
        x = jax.vmap(lambda k: exact.sample(k, ()))(jax.random.split(draw_key, draws))
        log_ratio = jax.vmap(ours.log_density)(x) - jax.vmap(exact.log_density)(x)
        return (ours, exact), jnp.mean(jnp.expm1(log_ratio) - log_ratio)

    return jax.lax.scan(step, (prior, prior), jax.random.split(run_key, updates))[1]
