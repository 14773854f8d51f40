"""Filters for range and bearing: the transformer's, the extended Kalman filter's, and the particle filter's."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Distribution, Draw, Particles, Resample, Reweight, spawn
from probinf.distributions import GMM, condition_linear
from probinf.distributions._small_matrices import cholesky, solve_lower
from probinf.transformers_dist import MixtureFilter
from probinf.transformers_dist.families import SensorData, SensorLikelihood, linearized, motion, observe


def simulate(key: PRNGKeyArray, steps: int) -> tuple[Array, Array, SensorData]:
    """Where a target starts (the mean of the first prior), its states [T, 4], and what is seen of it."""
    angle_key, start_key, run_key = jax.random.split(key, 3)
    angle = 2 * jnp.pi * jax.random.uniform(angle_key)
    mean = 4.0 * jnp.stack([jnp.cos(angle), jnp.zeros(()), jnp.sin(angle), jnp.zeros(())])
    first = mean + start_scale() @ jax.random.normal(start_key, (4,))
    transition, noise = motion()

    def step(x: Array, key: PRNGKeyArray) -> tuple[Array, tuple[Array, SensorData]]:
        move, look = jax.random.split(key)
        x = transition @ x + noise @ jax.random.normal(move, (4,))
        return x, (x, observe(look, x))

    return mean, *jax.lax.scan(step, first, jax.random.split(run_key, steps))[1]


def start_scale() -> Float[Array, "4 4"]:
    """Cholesky factor of the first prior."""
    return jnp.diag(jnp.array([0.5, 0.2, 0.5, 0.2]))


class Extended(eqx.Module):
    """The update of the extended Kalman filter, which takes every range for a good one."""

    def __call__(self, prior: GMM, data: SensorData) -> GMM:
        """The posterior of the linearized observation."""
        mean = prior.mean
        rows, values = linearized(mean, data)
        return condition_linear(prior, rows, values + rows @ mean, jnp.eye(2))[0]


def mixture_scores(
    update: Any, components: int, mean: Array, states: Array, data: SensorData, *, copies: bool = False
) -> tuple[Array, Array]:
    """At each step minus the log-density of the true state, in nats, and the number of distinct components.

    copies: start from equal components with weights proportional to 1, 2, ..., as published.
    """
    transition, noise = motion()
    filtering = MixtureFilter(update, transition, noise, components)
    start = filtering.start(mean, start_scale())
    if copies:
        weights = jnp.arange(1.0, components + 1)
        equal = lambda leaf: jnp.broadcast_to(leaf, (components, *leaf.shape))  # noqa: E731
        start = GMM(jnp.log(weights / weights.sum()), equal(mean), equal(start_scale()), "state")
    beliefs = filtering.run(start, data)
    return -jax.vmap(GMM.log_density)(beliefs, states), jax.vmap(distinct_components)(beliefs)


def distinct_components(gmm: GMM) -> Float[Array, ""]:
    """How many components there are in effect: 1 / sum_ij w_i w_j s_ij, where s_ij is how alike two components are.

    The likeness is exp of minus half the squared distance of the means, in the deviations of the whole mixture, and the
    squared differences of the log-diagonals of the scales.
    """
    scale = cholesky(gmm.covariance)
    places = jax.vmap(lambda x: solve_lower(scale, x))(gmm.held_means)
    sizes = jnp.log(jnp.diagonal(gmm.held_scales, axis1=-2, axis2=-1))
    both = 10.0 * jnp.concatenate([places, sizes], axis=1)
    apart = jnp.sum((both[:, None, :] - both[None, :, :]) ** 2, axis=-1)
    weights = jnp.exp(gmm.log_weights)
    return 1 / (weights @ jnp.exp(-0.5 * apart) @ weights)


class Motion(Distribution):
    """The next state."""

    name: str = eqx.field(static=True, default="motion")  # pyright: ignore[reportIncompatibleMethodOverride]

    def sample(self, key: PRNGKeyArray, x: Float[Array, " 4"]) -> Float[Array, " 4"]:
        """A draw."""
        transition, noise = motion()
        return transition @ x + noise @ jax.random.normal(key, (4,))

    def log_density(self, x: Float[Array, " 4"]) -> Float[Array, ""]:
        """Not needed: no weight looks at it."""
        raise NotImplementedError("the motion is drawn, never weighed")


def particle_scores(key: PRNGKeyArray, n: int, mean: Array, states: Array, data: SensorData) -> Array:
    """The same score for a bootstrap filter of n particles, whose density is a kernel estimate by Silverman's rule."""
    start_key, run_key = jax.random.split(key)
    start = spawn(n, mean[None, :] + jax.random.normal(start_key, (n, 4)) @ start_scale().T)

    def step(cloud: Particles, each: tuple[PRNGKeyArray, Array, SensorData]) -> tuple[Particles, Array]:
        key, state, seen = each
        move_key, choose_key = jax.random.split(key)
        weighted, _ = (Draw(Motion()) >> Reweight(SensorLikelihood(seen)))(move_key, cloud)
        return Resample()(choose_key, weighted)[0], -_kernel_density(weighted, state)

    return jax.lax.scan(step, start, (jax.random.split(run_key, states.shape[0]), states, data))[1]


def _kernel_density(cloud: Particles, x: Array) -> Array:
    """Log-density at a point of Gaussian kernels on weighted particles."""
    weights, values = cloud.normalized_weights, cloud.values
    mean = weights @ values
    away = values - mean[None, :]
    d = values.shape[1]
    effective = 1 / jnp.sum(weights**2)
    width = (4 / (d + 2)) ** (1 / (d + 4)) * effective ** (-1 / (d + 4))
    scale = width * cholesky((weights[:, None] * away).T @ away + 1e-6 * jnp.eye(d))
    z = solve_lower(scale, (x[None, :] - values).T)
    log_kernel = -0.5 * jnp.sum(z**2, axis=0) - jnp.sum(jnp.log(jnp.diag(scale))) - 0.5 * d * jnp.log(2 * jnp.pi)
    return jax.nn.logsumexp(jnp.log(weights) + log_kernel)
