"""Evidences that quadrature gives to many digits, against which estimates of log Z are judged.

In both models all but one or two scales integrate out in closed form, since everything else is Gaussian given them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
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


def brownian_motion_log_evidence(observed: Float[np.ndarray, " steps"], *, points: int = 301) -> float:
    """Log-evidence of the Brownian motion with unknown scales of the Inference Gym; NaN is a missing observation.

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
    return float(logsumexp(log_prior[:, None] + log_prior[None, :] + log_likelihood) + 2 * np.log(z[1] - z[0]))
