"""Random mixtures of Gaussians for tests, and what must not matter about them."""

from typing import Any

import numpy as np
from scipy.stats import multivariate_normal

from probinf.distributions import GMM


def mixture(seed: int, components: int, dimension: int) -> GMM:
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(components, dimension, dimension))
    scales = np.linalg.cholesky(roots @ roots.swapaxes(1, 2) + 0.3 * np.eye(dimension))
    return GMM(np.log(rng.dirichlet(np.ones(components))), 2 * rng.normal(size=(components, dimension)), scales)


def covariances(gmm: GMM) -> np.ndarray:
    scales = np.asarray(gmm.scales)
    return scales @ scales.swapaxes(1, 2)


def normal_density(x, mean: Any, covariance: Any) -> float:
    return multivariate_normal(mean, covariance).pdf(x)


def density(gmm: GMM, x) -> float:
    parts = zip(np.exp(gmm.log_weights), np.asarray(gmm.means), covariances(gmm), strict=True)
    return sum(w * normal_density(x, m, c) for w, m, c in parts)


def with_absent(gmm: GMM, junk: float) -> GMM:
    """The mixture with an absent component in front that holds the same number everywhere."""
    return GMM(
        np.concatenate([[-np.inf], gmm.log_weights]),
        np.concatenate([np.full((1, gmm.dimension), junk), gmm.means]),
        np.concatenate([np.full((1, gmm.dimension, gmm.dimension), junk), gmm.scales]),
    )


def permuted(gmm: GMM, order) -> GMM:
    log_weights, means, scales = (np.asarray(leaf)[order] for leaf in (gmm.log_weights, gmm.means, gmm.scales))
    return GMM(log_weights, means, scales)
