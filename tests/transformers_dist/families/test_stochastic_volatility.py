"""The likelihood of returns is the Gaussian that the simulator draws from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import GMM
from probinf.transformers_dist.families import (
    StochasticVolatility,
    VolatilityData,
    VolatilityLikelihood,
    observe_returns,
)
from probinf.transformers_dist.families._stochastic_volatility import loadings

X = jnp.array([-1.0, 0.5, 2.0])


def covariance():
    """Of the returns, as the paper has it."""
    return loadings() @ np.diag(np.exp(np.asarray(X, float))) @ loadings().T + np.eye(9)


def test_the_likelihood_is_the_gaussian_of_the_paper(x64):
    y = np.random.default_rng(1).normal(size=9)
    ours = VolatilityLikelihood(VolatilityData(jnp.asarray(y))).log_density(jnp.asarray(np.asarray(X, float)))
    log_determinant = np.linalg.slogdet(2 * np.pi * covariance())[1]
    expected = -0.5 * (y @ np.linalg.solve(covariance(), y) + log_determinant)
    assert float(ours) == pytest.approx(expected, abs=1e-10)


def test_simulated_returns_have_that_covariance():
    keys = jax.random.split(jax.random.key(0), 20000)
    y = np.asarray(jax.jit(jax.vmap(lambda k: observe_returns(k, X).y))(keys), float)
    # The chi-square of each draw has mean 9; five standard errors, a false-alarm rate below 1e-6. A covariance that is
    # off by a tenth anywhere it matters moves one of both.
    squares = np.einsum("ni,ij,nj->n", y, np.linalg.inv(covariance()), y)
    assert abs(squares.mean() - 9) < 5 * np.sqrt(18 / len(y))
    products = y[:, 0] * y[:, 1]
    assert abs(products.mean() - covariance()[0, 1]) < 5 * products.std() / np.sqrt(len(y))


def test_problems_and_their_looks_are_finite():
    family = StochasticVolatility(points=4)

    def one(key):
        problem = family.draw(key)
        return family.view.look(problem.prior, problem.data, family.view.frame(problem.prior)), problem.log_weights

    look, log_weights = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 100))
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in (look.rows, look.features, log_weights))


def test_bad_returns_are_refused():
    view, prior = StochasticVolatility().view, GMM([0.0], [[0.0] * 3], [np.eye(3)])
    for y in (np.zeros(8), np.full(9, np.nan)):
        with pytest.raises(ValueError, match="9 finite returns"):
            view.check(prior, VolatilityData(jnp.asarray(y)))
