"""What is filtered: a target by range and bearing, and log-volatilities by returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Factor
from probinf.distributions import GMM, condition_linear
from probinf.transformers_dist.families import (
    SensorData,
    SensorLikelihood,
    VolatilityData,
    VolatilityLikelihood,
    fitted_factors,
    linearized,
    motion,
    observe,
    observe_returns,
    spreads,
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


class LogSquares(eqx.Module):
    """The update that takes the logs of the squared fitted factors for linear observations with Gaussian noise.

    Intercept, slope and noise are those of the best linear fit over the stationary law of a log-volatility, by
    quadrature; the constants of Harvey, Ruiz and Shephard (1994), which know no noise of the returns themselves, made
    it worse than no filter at all.
    """

    def __call__(self, prior: GMM, data: VolatilityData) -> GMM:
        """The posterior of the log-squares."""
        fitted, spread = fitted_factors(data)
        intercept, slope, noise = _linear_fit()
        rows, values = jnp.diag(jnp.asarray(slope)), jnp.log(fitted**2 + spread**2) - jnp.asarray(intercept)
        return condition_linear(prior, rows, values, jnp.diag(jnp.asarray(noise)))[0]


def _linear_fit() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of log(f^2 + s^2) on x ~ N(0, 1), where f ~ N(0, exp(x) + s^2), for the deviation s of each fitted factor."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    chance = np.outer(weights, weights) / (2 * np.pi)
    squared = spreads()[:, None, None] ** 2
    value = np.log((np.exp(nodes)[None, :, None] + squared) * nodes[None, None, :] ** 2 + squared)
    intercept = np.sum(chance * value, axis=(1, 2))
    slope = np.sum(chance * nodes[None, :, None] * value, axis=(1, 2))
    return intercept, slope, np.sqrt(np.sum(chance * value**2, axis=(1, 2)) - intercept**2 - slope**2)


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
        LogSquares(),
        "Kalman filter of log-squares",
    ),
}
