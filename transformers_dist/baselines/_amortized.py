"""Other densities on the same encoder: what the head of a Distribution Transformer is compared with."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Distribution
from probinf.transformers_dist._frame import Frame, identity_frame
from probinf.transformers_dist._network import Encoder, NetworkConfig
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._training import TrainingConfig, train_from
from probinf.transformers_dist._transformer import log_loss
from probinf.transformers_dist._view import View


class Density(eqx.Module):
    """A family of densities on R^D, steered by `size` numbers; its own arrays are trained too."""

    size: int = eqx.field(static=True)

    @abc.abstractmethod
    def log_density(self, x: Float[Array, " D"], numbers: Float[Array, " size"]) -> Float[Array, ""]:
        """Log-density at a point, in nats."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, numbers: Float[Array, " size"]) -> Float[Array, " D"]:
        """A draw."""


class Steered(Distribution):
    """A density with its numbers, in the frame of a problem."""

    density: Density
    numbers: Float[Array, " size"]
    shape: Frame
    name: str = eqx.field(static=True, default="amortized")  # pyright: ignore[reportIncompatibleMethodOverride]

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, " D"]:
        """A draw."""
        del x
        return self.shape.outward(self.density.sample(key, self.numbers))

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Log-density at a point, in nats."""
        log_volume = jnp.sum(jnp.log(jnp.diagonal(self.shape.scale)))
        return self.density.log_density(self.shape.inward(x), self.numbers) - log_volume


class Amortized(eqx.Module):
    """A trained encoder with a density: `amortized(prior, data)` is an approximate posterior.

    It sees what a Distribution Transformer sees, prior included; the density is steered by the mean of the tokens.

    Law: changes target: training made the forward Kullback-Leibler divergence small on average.
    """

    graph: Any = eqx.field(static=True)
    config: NetworkConfig = eqx.field(static=True)
    weights: dict[str, Any]
    view: View
    density: Density

    def __call__(self, prior: Any, data: Any) -> Steered:
        """The approximate posterior, in the space R^D of mixtures."""
        frame = self.view.frame(prior) if self.config.normalize else identity_frame(self.view.dimension)
        numbers = nnx.merge(self.graph, self.weights["encoder"])(self.view.look(prior, data, frame))
        return Steered(eqx.combine(self.weights["density"], self.density), numbers, frame)


class _Steering(Encoder):
    """From a look at a problem to the numbers of its density: the tokens' mean, read by one hidden layer."""

    def __init__(self, config: NetworkConfig, view: View, size: int, rngs: nnx.Rngs) -> None:
        super().__init__(config, view, rngs)
        # Raw numbers beside what attention made of them, for a line from data to place is hard to learn otherwise.
        inputs = config.width + view.feature_size + view.row_size + 1
        self.read = nnx.Sequential(
            nnx.Linear(inputs, 2 * config.width, rngs=rngs),
            jax.nn.gelu,
            nnx.Linear(2 * config.width, size, kernel_init=nnx.initializers.normal(0.01), rngs=rngs),
        )

    def __call__(self, look: Any) -> Float[Array, " size"]:
        """The numbers."""
        base, tokens, _ = self.encode(look)
        weight = base.present / jnp.sum(base.present)
        count = jnp.sum(look.present, dtype=tokens.dtype)
        rows = jnp.where(look.present[:, None], look.rows, 0.0)
        mean_row = jnp.sum(rows, axis=0) / jnp.maximum(count, 1)
        raw = jnp.concatenate([look.features, mean_row, jnp.log1p(count)[None]])
        return self.read(jnp.concatenate([weight @ tokens, jnp.arcsinh(raw)]))


def train_amortized(
    family: Family,
    density: Density,
    network: NetworkConfig,
    config: TrainingConfig,
    **options: Any,
) -> tuple[Amortized, list[float]]:
    """Train an encoder and a density as a transformer is trained (`train` has the options, and what is raised)."""
    start = untrained_amortized(jax.random.key(config.seed), family.view, density, network)
    description = {"network": dataclasses.asdict(network), "density": type(density).__name__}
    return train_from(start, family, amortized_loss, config, description, **options)


def amortized_loss(amortized: Callable[[Any, Any], Distribution], problems: Problem) -> Float[Array, ""]:
    """Mean cross-entropy of the posteriors' points, in nats."""

    def one(problem: Problem) -> Array:
        return log_loss(amortized(problem.prior, problem.data), problem.points, problem.log_weights)

    return jnp.mean(jax.vmap(one)(problems))


@eqx.filter_jit
def untrained_amortized(key: PRNGKeyArray, view: View, density: Density, config: NetworkConfig) -> Amortized:
    """With random weights, to be trained or loaded."""
    graph, state = nnx.split(_Steering(config, view, density.size, nnx.Rngs(params=key)))
    arrays, rest = eqx.partition(density, eqx.is_inexact_array)
    return Amortized(graph, config, {"encoder": nnx.to_pure_dict(state), "density": arrays}, view, rest)
