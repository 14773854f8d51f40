"""What is filtered: a target by range and bearing, and log-volatilities by returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Factor
from probinf.distributions import GMM, condition_linear
from probinf.transformers_dist.families import (
    SensorData,
    SensorLikelihood,
    VolatilityData,
    VolatilityLikelihood,
    linearized,
    log_squares,
    motion,
    observe,
    observe_returns,
    volatility_motion,
)


@dataclass(frozen=True)
class Scene:
    """A state that moves linearly, and how it is observed.

    first_mean and first_scale: the first prior, N(first_mean(key), first_scale()^2). motion: transition and (diagonal)
    noise scale. gaussian: the update of the Kalman filter that one would write without a network.
    """

    title: str
    first_mean: Callable[[PRNGKeyArray], Array]
    first_scale: Callable[[], Array]
    motion: Callable[[], tuple[Array, Array]]
    observe: Callable[[PRNGKeyArray, Array], Any]
    likelihood: Callable[[Any], Factor]
    gaussian: Callable[[GMM, Any], GMM]
    gaussian_name: str


class Extended(eqx.Module):
    """The update of the extended Kalman filter, which takes every range for a good one."""

    def __call__(self, prior: GMM, data: SensorData) -> GMM:
        """The posterior of the linearized observation."""
        mean = prior.mean
        rows, values = linearized(mean, data)
        return condition_linear(prior, rows, values + rows @ mean, jnp.eye(2))[0]


class QuasiLikelihood(eqx.Module):
    """The update that takes the logs of squares for Gaussian observations."""

    def __call__(self, prior: GMM, data: VolatilityData) -> GMM:
        """The posterior of the log-squares."""
        rows, values = log_squares(data)
        return condition_linear(prior, rows, values, jnp.eye(values.size))[0]


def _on_a_circle(key: PRNGKeyArray) -> Float[Array, " 4"]:
    angle = 2 * jnp.pi * jax.random.uniform(key)
    return 4.0 * jnp.stack([jnp.cos(angle), jnp.zeros(()), jnp.sin(angle), jnp.zeros(())])


SCENES = {
    "sensor_fusion": Scene(
        "range and bearing",
        _on_a_circle,
        lambda: jnp.diag(jnp.array([0.5, 0.2, 0.5, 0.2])),
        motion,
        observe,
        SensorLikelihood,
        Extended(),
        "extended Kalman filter",
    ),
    "stochastic_volatility": Scene(
        "stochastic volatility",
        lambda key: jnp.zeros(3),
        lambda: jnp.eye(3),
        volatility_motion,
        observe_returns,
        VolatilityLikelihood,
        QuasiLikelihood(),
        "Kalman filter of log-squares",
    ),
}
