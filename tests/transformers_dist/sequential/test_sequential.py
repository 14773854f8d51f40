"""Sequential inference: exact where it is conjugate, and what goes wrong all the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import GMM
from probinf.transformers_dist.families import LinearData, LinearLikelihood, exact_linear
from probinf.transformers_dist.sequential import (
    HamiltonianChain,
    one_mean_for_two_tasks,
    order_means_nothing,
    prototypes,
    refit_gap,
    stream_of,
)


def linear_tasks():
    rng = np.random.default_rng(0)
    return [
        LinearData(jnp.asarray(rng.normal(size=(3, 2))), jnp.asarray(rng.normal(size=3)), jnp.array([0.5, 1.0, 0.8]))
        for _ in range(3)
    ]


PRIOR = ([0.4, 0.6], [[0.0, 1.0], [1.0, -1.0]], [np.eye(2), 0.5 * np.eye(2)])


def test_an_exact_stream_is_the_batch_in_any_order(x64):
    prior, tasks = GMM.of(*PRIOR), linear_tasks()
    batch = exact_linear(prior, jax.tree.map(lambda *x: jnp.concatenate(x), *tasks))
    for order in (tasks, tasks[::-1]):
        last = stream_of(exact_linear, prior, order)[-1]
        for found, expected in zip(jax.tree.leaves(last), jax.tree.leaves(batch), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-10)


def test_one_mean_for_two_tasks_fits_neither(x64):
    means = jnp.array([-2.0, 2.0])
    even = one_mean_for_two_tasks(means, jnp.array([50.0, 50.0]))
    np.testing.assert_allclose([even.sequential, even.reversed], [even.batch] * 2, atol=1e-10)
    assert abs(float(even.batch)) < 1e-12 and float(even.regret.min()) > 1.9
    # The average weighted by the precisions of prior and data.
    uneven = one_mean_for_two_tasks(means, jnp.array([5000.0, 50.0]))
    expected = (5000 * -2.0 + 50 * 2.0) / (5050 + 0.01)
    np.testing.assert_allclose([uneven.sequential, uneven.reversed, uneven.batch], [expected] * 3, atol=1e-10)
    assert float(uneven.regret[0]) < 0.01 and float(uneven.regret[1]) > 7


def test_a_refit_to_one_gaussian_loses_what_the_exact_chain_keeps(x64):
    exact, refitted = refit_gap(10)
    assert float(exact[-1]) > float(exact[0]) and float(exact[-1] - refitted[-1]) > 0.1


def test_gaussian_sites_commute(x64):
    site = lambda m, s: GMM.of([1.0], [[m]], [[[s]]])  # noqa: E731
    prior = GMM.of([0.3, 0.7], [[-1.0], [1.0]], [[[0.5]], [[0.2]]])
    assert float(order_means_nothing(prior, [site(0.5, 1.0), site(-0.2, 0.4), site(2.0, 3.0)])) < 1e-10


def test_prototypes_are_the_conjugate_posterior_in_any_order(x64):
    rng = np.random.default_rng(0)
    features, labels = jnp.asarray(rng.normal(size=(9, 2))), jnp.asarray([0, 1, 2] * 3)
    start = prototypes(3, 2, noise=0.5, prior_variance=2.0)
    batch = start.update(features, labels)
    steps = start.update(features[5:], labels[5:]).update(features[:5], labels[:5])
    for found, expected in zip(jax.tree.leaves(steps), jax.tree.leaves(batch), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)
    # The mean of class 0 by the textbook: prior N(0, 2), three points of variance 0.5.
    np.testing.assert_allclose(
        batch.weighted[0] / batch.precision[0], features[::3].sum(0) / 0.5 / (0.5 + 3 / 0.5), atol=1e-10
    )
    log_probabilities = batch.log_probabilities(features[0])
    # By Bayes' rule, with the predictive density of each class.
    variance = 1 / batch.precision + 0.5
    away = np.asarray(features[0])[None, :] - np.asarray(batch.weighted / batch.precision[:, None])
    joint = (batch.counts / batch.counts.sum()) * np.exp(-0.5 * (away**2).sum(1) / variance) / (2 * np.pi * variance)
    np.testing.assert_allclose(np.exp(log_probabilities), joint / joint.sum(), atol=1e-10)
    with pytest.raises(ValueError, match="at least one class"):
        prototypes(0, 2)


def test_hamiltonian_chains_find_a_linear_posterior():
    prior, data = GMM.of(*PRIOR), linear_tasks()[0]
    prior, data = jax.tree.map(lambda x: x.astype(jnp.float32), (prior, data))
    exact = exact_linear(prior, data)
    draws = HamiltonianChain(LinearLikelihood, draws=400, step_size=0.2).samples(jax.random.key(0), prior, data)
    # 800 draws of 4 chains: five standard errors of 200 independent ones, a false-alarm rate below 1e-5.
    error = 5 * np.sqrt(np.diag(exact.covariance) / 200)
    assert (np.abs(draws.mean(0) - exact.mean) < error).all()
    with pytest.raises(ValueError, match="at least 1"):
        HamiltonianChain(LinearLikelihood, chains=0)
