"""The evidences by quadrature, against adaptive quadrature of densities written out in full."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from probinf.figures._exact_evidence import brownian_motion_log_evidence, eight_schools_log_evidence

EFFECTS = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
ERRORS = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])


def test_eight_schools():
    def integrand(log_stddev):
        covariance = np.diag(ERRORS**2 + np.exp(2 * log_stddev)) + 100.0
        return np.exp(multivariate_normal.logpdf(EFFECTS, np.zeros(8), covariance) + 30) * norm.pdf(log_stddev, 5, 1)

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
    assert brownian_motion_log_evidence(observed) == pytest.approx(value, abs=1e-6)


def test_finer_grids_change_nothing():
    observed = np.cumsum(np.random.default_rng(0).normal(size=12))
    coarse, fine = (brownian_motion_log_evidence(observed, points=points) for points in (301, 901))
    assert coarse == pytest.approx(fine, abs=1e-8)
