"""Tasks whose posteriors are no mixtures, and how far approximations are from their quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from probinf import diagnose, spawn
from probinf._measure import Distribution, Factor
from probinf.distributions import GMM
from probinf.distributions._small_matrices import cholesky
from probinf.transformers_dist import Family, Problem, corrected
from probinf.transformers_dist.baselines import variational
from probinf.transformers_dist.families import (
    GaussianProcessLikelihood,
    LogInverseGamma,
    Quantum,
    QuantumLikelihood,
    SquaredLikelihood,
    VarianceData,
    VarianceLikelihood,
    exact_gaussian_process,
    exact_inverse_gamma,
    exact_quantum,
    exact_squared,
    gaussian_process,
    inverse_gamma,
    squared,
)
from probinf.transformers_dist.families._grid import even_points

_BATCH = 20


@dataclass(frozen=True)
class Task:
    """A family, its exact posterior as `(points, log_weights, log_evidence)`, and the transformer that is measured."""

    title: str
    family: Callable[[], Family]
    exact: Callable[[Any, Any], tuple[Array, Array, Array]]
    likelihood: Callable[[Any], Factor]
    transformer: str


def _exact_inverse_gamma(prior: LogInverseGamma, data: VarianceData) -> tuple[Array, Array, Array]:
    posterior = exact_inverse_gamma(prior, data)
    low, high = posterior.mean - 10 * posterior.deviation, posterior.mean + 20 * posterior.deviation
    points, log_weights = even_points(jax.random.key(0), posterior.log_density, low, high, fine=512)
    # By Bayes' rule, at any point.
    joint = prior.log_density(points[0]) + VarianceLikelihood(data).log_density(points[0])
    return points, log_weights, joint - posterior.log_density(points[0])


TASKS = {
    **{
        f"inverse_gamma_{meta}": Task(
            f"inverse gamma, {meta}",
            lambda meta=meta: inverse_gamma(meta),
            _exact_inverse_gamma,
            VarianceLikelihood,
            "inverse_gamma",
        )
        for meta in ("narrow", "wide", "misspecified")
    },
    "squared_1d": Task("two-sided", squared, exact_squared, SquaredLikelihood, "squared_1d"),
    "quantum": Task("quantum parameter", Quantum, exact_quantum, QuantumLikelihood, "quantum"),
    "gaussian_process": Task(
        "GP and lengthscale", gaussian_process, exact_gaussian_process, GaussianProcessLikelihood, "gaussian_process"
    ),
}


class Measured(NamedTuple):
    """One entry for each problem.

    kl: KL(exact || approximation), nats. entropy: of the exact posterior, so that the expected -log q is their sum.
    corrected_kl: KL for one draw of the reweighted cloud. ess over draws and Pareto shape of that cloud. level: where
    the true first coordinate lies in the approximation's distribution of it, which is uniform for the exact posterior.
    """

    kl: Any
    entropy: Any
    corrected_kl: Any
    ess: Any
    pareto_k: Any
    level: Any


class Gaussian(eqx.Module):
    """The Gaussian with the mean and covariance of the exact posterior."""

    task: Task = eqx.field(static=True)

    def __call__(self, prior: Any, data: Any) -> GMM:
        """The approximation of one problem."""
        points, log_weights, _ = self.task.exact(prior, data)
        weights = jnp.exp(log_weights)
        mean = weights @ points
        away = points - mean[None, :]
        return GMM(jnp.zeros(1), mean[None, :], cholesky((weights[:, None] * away).T @ away)[None], "gaussian")


class Variational(eqx.Module):
    """The full-rank Gaussian that numpyro finds in 100 steps, started at the mean of the prior's draws."""

    task: Task = eqx.field(static=True)

    def __call__(self, prior: Any, data: Any) -> GMM:
        """The approximation of one problem."""
        key = jax.random.key(0)
        start = jnp.mean(jax.vmap(lambda k: prior.sample(k, ()))(jax.random.split(key, 64)), axis=0)
        return variational(key, _log_joint, start.size, self.task, prior, data, start=start)


def _log_joint(x: Array, task: Task, prior: Any, data: Any) -> Array:
    return prior.log_density(x) + task.likelihood(data).log_density(x)


