"""Evidences that quadrature gives, against which estimates of log Z are judged.

In two models all but one or two scales integrate out in closed form, since everything else is Gaussian given them; in
the third the hidden series integrates out on a grid, and three parameters by importance sampling.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import logsumexp

# Standard deviations of the prior that the grid spans on each side.
_SPAN = 9.0


def eight_schools_log_evidence(
    effects: Float[np.ndarray, " schools"], errors: Float[np.ndarray, " schools"], *, points: int = 20_001
) -> float:
    """Log-evidence of the eight schools model of the Inference Gym.

    Given the log of the spread, `log_stddev` ~ N(5, 1), the effects are jointly Gaussian: covariance
    `diag(errors^2 + exp(2 log_stddev)) + 100`, from the average effect ~ N(0, 10). The trapezoidal rule does the rest.
    """
    z = np.linspace(-_SPAN, _SPAN, points)
    log_prior = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    variances = errors**2 + np.exp(2 * (5.0 + z))[:, None]
    # Sherman and Morrison's formula, and the determinant lemma, for a diagonal plus a constant.
    inverse = 1 / variances
    total, weighted = inverse.sum(axis=1), (effects * inverse).sum(axis=1)
    quadratic = (effects**2 * inverse).sum(axis=1) - weighted**2 / (0.01 + total)
    log_det = np.log(variances).sum(axis=1) + np.log1p(100 * total)
    log_likelihood = -0.5 * (quadratic + log_det + len(effects) * np.log(2 * np.pi))
    return float(logsumexp(log_prior + log_likelihood) + np.log(z[1] - z[0]))


class ScaleMoments(NamedTuple):
    """Log-evidence, and posterior mean and standard deviation of (innovation scale, observation scale)."""

    log_z: float
    mean: Float[np.ndarray, "2"]
    deviation: Float[np.ndarray, "2"]


def brownian_motion_moments(observed: Float[np.ndarray, " steps"], *, points: int = 301) -> ScaleMoments:
    """Evidence and scales of the Brownian motion with unknown scales of the Inference Gym; NaN is not observed.

    Given both scales, each log-normal (0, 2), the observations are Gaussian: covariance `innovation^2 (1 + min(s, t))
    + observation^2 [s = t]`, s and t counted from 0. The eigenvalues of the first term serve every pair of scales.
    """
    seen = ~np.isnan(observed)
    times = np.flatnonzero(seen) + 1.0
    eigenvalues, vectors = np.linalg.eigh(np.minimum(times[:, None], times[None, :]))
    squares = (vectors.T @ observed[seen]) ** 2
    z = np.linspace(-_SPAN, _SPAN, points)
    log_prior = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    variance = np.exp(4.0 * z)
    spectrum = variance[:, None, None] * eigenvalues + variance[None, :, None]
    log_likelihood = -0.5 * np.sum(squares / spectrum + np.log(2 * np.pi * spectrum), axis=-1)
    log_joint = log_prior[:, None] + log_prior[None, :] + log_likelihood
    total = logsumexp(log_joint)
    weights = np.exp(log_joint - total)
    margins, scale = (weights.sum(axis=1), weights.sum(axis=0)), np.exp(2.0 * z)
    mean = np.array([margin @ scale for margin in margins])
    square = np.array([margin @ scale**2 for margin in margins])
    return ScaleMoments(float(total + 2 * np.log(z[1] - z[0])), mean, np.sqrt(square - mean**2))


class SampledEvidence(NamedTuple):
    """A log-evidence by importance sampling, its standard error, and how many draws the weights are worth."""

    log_z: float
    error: float
    effective: float


def stochastic_volatility_log_evidence(
    returns: Float[np.ndarray, " days"],
    key: PRNGKeyArray,
    center: Float[np.ndarray, "3"],
    spread: Float[np.ndarray, "3"],
    *,
    draws: int = 4096,
) -> SampledEvidence:
    """Log-evidence of the stochastic volatility model of the Inference Gym, given by draws of its three parameters.

    The volatilities integrate out on a grid, with an error far below that of the draws. `center` and `spread` locate
    the posterior of (logit of (persistence + 1) / 2, mean, log scale); parameters are drawn from Student's t with four
    degrees of freedom around it. Z-hat is unbiased, but for the grid; the standard error is that of its logarithm.
    """
    location, scale = jnp.asarray(center), jnp.asarray(spread)
    noise = jax.random.t(key, 4.0, (draws, 3))
    log_q = jnp.sum(jax.scipy.stats.t.logpdf(noise, 4.0), axis=1) - jnp.sum(jnp.log(scale))
    log_w = np.asarray(
        _log_joint_on_grid(location[None] + scale[None] * noise, jnp.asarray(returns, location.dtype)) - log_q
    )
    weights = np.exp(log_w - log_w.max(), dtype=np.float64)
    relative = weights.std(ddof=1) / weights.mean() / np.sqrt(draws)
    log_z = float(log_w.max() + np.log(weights.mean()))
    return SampledEvidence(log_z, float(relative), float(weights.sum() ** 2 / (weights**2).sum()))


@jax.jit
def _log_joint_on_grid(theta: Float[Array, "draws 3"], returns: Float[Array, " days"]) -> Float[Array, " draws"]:
    """Log of prior times likelihood of each row of unconstrained parameters."""
    # Volatilities in units of their stationary deviation: only the persistence matters for how they move.
    grid = jnp.linspace(-6.0, 6.0, 301)

    def one(row: Float[Array, "3"]) -> Float[Array, ""]:
        log_half, log_other = jax.nn.log_sigmoid(row[0]), jax.nn.log_sigmoid(-row[0])
        mean, scale = row[1], jnp.exp(row[2])
        persistence = 2.0 * jnp.exp(log_half) - 1.0
        # sqrt(1 - persistence^2), also where the persistence rounds to one.
        deviation = 2.0 * jnp.exp(0.5 * (log_half + log_other))
        prior = 20.0 * log_half + 1.5 * log_other - jax.scipy.special.betaln(20.0, 1.5)
        prior = prior + jax.scipy.stats.cauchy.logpdf(mean, 0.0, 5.0)
        prior = prior + jnp.log(2.0) + jax.scipy.stats.cauchy.logpdf(scale, 0.0, 2.0) + jnp.log(scale)
        moves = jax.nn.softmax(-0.5 * ((grid[None, :] - persistence * grid[:, None]) / deviation) ** 2, axis=1)
        # Log-variances beyond these explain no return, and would overflow.
        x = jnp.clip(mean + scale / deviation * grid, -60.0, 80.0)
        start = jax.nn.softmax(-0.5 * grid**2)

        def step(carry: tuple, y: Float[Array, ""]) -> tuple:
            belief, log_p = carry
            seen = -0.5 * (x + y**2 * jnp.exp(-x) + jnp.log(2 * jnp.pi))
            top = jnp.max(seen)
            belief = belief * jnp.exp(seen - top)
            # No state of the grid explains the return: a log-likelihood of about -87, not NaN.
            total = jnp.maximum(jnp.sum(belief), jnp.finfo(belief.dtype).tiny)
            return ((belief / total) @ moves, log_p + top + jnp.log(total)), None

        (_, log_likelihood), _ = jax.lax.scan(step, (start, jnp.zeros(())), returns)
        return prior + log_likelihood

    return jax.lax.map(one, theta, batch_size=32)
