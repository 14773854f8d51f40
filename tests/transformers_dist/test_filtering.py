"""With an exact update the filter is Kalman's; with a network it keeps its components apart and bounded."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import GMM, LinearGaussianModel, Row, condition_linear
from probinf.transformers_dist import MixtureFilter, NetworkConfig
from probinf.transformers_dist._transformer import blank
from probinf.transformers_dist.families import LinearData, LinearView

TRANSITION = np.array([[1.0, 0.6], [0.0, 0.7]])
NOISE = np.array([[0.3, 0.0], [0.1, 0.4]])
OBSERVE = np.array([[1.0, 0.5]])
SIGMA = np.array([[0.5]])


class Exact(eqx.Module):
    """The exact update by one linear observation."""

    def __call__(self, prior: GMM, y):
        return condition_linear(prior, jnp.asarray(OBSERVE.copy()), y, jnp.asarray(SIGMA.copy()))[0]


def moments(states: GMM):
    """Means and covariances of mixtures with a leading axis."""
    return jax.vmap(lambda gmm: (gmm.mean, gmm.covariance))(states)


@pytest.mark.parametrize("components", [1, 3])
def test_with_an_exact_update_it_is_the_kalman_filter(components, x64):
    y = np.random.default_rng(0).normal(size=(8, 1))
    model = LinearGaussianModel(jnp.zeros(2), jnp.eye(2), TRANSITION, NOISE, OBSERVE, SIGMA)
    expected = model.kalman(Row(jnp.arange(8), jnp.asarray(y)))
    filtering = MixtureFilter(Exact(), jnp.asarray(TRANSITION), jnp.asarray(NOISE), components)
    # The model's first observation is of the first state, before any motion.
    state = Exact()(filtering.start(jnp.zeros(2), jnp.eye(2)), jnp.asarray(y[0]))
    states = eqx.filter_jit(filtering.run)(state, jnp.asarray(y[1:]))
    means, covariances = moments(states)
    # Several parts of one Gaussian are a mixture that is nearly Gaussian.
    tolerance = 1e-10 if components == 1 else 0.03
    np.testing.assert_allclose(means, expected.means[1:], atol=tolerance)
    np.testing.assert_allclose(covariances, expected.covariances[1:], atol=tolerance)


def test_equal_components_stay_equal_and_the_start_of_ours_are_not(x64):
    view = LinearView(2, 3)
    dt = blank(view, NetworkConfig(width=8, layers=1, heads=2, feed_forward=8, embedding=8))
    rng = np.random.default_rng(1)
    dt = eqx.tree_at(
        lambda dt: dt.weights, dt, jax.tree.map(lambda x: jnp.asarray(0.2 * rng.normal(size=x.shape)), dt.weights)
    )
    filtering = MixtureFilter(dt, jnp.asarray(TRANSITION), jnp.asarray(NOISE), 3)
    stream = LinearData(jnp.ones((5, 1, 2)), jnp.asarray(rng.normal(size=(5, 1))), jnp.full((5, 1), 0.5))
    run = eqx.filter_jit(filtering.run)
    copies = GMM.of(np.full(3, 1 / 3), np.zeros((3, 2)), np.broadcast_to(np.eye(2), (3, 2, 2)), "state")
    last = jax.tree.map(lambda x: x[-1], run(copies, stream))
    assert float(jnp.abs(last.means - last.means[:1]).max()) < 1e-12
    split = filtering.start(jnp.zeros(2), jnp.eye(2))
    np.testing.assert_allclose(split.mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(split.covariance, np.eye(2), atol=1e-12)
    last = jax.tree.map(lambda x: x[-1], run(split, stream))
    assert last.components == 3 and bool(jnp.all(jnp.isfinite(last.means)))
    assert float(jnp.abs(last.means - last.means[:1]).max()) > 0.05


def test_matrices_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a filter needs a transition"):
        MixtureFilter(Exact(), jnp.eye(2), jnp.eye(2), 0)
