"""Gaussian process regression: against NumPy, exact joint posteriors, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.transformers_dist.families import (
    GaussianProcessData,
    GaussianProcessLikelihood,
    GaussianProcessPrior,
    LogInverseGamma,
    exact_gaussian_process,
    gaussian_process,
)
from probinf.transformers_dist.families._gaussian_process import NOISE_VARIANCE, predict

INPUTS = np.asarray([[0.0, 0.3], [1.0, -1.0], [-0.5, 0.5]])
Y, QUERY = np.asarray([0.5, -1.0, 0.8]), np.asarray([0.2, 0.1])


def data() -> GaussianProcessData:
    return GaussianProcessData(jnp.asarray(INPUTS), jnp.asarray(Y), jnp.asarray(QUERY))


def prior() -> GaussianProcessPrior:
    return GaussianProcessPrior(LogInverseGamma(6.0, 8.0))


def covariance(lengthscale: float) -> np.ndarray:
    places = np.vstack([INPUTS, QUERY])
    squares = ((places[:, None] - places[None]) ** 2).sum(-1)
    return (1 - NOISE_VARIANCE) * np.exp(-0.5 * squares / lengthscale**2) + NOISE_VARIANCE * np.eye(4)


def test_prediction_is_that_of_the_joint_normal_law(x64):
    full = covariance(1.3)
    weights = np.linalg.solve(full[:3, :3], full[:3, 3])
    seen = predict(data(), jnp.log(1.3))
    assert seen.mean == pytest.approx(weights @ Y, abs=1e-10)
    assert seen.variance == pytest.approx(1 - weights @ full[:3, 3], abs=1e-10)
    assert seen.log_evidence == pytest.approx(stats.multivariate_normal(cov=full[:3, :3]).logpdf(Y), abs=1e-9)  # pyright: ignore[reportArgumentType]


def test_prior_times_likelihood_is_the_joint_density(x64):
    y, lengthscale = 0.4, 1.7
    point = jnp.asarray([y, np.log(lengthscale)])
    expected = stats.multivariate_normal(cov=covariance(lengthscale)).logpdf([*Y, y])  # pyright: ignore[reportArgumentType]
    expected += stats.invgamma(6.0, scale=8.0).logpdf(lengthscale) + np.log(lengthscale)  # pyright: ignore[reportAttributeAccessIssue]
    assert (prior() * GaussianProcessLikelihood(data())).log_density(point) == pytest.approx(expected, abs=1e-9)


def test_points_have_the_evidence_and_moments_of_a_plane_quadrature(x64):
    joint = prior() * GaussianProcessLikelihood(data())
    y, u = jnp.linspace(-6.0, 6.0, 161), jnp.linspace(-2.0, 3.5, 221)
    plane = jnp.stack(jnp.meshgrid(y, u, indexing="ij"), axis=-1).reshape(-1, 2)
    logs = jax.jit(jax.vmap(joint.log_density))(plane)
    density = np.exp(logs - jax.nn.logsumexp(logs))
    points, log_weights, log_evidence = jax.jit(exact_gaussian_process, static_argnames="values")(
        prior(), data(), values=64
    )
    weights = np.exp(log_weights)
    steps = (y[1] - y[0]) * (u[1] - u[0])
    assert log_evidence == pytest.approx(float(jax.nn.logsumexp(logs) + jnp.log(steps)), abs=1e-5)
    for power in (1, 2):
        np.testing.assert_allclose(weights @ points**power, density @ plane**power, atol=2e-3)


def test_look_turns_and_scales_with_the_inputs(x64):
    view = gaussian_process(2).view
    turn = np.asarray([[0.6, -0.8], [0.8, 0.6]])
    looks = []
    for unit in (1.0, 5.0):
        law = GaussianProcessPrior(LogInverseGamma(6.0, 8.0 * unit))
        moved = GaussianProcessData(
            jnp.asarray(unit * (INPUTS @ turn.T + 2.0)), jnp.asarray(Y), jnp.asarray(unit * (turn @ QUERY + 2.0))
        )
        looks.append(view.look(law, moved, view.frame(law)))
    np.testing.assert_allclose(looks[0].rows, looks[1].rows, atol=1e-9)
    plain = view.look(prior(), data(), view.frame(prior()))
    np.testing.assert_allclose(looks[0].rows[:, 2:], plain.rows[:, 2:], atol=1e-9)
    np.testing.assert_allclose(looks[0].rows[:, :2], plain.rows[:, :2] @ turn.T, atol=1e-9)


def test_row_of_the_regression_conditions_a_standard_normal_to_the_prediction(x64):
    view = gaussian_process(2).view
    sharp, value = view.look(prior(), data(), view.frame(prior())).rows[0, 3:5]
    seen = predict(data(), prior().lengthscale.mean)
    assert 1 / (1 + sharp**2) == pytest.approx(float(seen.variance), abs=1e-9)
    assert sharp * value / (1 + sharp**2) == pytest.approx(float(seen.mean), abs=1e-9)


def test_look_at_a_query_far_from_all_data_holds_in_single_precision():
    view, ask = gaussian_process(2).view, jnp.asarray([7.0, 0.0])
    far = GaussianProcessData(jnp.asarray(INPUTS, jnp.float32), jnp.asarray(Y, jnp.float32), ask)
    rows = view.look(prior(), far, view.frame(prior())).rows
    with jax.enable_x64(True):
        law = GaussianProcessPrior(LogInverseGamma(jnp.asarray(6.0), jnp.asarray(8.0)))
        exact = GaussianProcessData(jnp.asarray(INPUTS), jnp.asarray(Y), jnp.asarray(np.asarray(ask, float)))
        precise = np.asarray(view.look(law, exact, view.frame(law)).rows)
    np.testing.assert_allclose(rows[:, 3:5], precise[:, 3:5], rtol=1e-3)


def test_bad_input_is_named():
    view = gaussian_process(2).view
    with pytest.raises(ValueError, match="y \\[N\\] with N at least 1"):
        view.check(prior(), GaussianProcessData(jnp.zeros((0, 2)), jnp.zeros(0), jnp.zeros(2)))
    with pytest.raises(ValueError, match="must be finite"):
        view.check(prior(), data()._replace(query=jnp.asarray([jnp.nan, 0.0])))
    with pytest.raises(ValueError, match="shape of the lengthscale's prior"):
        view.check(GaussianProcessPrior(LogInverseGamma(-1.0, 1.0)), data())
    with pytest.raises(TypeError, match="GaussianProcessPrior"):
        view.check(LogInverseGamma(1.0, 1.0), data())  # pyright: ignore[reportArgumentType]
