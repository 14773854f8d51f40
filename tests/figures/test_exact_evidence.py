"""The evidences by quadrature, against adaptive quadrature of densities written out in full."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, cauchy, multivariate_normal, norm

from probinf.figures._exact_evidence import (
    _log_joint_on_grid,
    brownian_motion_moments,
    eight_schools_log_evidence,
    stochastic_volatility_log_evidence,
)

EFFECTS = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
ERRORS = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])


def test_eight_schools():
    def integrand(log_stddev):
        covariance: Any = np.diag(ERRORS**2 + np.exp(2 * log_stddev)) + 100.0
        return np.exp(multivariate_normal(np.zeros(8), covariance).logpdf(EFFECTS) + 30) * norm.pdf(log_stddev, 5, 1)

    value, error = quad(integrand, -3, 13, epsabs=0, epsrel=1e-10, limit=200)
    assert error < 1e-8 * value
    assert eight_schools_log_evidence(EFFECTS, ERRORS) == pytest.approx(np.log(value) - 30, abs=1e-8)


def test_brownian_motion_with_a_missing_observation():
    observed = np.array([0.3, np.nan, -0.4, 0.1])
    times = np.array([1.0, 3.0, 4.0])

    def given(log_innovation, log_observation):
        walk = np.exp(2 * log_innovation) * np.minimum(times[:, None], times[None, :])
        covariance = walk + np.exp(2 * log_observation) * np.eye(3)
        return multivariate_normal.pdf(observed[~np.isnan(observed)], np.zeros(3), covariance)

    # A coarse product rule of its own, on a grid that shares no point with the other one.
    grid = np.linspace(-13.3, 11.9, 141)
    prior = norm.pdf(grid, 0, 2)
    table = np.array([[given(a, b) for b in grid] for a in grid])
    value = np.log((prior @ table @ prior) * (grid[1] - grid[0]) ** 2)
    found = brownian_motion_moments(observed)
    assert found.log_z == pytest.approx(value, abs=1e-6)
    noise = (prior @ table) * prior / (prior @ table @ prior)
    assert found.mean[1] == pytest.approx(noise @ np.exp(grid), rel=1e-5)


def test_finer_grids_change_nothing():
    observed = np.cumsum(np.random.default_rng(0).normal(size=12))
    coarse, fine = (brownian_motion_moments(observed, points=points) for points in (301, 901))
    assert coarse.log_z == pytest.approx(fine.log_z, abs=1e-8)
    np.testing.assert_allclose([*coarse.mean, *coarse.deviation], [*fine.mean, *fine.deviation], rtol=1e-6)


def test_stochastic_volatility_on_the_grid_is_the_integral_over_volatilities():
    """At one value of the parameters, three returns: Gauss-Hermite quadrature in three dimensions."""
    returns, (logit, mean, log_scale) = np.array([0.4, -2.0, 1.1]), (2.0, 0.3, -0.7)
    half, scale = 1 / (1 + np.exp(-logit)), np.exp(log_scale)
    persistence = 2 * half - 1
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    z = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), -1).reshape(-1, 3)
    w = np.prod(np.stack(np.meshgrid(weights, weights, weights, indexing="ij"), -1).reshape(-1, 3), axis=1)
    x = [z[:, 0] / np.sqrt(1 - persistence**2)]
    for k in (1, 2):
        x.append(persistence * x[-1] + z[:, k])
    x = mean + scale * np.stack(x, -1)
    likelihood = w @ np.prod(norm.pdf(returns, 0, np.exp(x / 2)), axis=1)
    prior = beta.logpdf(half, 20, 1.5) + np.log(half * (1 - half)) + cauchy.logpdf(mean, 0, 5)
    prior += np.log(2) + cauchy.logpdf(scale, 0, 2) + log_scale
    found = _log_joint_on_grid(jnp.array([[logit, mean, log_scale]]), jnp.asarray(returns))
    assert float(found[0]) == pytest.approx(np.log(likelihood) + prior, abs=2e-4)


def test_extreme_parameters_give_numbers():
    theta = jnp.array([[12.0, 3.0, 0.0], [4.0, 80.0, 4.0], [-9.0, -60.0, 2.0]])
    found = np.asarray(_log_joint_on_grid(theta, jnp.array([0.4, 0.0, -30.0])))
    assert np.all(np.isfinite(found))


def test_importance_sampling_over_parameters_agrees_with_itself_from_elsewhere():
    returns = np.asarray(np.random.default_rng(1).normal(size=6) * 2, np.float32)
    center, spread = np.array([2.0, 1.0, -0.5], np.float32), np.array([1.5, 2.0, 1.2], np.float32)
    runs = [
        stochastic_volatility_log_evidence(returns, jax.random.key(s), center + shift, spread, draws=8192)
        for s, shift in ((0, np.float32(0)), (1, np.float32(0.3)))
    ]
    assert all(run.effective > 300 for run in runs)
    # Five joint standard errors: a false alarm once in 1.7 million.
    assert abs(runs[0].log_z - runs[1].log_z) < 5 * np.hypot(runs[0].error, runs[1].error)