def measure(
    task: Task, approximate: Callable[[Any, Any], Distribution], problems: Problem, key: PRNGKeyArray, draws: int
) -> Measured:
    """Compare an approximation with the exact posterior of every problem, before and after its correction."""
    keys = jax.random.split(key, problems.log_weights.shape[0])
    found = _measure(approximate, task, problems, keys, draws)
    return Measured(*(np.asarray(part, float) for part in found))


def divergence(task: Task, approximate: Callable[[Any, Any], Distribution], problems: Problem) -> np.ndarray:
    """KL(exact || approximation) of every problem, in nats."""
    return np.asarray(_divergence(approximate, task, problems), float)


@eqx.filter_jit
def _divergence(approximate: Any, task: Task, problems: Problem) -> Array:
    def one(problem: Problem) -> Array:
        points, log_weights, log_p, _ = _exact(task, problem)
        log_q = jax.vmap(approximate(problem.prior, problem.data).log_density)(points)
        return _mean(log_weights, log_p - log_q)

    return jax.lax.map(one, problems, batch_size=_BATCH)


@eqx.filter_jit
def _measure(approximate: Any, task: Task, problems: Problem, keys: Any, draws: int) -> Measured:
    def one(both: tuple[Problem, PRNGKeyArray]) -> Measured:
        problem, key = both
        points, log_weights, log_p, log_z = _exact(task, problem)
        q = approximate(problem.prior, problem.data)
        log_q = jax.vmap(q.log_density)(points)
        cloud_key, truth_key = jax.random.split(key)
        sampler = corrected(q, problem.prior, task.likelihood(problem.data))
        clouds = jax.vmap(lambda k: sampler(k, spawn(draws))[0])(jax.random.split(cloud_key, _CLOUDS))
        log_totals = jax.vmap(lambda cloud: cloud.log_z)(clouds) + jnp.log(draws)
        found = diagnose(jax.tree.map(lambda leaf: leaf[0], clouds))
        # Given data, the unknown that they came from follows the posterior.
        truth = points[jax.random.categorical(truth_key, log_weights)]
        after = _after_correction(log_p, log_q, log_z, log_totals, draws)
        return Measured(
            _mean(log_weights, log_p - log_q),
            -_mean(log_weights, log_p),
            _mean(log_weights, log_p - after),
            found.ess,
            found.pareto_k,
            _level(q, truth),
        )

    return jax.lax.map(one, (problems, keys), batch_size=_BATCH)


def _exact(task: Task, problem: Problem) -> tuple[Array, Array, Array, Array]:
    """Points, their log-weights, the exact log-density there, and the log-evidence."""
    points, log_weights, log_z = task.exact(problem.prior, problem.data)
    joint = problem.prior * task.likelihood(problem.data)
    return points, log_weights, jax.vmap(joint.log_density)(points) - log_z, log_z


def _after_correction(log_p: Array, log_q: Array, log_z: Array, log_totals: Array, draws: int) -> Array:
    """Log-density of one draw of a reweighted cloud: N q(x) E[w(x) / (w(x) + the N - 1 other weights)]."""
    log_weight = log_p + log_z - log_q
    # The clouds have N draws; the sum of N - 1 is smaller by a share of 1 / N.
    others = log_totals[None, :] + jnp.log1p(-1 / draws)
    chance = log_weight[:, None] - jnp.logaddexp(log_weight[:, None], others)
    return log_q + jnp.log(draws) + jax.nn.logsumexp(chance, axis=1) - jnp.log(log_totals.size)


def _level(q: Distribution, truth: Array) -> Array:
    assert isinstance(q, GMM)
    deviation = jnp.sqrt(jnp.sum(q.held_scales[:, 0] ** 2, axis=-1))
    return jnp.exp(q.log_weights) @ jax.scipy.stats.norm.cdf(truth[0], q.held_means[:, 0], deviation)


def _mean(log_weights: Array, values: Array) -> Array:
    # Points of weight zero may be where a density vanishes.
    return jnp.sum(jnp.where(log_weights > -80, jnp.exp(log_weights) * values, 0.0))


# Independent clouds over which the law of one draw is averaged.
_CLOUDS = 4
