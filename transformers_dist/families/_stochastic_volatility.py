"""Factors whose log-volatilities wander, seen through more observations than there are factors."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import real
from probinf._measure import Factor
from probinf.distributions import GMM
from probinf.distributions._small_matrices import cholesky, lower_root, solve_lower
from probinf.transformers_dist._checks import check_mixture
from probinf.transformers_dist._frame import Frame, frame_of
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._view import Look, View
from probinf.transformers_dist.families._mixtures import draw_log_weights, random_rotation

FACTORS, OBSERVATIONS = 3, 9
# How much of a log-volatility is left after a step, and its stationary deviation.
KEPT, DEVIATION = 0.95, 1.0
# Mean and deviation of the log of a squared standard normal.
LOG_SQUARE = (-1.2704, 2.2214)


class VolatilityData(NamedTuple):
    """One vector of returns [9]."""

    y: Float[Array, " M"]


def loadings() -> Float[np.ndarray, "M D"]:
    """What each return takes from each factor: fixed draws of N(0, 1)."""
    return np.random.default_rng(0).normal(size=(OBSERVATIONS, FACTORS))


def volatility_motion() -> tuple[Float[Array, "D D"], Float[Array, "D D"]]:
    """Transition and noise scale of the log-volatilities, an Ornstein-Uhlenbeck process seen at whole times."""
    noise = DEVIATION * np.sqrt(1 - KEPT**2)
    return KEPT * jnp.eye(FACTORS), noise * jnp.eye(FACTORS)


class VolatilityLikelihood(Factor):
    """The likelihood of one vector of returns: N(0, F diag(exp x) F' + I), where F are the loadings.

    Law: exact. By Woodbury's identity only matrices of the size of the factors are factorized.

    Source: arXiv 2502.02463, section 4.3.2, with fewer factors and returns.
    """

    data: VolatilityData
    name: str = eqx.field(static=True, default="likelihood")

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Log-density of the returns given the log-volatilities, in nats."""
        y, f = self.data.y, jnp.asarray(loadings(), x.dtype)
        # I + S' F'F S with S = diag(exp(x / 2)), whose eigenvalues are at least one.
        root = f * jnp.exp(0.5 * x)[None, :]
        lower = cholesky(jnp.eye(x.size, dtype=x.dtype) + root.T @ root)
        explained = solve_lower(lower, root.T @ y)
        log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(lower)))
        return -0.5 * (y @ y - explained @ explained + log_determinant + y.size * jnp.log(2 * jnp.pi))


def observe_returns(key: PRNGKeyArray, x: Float[Array, " D"]) -> VolatilityData:
    """A vector of returns given log-volatilities.

    Raises: ValueError for what is no vector of finite numbers, unless traced.
    """
    x = real("x", x, "factors", finite=True)
    factor_key, noise_key = jax.random.split(key)
    factors = jnp.exp(0.5 * x) * jax.random.normal(factor_key, x.shape)
    return VolatilityData(jnp.asarray(loadings(), x.dtype) @ factors + jax.random.normal(noise_key, (OBSERVATIONS,)))


def fitted_factors(data: VolatilityData) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
    """Least-squares factors, and their deviations given the true ones."""
    dtype = data.y.dtype
    return jnp.asarray(np.linalg.pinv(loadings()), dtype) @ data.y, jnp.asarray(spreads(), dtype)


def spreads() -> Float[np.ndarray, " D"]:
    """Deviations of the least-squares factors."""
    return np.sqrt(np.diag(np.linalg.inv(loadings().T @ loadings())))


def log_squares(data: VolatilityData) -> tuple[Float[Array, "D D"], Float[Array, " D"]]:
    """Linear observations `value = row x + N(0, 1)` that stand for the returns: logs of the squared fitted factors.

    Law: heuristic: a log-square is the log-volatility plus a skewed noise of known mean and deviation, here taken for
    Gaussian; a fitted factor is known up to its deviation, below which its square says little.

    Source: quasi-likelihood of Harvey, Ruiz and Shephard (1994).
    """
    fitted, spread = fitted_factors(data)
    mean, deviation = LOG_SQUARE
    return jnp.eye(fitted.size) / deviation, (jnp.log(fitted**2 + spread**2) - mean) / deviation


class VolatilityView(View):
    """One row for each factor: its log-square as a linear observation about the prior's mean, and its size."""

    components: int = eqx.field(static=True, default=4)
    dimension: int = eqx.field(static=True, default=FACTORS)
    row_size: int = eqx.field(static=True, default=FACTORS + 2)
    feature_size: int = eqx.field(static=True, default=2 * FACTORS)

    def frame(self, prior: GMM) -> Frame:
        """That of the prior's mean and covariance."""
        return frame_of(prior)

    def look(self, prior: GMM, data: VolatilityData, frame: Frame) -> Look:
        """For each factor the coefficients in the frame, the value, and the fitted factor in its prior deviations."""
        rows, values = log_squares(data)
        fitted, spread = fitted_factors(data)
        scaled = fitted / jnp.sqrt(jnp.exp(frame.shift) + spread**2)
        table = [rows @ frame.scale, (values - rows @ frame.shift)[:, None], jnp.log(scaled**2 + 0.01)[:, None]]
        features = jnp.concatenate([frame.shift, jnp.log(jnp.diagonal(frame.scale))])
        return Look(frame.inward_mixture(prior), features, jnp.concatenate(table, axis=1), jnp.ones(FACTORS, bool))

    def check(self, prior: GMM, data: VolatilityData) -> None:
        """Raises ValueError for a mixture or a vector of another size, and for returns that are not finite."""
        check_mixture(prior, FACTORS, self.components)
        if np.shape(data.y) != (OBSERVATIONS,) or not np.isfinite(np.asarray(data.y)).all():
            raise ValueError(f"an observation is a vector of {OBSERVATIONS} finite returns, got {data.y}")


class StochasticVolatility(Family):
    """Priors of the kind that a filter meets, and one vector of returns.

    Law: a center N(0, 1) and a deviation d log-uniform in [.2, 1.2]; 1 to 4 components with means .7 d about the center
    and deviations d exp(.3 N(0, 1)) / 1.4, turned at random. `points`
    are the true log-volatilities and draws of the prior, weighted by the likelihood, so that weighted means are
    unbiased.
    """

    view: VolatilityView = VolatilityView()
    points: int = eqx.field(static=True, default=64)

    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem."""
        prior_key, truth_key, data_key, draws_key = jax.random.split(key, 4)
        prior = _draw_state(prior_key, self.view.components)
        truth = prior.sample(truth_key, ())
        data = observe_returns(data_key, truth)
        others = jax.vmap(lambda k: prior.sample(k, ()))(jax.random.split(draws_key, self.points - 1))
        points = jnp.concatenate([truth[None], others])
        log_weights = jax.vmap(VolatilityLikelihood(data).log_density)(points)
        return Problem(prior, data, points, jax.nn.log_softmax(log_weights))


def _draw_state(key: PRNGKeyArray, components: int) -> GMM:
    keys = jax.random.split(key, 7)
    center = jax.random.normal(keys[0], (FACTORS,))
    deviation = 0.2 * 6.0 ** jax.random.uniform(keys[1])
    sizes = jnp.exp(0.3 * jax.random.normal(keys[2], (components, FACTORS)))
    turned = random_rotation(keys[3], components, FACTORS)
    scales = lower_root(deviation * turned * sizes[:, None, :] / 1.4)
    means = center[None, :] + 0.7 * deviation * jax.random.normal(keys[4], (components, FACTORS))
    return GMM(draw_log_weights(keys[5], keys[6], components, least=1), means, scales, "prior")
