"""Epistemic neural network: a base network, and beside it a small one that is asked with a random index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import is_count
from probinf.verifiers.pairs._fit import Draw, Fixed, PairModel, PairTraining, fit
from probinf.verifiers.pairs._prediction import Mixture
from probinf.verifiers.pairs.baselines._checks import check_samples

# Indices that each input is trained with at a step.
_INDICES = 4


class EpinetNetwork(nnx.Module):
    """Logits base(x) + epinet(sg[features, x], z) + scale * prior(x, z) for an index z ~ N(0, I).

    The epinet is a perceptron of [features, x, z] whose outputs are multiplied by z; the prior is a perceptron of x,
    multiplied likewise, that no training changes. `sg`: no gradient passes, so that the trunk learns by the base alone.

    Raises: ValueError for an index without entries, and a scale that is not positive.

    Source: Osband and others, arXiv 2107.08924, section 4 and equation 6.
    """

    def __init__(
        self,
        trunk: nnx.Module,
        inputs: int,
        width: int,
        classes: int,
        rngs: nnx.Rngs,
        *,
        index: int = 8,
        hidden: int = 32,
        scale: float = 1.0,
    ) -> None:
        if not is_count(index) or not scale > 0:
            raise ValueError(f"an index has one entry or more and the scale is positive, got {index} and {scale}")
        self.trunk, self.index, self.classes, self.scale = trunk, index, classes, scale
        self.base = nnx.Linear(width, classes, rngs=rngs)
        self.hidden = nnx.Linear(width + inputs + index, hidden, rngs=rngs)
        self.out = nnx.Linear(hidden, classes * index, rngs=rngs)
        normal = jax.nn.initializers.lecun_normal()
        self.prior_in = Fixed(normal(rngs.params(), (inputs, hidden)))
        self.prior_bias = Fixed(jax.random.normal(rngs.params(), (hidden,)))
        self.prior_out = Fixed(normal(rngs.params(), (hidden, classes * index)))

    def __call__(self, x: Float[Array, " inputs"], z: Float[Array, " index"]) -> Float[Array, " K"]:
        """Logarithms of the probabilities at an index."""
        features = self.trunk(x)  # pyright: ignore[reportCallIssue]
        seen = jax.lax.stop_gradient(jnp.concatenate([features, x]))
        learned = self.out(jax.nn.gelu(self.hidden(jnp.concatenate([seen, z]))))
        prior = jax.nn.gelu(x @ self.prior_in[...] + self.prior_bias[...]) @ self.prior_out[...]
        by_index = (learned + self.scale * prior).reshape(self.classes, self.index)
        return jax.nn.log_softmax(self.base(features) + by_index @ z)


class EpinetMixture(eqx.Module):
    """The mixture of a network's predictions over a fixed set of indices, the same for all inputs.

    Law: CONSISTENT in the number of indices for the mixture over N(0, I); heuristic for the error.

    Source: arXiv 2107.08924.
    """

    model: PairModel
    indices: Float[Array, "S index"]

    def __call__(self, x: Array) -> Mixture:
        """The prediction."""
        network, n = self.model.network, self.indices.shape[0]
        return Mixture(jnp.full(n, -jnp.log(n)), jax.vmap(lambda z: network(x, z))(self.indices))


def train_epinet(
    key: PRNGKeyArray,
    network: Callable[[nnx.Rngs], nnx.Module],
    draw: Draw,
    config: PairTraining,
    *,
    samples: int = 32,
) -> tuple[EpinetMixture, Float[Array, " steps"]]:
    """Train an `EpinetNetwork` by the log-probability of each response, at four fresh indices for each input.

    Returns: the mixture over `samples` indices, and the loss of each step in nats a response.

    Raises: ValueError for fewer than two samples.
    """
    check_samples(samples)
    train_key, index_key = jax.random.split(key)
    model, losses = fit(train_key, network, draw, config, _loss)
    return EpinetMixture(model, jax.random.normal(index_key, (samples, model.network.index))), losses


def _loss(network: Any, key: PRNGKeyArray, progress: Any, x: Array, responses: Array) -> Array:
    del progress
    z = jax.random.normal(key, (_INDICES, network.index))
    return -jnp.mean(jax.vmap(lambda z: network(x, z))(z)[:, responses])
