"""How far approximate posteriors are from exact ones, and what the correction makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.stats import t as student

from probinf import diagnose, spawn
from probinf._measure import Distribution, Factor
from probinf.transformers_dist import Family, Problem, corrected

# Problems that one compiled call works on together.
_BATCH = 100


class Corrections(NamedTuple):
    """One entry for each problem: effective sample size over draws, Pareto shape, and error of the log-evidence."""

    ess: Any
    pareto_k: Any
    log_z_error: Any


@eqx.filter_jit
def draw_problems(family: Family, key: PRNGKeyArray, problems: int) -> Problem:
    """Held-out problems of a family, with a leading axis."""
    return jax.vmap(family.draw)(jax.random.split(key, problems))


def divergences(
    approximate: Callable[[Any, Any], Distribution],
    exact: Callable[[Any, Any], Distribution],
    problems: Problem,
    key: PRNGKeyArray,
    draws: int,
) -> Float[np.ndarray, " P"]:
    """KL(exact || approximate) of each problem, in nats.

    Law: unbiased: the mean over draws of the exact posterior of `r - 1 - log r`, where r is the ratio of approximate to
    exact density; no draw contributes less than zero.
    """
    keys = jax.random.split(key, problems.log_weights.shape[0])
    return np.asarray(_divergences(approximate, exact, problems, keys, draws), float)


@eqx.filter_jit
def _divergences(approximate: Any, exact: Any, problems: Problem, keys: Any, draws: int) -> Array:
    def one(problem: Problem, key: PRNGKeyArray) -> Array:
        p, q = exact(problem.prior, problem.data), approximate(problem.prior, problem.data)
        x = jax.vmap(lambda k: p.sample(k, ()))(jax.random.split(key, draws))
        log_ratio = jax.vmap(q.log_density)(x) - jax.vmap(p.log_density)(x)
        return jnp.mean(jnp.expm1(log_ratio) - log_ratio)

    return _map(one, problems, keys)


def corrections(
    approximate: Callable[[Any, Any], Distribution],
    likelihood: Callable[[Any], Factor],
    log_evidence: Callable[[Any, Any], Array],
    problems: Problem,
    key: PRNGKeyArray,
    draws: int,
) -> Corrections:
    """What reweighting `draws` draws of the approximation makes of each problem."""
    keys = jax.random.split(key, problems.log_weights.shape[0])
    found = _corrections(approximate, likelihood, log_evidence, problems, keys, draws)
    return Corrections(*(np.asarray(part, float) for part in found))


@eqx.filter_jit
def _corrections(
    approximate: Any, likelihood: Any, log_evidence: Any, problems: Problem, keys: Any, draws: int
) -> Corrections:
    def one(problem: Problem, key: PRNGKeyArray) -> Corrections:
        q = approximate(problem.prior, problem.data)
        particles, _ = corrected(q, problem.prior, likelihood(problem.data))(key, spawn(draws))
        found = diagnose(particles)
        return Corrections(found.ess, found.pareto_k, particles.log_z - log_evidence(problem.prior, problem.data))

    return _map(one, problems, keys)


def mean_interval(values: Float[np.ndarray, " P"]) -> tuple[float, tuple[float, float]]:
    """Mean and its 95 % t interval."""
    arm = float(student.ppf(0.975, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return float(values.mean()), (float(values.mean()) - arm, float(values.mean()) + arm)


def _map(one: Callable[..., Any], problems: Problem, keys: Any) -> Any:
    return jax.lax.map(lambda both: one(*both), (problems, keys), batch_size=min(_BATCH, keys.shape[0]))
