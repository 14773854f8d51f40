"""Evidential deep learning: a network that puts out a Dirichlet distribution, and is told to doubt it when wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jax.scipy.special import digamma, gammaln
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import real, whole
from probinf.verifiers.pairs._fit import Draw, PairModel, PairTraining, fit
from probinf.verifiers.pairs._heads import Head
from probinf.verifiers.pairs._prediction import Dirichlet


class EvidentialHead(Head):
    """Concentrations 1 + softplus(logits), as the mean and the gate of a `Dirichlet`.

    Source: Sensoy, Kaplan and Kandemir, arXiv 1806.01768, section 3; softplus where the paper has a ramp, which stops
    learning at zero.
    """

    def __init__(self, width: int, classes: int, rngs: nnx.Rngs) -> None:
        self.logits = nnx.Linear(width, classes, rngs=rngs)

    def __call__(self, features: Float[Array, " width"]) -> Dirichlet:
        """The distribution."""
        concentration = 1 + jax.nn.softplus(self.logits(features))
        total = jnp.sum(concentration)
        return Dirichlet(concentration / total, 1 / (total + 1))


def evidential_loss(
    prediction: Dirichlet, response: Int[Array, ""], weight: float | Float[Array, ""]
) -> Float[Array, ""]:
    """E |1{y} - p|^2 over p of the prediction, and `weight` times KL(Dirichlet with the response's evidence off, flat).

    Law: exact in closed form. Not proper for the variance: its least value for a coin has a variance that says nothing
    of what the network cannot tell apart.

    Raises: ValueError for a concrete gate of 0 or 1, at which there is no concentration; an `EvidentialHead` has none;
    for a weight below zero or NaN, unless traced.

    Source: arXiv 1806.01768, equations 5 and 6, and the divergence after it.
    """
    response, weight = whole("response", response, ""), real("weight", weight, "", low=0, finite=True)
    gate = prediction.gate
    if not isinstance(gate, Tracer) and not 0 < gate < 1:
        raise ValueError(f"a Dirichlet distribution has a gate in (0, 1), got {gate}")
    p, total = prediction.probabilities, 1 / prediction.gate - 1
    outcome = jax.nn.one_hot(response, p.shape[0], dtype=p.dtype)
    squared = jnp.sum((outcome - p) ** 2 + p * (1 - p) / (total + 1))
    misleading = outcome + (1 - outcome) * p * total
    return squared + weight * _divergence_from_flat(misleading)


def _divergence_from_flat(a: Float[Array, " K"]) -> Float[Array, ""]:
    """KL(Dirichlet(a), Dirichlet(1)), in nats."""
    total = jnp.sum(a)
    constant = gammaln(total) - gammaln(jnp.asarray(a.shape[0], a.dtype)) - jnp.sum(gammaln(a))
    return constant + jnp.sum((a - 1) * (digamma(a) - digamma(total)))


def train_evidential(
    key: PRNGKeyArray,
    network: Callable[[nnx.Rngs], nnx.Module],
    draw: Draw,
    config: PairTraining,
    *,
    anneal: float = 0.2,
) -> tuple[PairModel, Float[Array, " steps"]]:
    """Train a network that ends in an `EvidentialHead`; each response counts for itself.

    The weight of the divergence grows from zero to one over the share `anneal` of the training, as in the paper over
    ten of fifty epochs.

    Returns: the model, whose predictions are `Dirichlet`, and the loss of each step.

    Raises: ValueError for an `anneal` outside (0, 1].
    """
    if not 0 < anneal <= 1:
        raise ValueError(f"anneal is a share of the training in (0, 1], got {anneal}")
    return fit(key, network, draw, config, Partial(_loss, anneal=anneal))


def _loss(network: Any, key: Any, progress: Array, x: Array, responses: Array, *, anneal: float) -> Array:
    del key
    weight, prediction = jnp.minimum(progress / anneal, 1.0), network(x)
    return jnp.mean(jax.vmap(lambda y: evidential_loss(prediction, y, weight))(responses))
