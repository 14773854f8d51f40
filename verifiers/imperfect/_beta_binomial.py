"""Coverage beyond the samples, with difficulties that have a Beta distribution."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._beta import BetaPopulation
from probinf.verifiers.imperfect._checks import as_attempts, as_float, check_part
from probinf.verifiers.imperfect._gamma import log_beta_moment
from probinf.verifiers.imperfect._intervals import Interval, _check_level
from probinf.verifiers.imperfect._newton import newton


class BetaBinomialFit(NamedTuple):
    """The population of largest likelihood, and the inverse of the observed information of its log-parameters."""

    population: BetaPopulation
    covariance: Float[Array, "2 2"]

    def coverage(self, attempts: Any) -> Float[Array, "*K"]:
        """The chance that one of K samples of a new task is correct."""
        k = as_attempts(attempts)
        return -jnp.expm1(_log_miss(jnp.log(jnp.stack([self.population.alpha, self.population.beta])), k))

    def interval(self, attempts: Any, *, level: float = 0.95) -> Interval:
        """Intervals of the coverage by the delta method, on the scale of the log of the log of the chance to miss.

        Law: `level` as the number of tasks grows, if difficulties have a Beta distribution; else about a number that
        is off.
        """
        _check_level(level)
        k = as_attempts(attempts, least=1)
        theta = jnp.log(jnp.stack([self.population.alpha, self.population.beta]))

        def of(k: Array) -> tuple[Array, Array]:
            value, slope = jax.value_and_grad(lambda t: jnp.log(-_log_miss(t, k)))(theta)
            reach = -NormalDist().inv_cdf((1 - level) / 2) * jnp.sqrt(slope @ self.covariance @ slope)
            return -jnp.expm1(-jnp.exp(value - reach)), -jnp.expm1(-jnp.exp(value + reach))

        lower, upper = jax.vmap(of)(k.ravel())
        return Interval(lower.reshape(k.shape), upper.reshape(k.shape))


def fit_beta_binomial(correct: Any, total: Any) -> BetaBinomialFit:
    """Fits difficulties p ~ Beta(alpha, beta) to `correct` of `total` samples of each task, by largest likelihood.

    The exponent of the coverage's power law is minus alpha. Pass accepted samples for coverage as the verifier sees
    it, correct ones for the truth.

    Raises: ValueError for counts that are none, and where all samples are correct, or none: nothing varies.

    Source: arXiv 2502.17578 (Schaeffer et al.), for the link to power laws.
    """
    x, n = jnp.broadcast_arrays(as_float(correct), as_float(total))
    if not isinstance(x, Tracer) and not isinstance(n, Tracer):
        values, totals = np.asarray(x), np.asarray(n)
        check_part("correct", values, "total", totals)
        if values.ndim != 1 or not values.size or not np.all(totals > 0):
            raise ValueError(f"counts are arrays [tasks] with samples of each task, got shape {values.shape}")
        if values.sum() in (0, totals.sum()):
            raise ValueError("all samples are alike, so any steep enough population fits: take harder or easier tasks")

    return _fit(x, n)


@jax.jit
def _fit(x: Float[Array, " N"], n: Float[Array, " N"]) -> BetaBinomialFit:
    def loss(theta: Array) -> Array:
        a, b = (jnp.broadcast_to(part, x.shape) for part in jnp.exp(theta))
        # (a)_x / (a + b)_x, and the same of the others from there on: each is a probability, so no digits are lost.
        log_likelihood = log_beta_moment(a, b, x) + log_beta_moment(b, a + x, n - x)
        # Next to no prior, so that a flat likelihood has a maximum.
        return -jnp.sum(log_likelihood) + 1e-4 * jnp.sum(theta**2)

    mean = jnp.clip(jnp.mean(x / n), 0.01, 0.99)
    theta, hessian = newton(loss, jnp.log(jnp.stack([mean, 1 - mean])))
    a, b = jnp.exp(theta)
    (p, q), (_, r) = hessian
    inverse = jnp.stack([jnp.stack([r, -q]), jnp.stack([-q, p])]) / (p * r - q * q)
    return BetaBinomialFit(BetaPopulation(a, b), inverse)


def _log_miss(theta: Float[Array, " 2"], k: Array) -> Array:
    """Log E[(1 - p)^k] = log (b)_k / (a + b)_k."""
    a, b = (jnp.broadcast_to(x, k.shape) for x in jnp.exp(theta))
    return log_beta_moment(b, a, k)
