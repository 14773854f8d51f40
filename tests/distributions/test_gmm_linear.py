"""Push-forward, conditioning, marginals and products of mixtures against their densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import GMM, condition_linear, condition_on_values, marginal, multiply, push_affine
from tests.distributions.mixtures import covariances, density, mixture, normal_density

POINTS = np.random.default_rng(9).normal(size=(3, 3))


def test_a_push_forward_has_the_transformed_components(x64):
    gmm, rng = mixture(0, 4, 3), np.random.default_rng(1)
    matrix, shift, noise = rng.normal(size=(2, 3)), rng.normal(size=2), rng.normal(size=(2, 2))
    pushed = jax.jit(push_affine)(gmm, jnp.asarray(matrix), jnp.asarray(shift), jnp.asarray(noise))
    np.testing.assert_allclose(pushed.means, np.asarray(gmm.means) @ matrix.T + shift, atol=1e-13)
    expected = matrix @ covariances(gmm) @ matrix.T + noise @ noise.T
    np.testing.assert_allclose(covariances(pushed), expected, atol=1e-12)
    assert (np.diagonal(np.asarray(pushed.scales), axis1=1, axis2=2) > 0).all()


def test_conditioning_gives_bayes_rule_at_every_point(x64):
    """prior(x) p(y | x) = evidence posterior(x), with the evidence of scipy's normal."""
    gmm, rng = mixture(2, 4, 3), np.random.default_rng(3)
    matrix, y, noise = rng.normal(size=(2, 3)), rng.normal(size=2), np.array([[0.7, 0.0], [-0.4, 0.2]])
    posterior, log_evidence = jax.jit(condition_linear)(gmm, jnp.asarray(matrix), jnp.asarray(y), jnp.asarray(noise))
    parts = zip(np.exp(gmm.log_weights), np.asarray(gmm.means), covariances(gmm), strict=True)
    evidence = sum(w * normal_density(y, matrix @ m, matrix @ c @ matrix.T + noise @ noise.T) for w, m, c in parts)
    np.testing.assert_allclose(np.exp(log_evidence), evidence, rtol=1e-11)
    for x in POINTS:
        joint = density(gmm, x) * normal_density(y, matrix @ x, noise @ noise.T)
        np.testing.assert_allclose(np.exp(log_evidence) * density(posterior, x), joint, rtol=1e-10)


def test_the_evidence_survives_single_precision():
    """Seven sharp data, nearly as the prior foretells: in the evidence squares of 1e7 leave a number near 20.

    As their difference it is wrong by 1.5; as a sum of squares by 3e-4, some rounding errors of the largest datum.
    """
    rng = np.random.default_rng(0)
    root, rows = np.array([[1.5, 0.0], [-0.7, 0.8]]), rng.normal(size=(7, 2))
    y = rows @ root @ np.array([1.1, -0.6]) + 1e-3 * rng.normal(size=7)
    exact = np.log(normal_density(y, np.zeros(7), rows @ root @ root.T @ rows.T + 1e-6 * np.eye(7)))
    prior = GMM([0.0], [[0.0, 0.0]], root[None])
    single = [jnp.asarray(a, jnp.float32) for a in (rows, y, 1e-3 * np.eye(7))]
    np.testing.assert_allclose(jax.jit(condition_linear)(prior, *single)[1], exact, rtol=2e-4)


@pytest.mark.parametrize("noise", [1e-3, 1e-4])
def test_a_sharp_datum_leaves_the_other_directions_as_they_were(noise):
    """In single precision the posterior precision, about 1 / noise**2 along one direction, forgets all others."""
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(np.eye(4) + 0.3).astype(np.float32)
    row, y = rng.normal(size=(1, 4)).astype(np.float32), np.array([1.3], np.float32)
    covariance, wide = root.astype(float) @ root.astype(float).T, row.astype(float)
    gain = covariance @ wide.T / (wide @ covariance @ wide.T + np.float64(np.float32(noise)) ** 2)
    prior = GMM([0.0], np.zeros((1, 4)), root[None])
    posterior = condition_linear(prior, jnp.asarray(row), jnp.asarray(y), jnp.array([[noise]]))[0]
    np.testing.assert_allclose(posterior.mean, gain[:, 0] * y, atol=1e-5)
    np.testing.assert_allclose(posterior.covariance, covariance - gain @ wide @ covariance, atol=1e-5)


def test_marginals_take_rows_in_the_order_named(x64):
    gmm = mixture(4, 4, 3)
    part = jax.jit(marginal, static_argnums=1)(gmm, (2, 0))
    np.testing.assert_array_equal(part.means, gmm.means[:, np.array([2, 0])])
    np.testing.assert_allclose(covariances(part), covariances(gmm)[:, [2, 0]][:, :, [2, 0]], atol=1e-12)


@pytest.mark.parametrize("indices", [(1,), (2, 0)])
def test_values_and_the_rest_give_the_joint_density(x64, indices):
    gmm, others = mixture(5, 4, 3), [i for i in range(3) if i not in indices]
    condition = jax.jit(condition_on_values, static_argnums=1)
    for x in POINTS:
        rest, log_density = condition(gmm, indices, jnp.asarray(x[list(indices)]))
        np.testing.assert_allclose(np.exp(log_density) * density(rest, x[others]), density(gmm, x), rtol=1e-10)


def test_a_product_is_the_product_of_densities(x64):
    a, b = mixture(6, 4, 3), mixture(7, 2, 3)
    product, log_mass = jax.jit(multiply)(a, b)
    assert product.components == 8
    for x in POINTS:
        np.testing.assert_allclose(np.exp(log_mass) * density(product, x), density(a, x) * density(b, x), rtol=1e-10)
    np.testing.assert_allclose(np.sum(np.exp(product.log_weights)), 1.0, rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: marginal(g, ()), "at least one"),
        (lambda g: marginal(g, (0, 0)), "different"),
        (lambda g: marginal(g, (3,)), "from 0 to 2"),
        (lambda g: marginal(g, (-1,)), "from 0 to 2"),
        (lambda g: condition_on_values(g, (0, 1, 2), jnp.zeros(3)), "no coordinate is left"),
        (lambda g: condition_on_values(g, (0, 1), jnp.zeros(1)), "as many values"),
        (lambda g: condition_on_values(g, (0,), jnp.array([jnp.nan])), "finite"),
        (lambda g: multiply(g, mixture(0, 1, 2)), "same dimension"),
        (lambda g: push_affine(g, jnp.ones((4, 3))), "no joint density"),
        (lambda g: condition_linear(g, jnp.ones((1, 3)), jnp.zeros(1), -jnp.eye(1)), "Cholesky factor of the noise"),
        (lambda g: condition_linear(g, jnp.ones((2, 3)), jnp.zeros(2), jnp.ones((2, 2))), "lower triangular"),
        (lambda g: condition_linear(g, jnp.ones((1, 3)), jnp.array([jnp.nan]), jnp.eye(1)), "must be finite"),
    ],
)
def test_errors_name_the_fix(x64, call, message):
    with pytest.raises(ValueError, match=message):
        call(mixture(8, 2, 3))
