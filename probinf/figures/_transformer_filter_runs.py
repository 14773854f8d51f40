"""Filters of a scene: the transformer's, a Kalman filter's, and the particle filter's, scored by the true state."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Distribution, Draw, Particles, Resample, Reweight, spawn
from probinf.distributions import GMM, split_components
from probinf.distributions._small_matrices import cholesky, solve_lower
from probinf.figures._transformer_filter_scenes import Scene
from probinf.transformers_dist import MixtureFilter


def simulate(scene: Scene, key: PRNGKeyArray, steps: int) -> tuple[Array, Array, Any]:
    """The mean of the first prior, the states [T, D] after it, and what is seen of them."""
    mean_key, start_key, run_key = jax.random.split(key, 3)
    mean = scene.first_mean(mean_key)
    first = mean + scene.first_scale() @ jax.random.normal(start_key, mean.shape)
    moves = Motion(*scene.motion())

    def step(x: Array, key: PRNGKeyArray) -> tuple[Array, tuple[Array, Any]]:
        move, look = jax.random.split(key)
        x = moves.sample(move, x)
        return x, (x, scene.observe(look, x))

    return mean, *jax.lax.scan(step, first, jax.random.split(run_key, steps))[1]


class Motion(Distribution):
    """The next state; the noise scale is diagonal."""

    transition: Float[Array, "D D"]
    noise: Float[Array, "D D"]
    name: str = eqx.field(static=True, default="motion")  # pyright: ignore[reportIncompatibleMethodOverride]

    def sample(self, key: PRNGKeyArray, x: Float[Array, " D"]) -> Float[Array, " D"]:
        """A draw."""
        return self.transition @ x + self.noise @ jax.random.normal(key, x.shape)

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Not needed: no weight looks at it."""
        raise NotImplementedError("the motion is drawn, never weighed")

    def log_move(self, past: Float[Array, "N D"], x: Float[Array, " D"]) -> Float[Array, " N"]:
        """Log-density of a state given each of its predecessors, in nats."""
        deviations = jnp.diagonal(self.noise)
        return jnp.sum(norm.logpdf(x[None, :], past @ self.transition.T, deviations[None, :]), axis=1)


def mixture_scores(scene: Scene, update: Any, start: GMM, mean: Array, states: Array, data: Any) -> tuple[Array, Array]:
    """At each step minus the log-density of the true state, in nats, and the number of distinct components.

    start: the first prior about zero, as a mixture with as many components as the filter keeps.
    """
    filtering = MixtureFilter(update, *scene.motion(), start.components)
    moved = GMM(start.log_weights, start.means + mean[None, :], start.scales, "state")
    beliefs = filtering.run(moved, data)
    return -jax.vmap(GMM.log_density)(beliefs, states), jax.vmap(distinct_components)(beliefs)


def distinct_start(scene: Scene, components: int) -> GMM:
    """The first prior as distinct components."""
    scale = scene.first_scale()
    one = GMM(jnp.zeros(1), jnp.zeros((1, scale.shape[0])), scale[None], "state")
    return split_components(one, components)


def copied_start(scene: Scene, components: int) -> GMM:
    """The first prior as equal components with weights proportional to 1, 2, ..., as published."""
    scale, weights = scene.first_scale(), jnp.arange(1.0, components + 1)
    means, scales = jnp.zeros((components, scale.shape[0])), jnp.broadcast_to(scale, (components, *scale.shape))
    return GMM(jnp.log(weights / weights.sum()), means, scales, "state")


def distinct_components(gmm: GMM) -> Float[Array, ""]:
    """How many components there are in effect: 1 / sum_ij w_i w_j s_ij, where s_ij is how alike two components are.

    The likeness is exp of minus half the squared distance of the means, in the deviations of the whole mixture, and the
    squared differences of the log-diagonals of the scales, all ten times over: two alike components that are a
    fifth of a deviation apart count as 1.8.
    """
    scale = cholesky(gmm.covariance)
    places = jax.vmap(lambda x: solve_lower(scale, x))(gmm.held_means)
    sizes = jnp.log(jnp.diagonal(gmm.held_scales, axis1=-2, axis2=-1))
    both = 10.0 * jnp.concatenate([places, sizes], axis=1)
    apart = jnp.sum((both[:, None, :] - both[None, :, :]) ** 2, axis=-1)
    weights = jnp.exp(gmm.log_weights)
    return 1 / (weights @ jnp.exp(-0.5 * apart) @ weights)


def particle_scores(scene: Scene, key: PRNGKeyArray, n: int, mean: Array, states: Array, data: Any) -> Array:
    """The same score for a bootstrap filter of n particles, whose density p(y | x) mean_i p(x | x_i) / p(y) is smooth.

    Law: consistent in n; the particles before a step stand for the past, what comes after them is the model's own.
    """
    moves = Motion(*scene.motion())
    start_key, run_key = jax.random.split(key)
    start = spawn(n, mean[None, :] + jax.random.normal(start_key, (n, mean.size)) @ scene.first_scale().T)

    def step(cloud: Particles, each: tuple[PRNGKeyArray, Array, Any]) -> tuple[Particles, Array]:
        key, state, seen = each
        move_key, choose_key = jax.random.split(key)
        likelihood = scene.likelihood(seen)
        predicted = jax.nn.logsumexp(moves.log_move(cloud.values, state)) - jnp.log(n)
        weighted, _ = (Draw(moves) >> Reweight(likelihood))(move_key, cloud)
        # Resampling keeps the evidence so far, so this is the last factor alone.
        log_evidence = weighted.log_z - cloud.log_z
        return Resample()(choose_key, weighted)[0], log_evidence - likelihood.log_density(state) - predicted

    return jax.lax.scan(step, start, (jax.random.split(run_key, states.shape[0]), states, data))[1]
