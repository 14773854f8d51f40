"""State-space models: factors of trajectories, exact Kalman numbers, draws that a longer cloud keeps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import probinf as pi
from probinf.distributions import (
    FiniteStateModel,
    LinearGaussianModel,
    Pair,
    StateSpaceModel,
    StochasticVolatilityModel,
    Trajectory,
    normal_columns,
)
from probinf.samplers import bootstrap_filter

# Its stubs take covariances for integers.
GAUSSIAN: Any = stats.multivariate_normal

A = np.array([[0.9, 0.2], [-0.1, 0.7]])
SCALE = np.array([[0.5, 0.0], [0.3, 0.8]])
H = np.array([[1.0, 0.4]])


def gaussian():
    return LinearGaussianModel(np.array([0.3, -0.5]), SCALE, A, 0.6 * SCALE, H, np.array([[0.7]]))


def dense(model, rows):
    """Mean and covariance of all states and all data together, written out."""
    steps, q, r = rows.t.shape[0], np.asarray(model.transition_scale), np.asarray(model.observation_scale)
    mean, cov = [np.asarray(model.initial_mean)], np.zeros((2 * steps, 2 * steps))
    cov[:2, :2] = np.asarray(model.initial_scale) @ np.asarray(model.initial_scale).T
    for t in range(1, steps):
        mean.append(A @ mean[-1])
        now = slice(2 * t, 2 * t + 2)
        cov[now, : 2 * t] = A @ cov[2 * t - 2 : 2 * t, : 2 * t]
        cov[: 2 * t, now] = cov[now, : 2 * t].T
        cov[now, now] = A @ cov[2 * t - 2 : 2 * t, 2 * t - 2 : 2 * t] @ A.T + q @ q.T
    h = np.kron(np.eye(steps), H)
    return np.concatenate(mean), cov, h, h @ cov @ h.T + np.kron(np.eye(steps), r @ r.T)


def test_kalman_agrees_with_the_joint_normal_law(x64):
    model = gaussian()
    rows = model.rows(jnp.array([[0.4], [1.1], [-0.3]]))
    exact = model.kalman(rows)
    mean, cov, h, seen = dense(model, rows)
    y = np.asarray(rows.y).ravel()
    assert abs(exact.log_likelihood - GAUSSIAN(h @ mean, seen).logpdf(y)) < 1e-12
    gain = np.linalg.solve(seen, h @ cov).T
    # At the last time, filtering is conditioning on everything.
    np.testing.assert_allclose(exact.means[-1], (mean + gain @ (y - h @ mean))[-2:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(exact.covariances[-1], (cov - gain @ h @ cov)[-2:, -2:], rtol=0, atol=1e-12)


def test_factors_are_the_joint_density_of_a_trajectory(x64):
    model = gaussian()
    rows = model.rows(jnp.array([[0.4], [1.1], [-0.3]]))
    states = np.random.default_rng(0).normal(size=(4, 3, 2))
    mean, cov, h, _ = dense(model, rows)
    values = Trajectory(tuple(jnp.asarray(states[:, :, d]) for d in range(2)))
    found = model.joint(rows).log_density_lanes(values, 4)
    flat = states.reshape(4, -1)
    expected = GAUSSIAN(mean, cov).logpdf(flat)
    expected += np.sum(stats.norm.logpdf(np.asarray(rows.y).ravel(), flat @ h.T, 0.7), axis=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


def test_optimal_proposal_and_look_ahead_are_bayes_rule(x64):
    model = gaussian()
    row = jax.tree.map(lambda leaf: leaf[1], model.rows(jnp.array([[0.4], [1.1]])))
    before, now = (jnp.array(0.2), jnp.array(-0.7)), (jnp.array(0.9), jnp.array(0.1))
    joint = model.log_transition(before, now, row) + model.log_observation(now, row)
    proposed = model.optimal_proposal().log_transition(before, now, row)
    assert abs(joint - proposed - model.look_ahead(row).log_density(before)) < 1e-12
    first = jax.tree.map(lambda leaf: leaf[0], model.rows(jnp.array([[0.4], [1.1]])))
    joint = model.log_initial(now, None) + model.log_observation(now, first)
    marginal = stats.norm.logpdf(0.4, *moments_of_first(model))
    assert abs(joint - model.optimal_proposal().log_initial(now, first) - marginal) < 1e-12


def moments_of_first(model):
    cov = np.asarray(model.initial_scale) @ np.asarray(model.initial_scale).T
    return (H @ np.asarray(model.initial_mean)).item(), np.sqrt((H @ cov @ H.T).item() + 0.49)


def test_draws_have_the_moments_of_the_model():
    model = gaussian()
    row = jax.tree.map(lambda leaf: leaf[0], model.rows(jnp.zeros((1, 1))))
    n = 200_000
    at = (jnp.full(n, 0.5), jnp.full(n, -1.0))
    draws = np.stack(model.draw_next_lanes(jax.random.key(0), at, row, n), axis=1)
    q = 0.36 * SCALE @ SCALE.T
    # Six standard errors: a false alarm in 1e-8.
    np.testing.assert_array_less(np.abs(draws.mean(0) - A @ [0.5, -1.0]), 6 * np.sqrt(np.diag(q) / n))
    np.testing.assert_array_less(np.abs(np.cov(draws.T) - q), 6 * 1.5 * np.max(q) / np.sqrt(n))


def test_longer_columns_keep_the_draws_of_the_first_lanes():
    short, long = (np.stack(normal_columns(jax.random.key(3), n, 3)) for n in (5, 9))
    np.testing.assert_array_equal(short, long[:, :5])
    assert not np.allclose(long[0], long[1])


def test_stochastic_volatility_is_stationary_and_normalized(x64):
    model = StochasticVolatilityModel(-1.0, 0.9, 0.3)
    row = jax.tree.map(lambda leaf: leaf[0], model.rows(jnp.array([0.7])))
    grid = jnp.linspace(-8.0, 6.0, 1401)
    step = float(grid[1] - grid[0])
    before = jnp.exp(jax.vmap(lambda x: model.log_initial(x, None))(grid))
    move = jnp.exp(jax.vmap(jax.vmap(model.log_transition, (None, 0, None)), (0, None, None))(grid, grid, row))
    assert abs(jnp.sum(before) * step - 1.0) < 1e-12
    np.testing.assert_allclose(before @ move * step, before, rtol=0, atol=1e-9)
    y = jnp.linspace(-6.0, 6.0, 1201)
    seen = jax.vmap(lambda v: model.log_observation(jnp.array(-1.0), row._replace(y=v)))(y)
    assert abs(jnp.sum(jnp.exp(seen)) * 0.01 - 1.0) < 1e-9


class Drift(StateSpaceModel):
    """A user's model: draws one lane at a time, and gives no transition density."""

    speed: jax.Array = eqx.field(converter=jnp.asarray)

    def draw_initial(self, key, row):
        return jax.random.normal(key)

    def draw_next(self, key, before, row):
        return before + self.speed + 0.1 * jax.random.normal(key)

    def log_observation(self, x, row):
        return -0.5 * (row.y - x) ** 2


def test_a_users_model_needs_draws_and_one_density_only():
    model = Drift(0.5)
    rows = model.rows(jnp.array([0.0, 0.5, 1.0]))
    sampler = bootstrap_filter(model.initial(), model.transition, model.observation, rows)
    result = pi.sample(sampler, jax.random.key(0), n=64)
    assert result.status is pi.Status.OK and result.particles.values.shape == (64,)
    longer = model.initial().sample_lanes(jax.random.key(0), (), 8)
    np.testing.assert_array_equal(model.initial().sample_lanes(jax.random.key(0), (), 4), longer[:4])
    with pytest.raises(pi.MeaningError, match="define log_transition"):
        model.log_transition(0.0, 0.0, rows)


def test_meaning_is_the_joint_and_reads_trajectories_only(x64):
    model = FiniteStateModel(np.log([0.3, 0.7]), np.log([[0.8, 0.2], [0.4, 0.6]]), np.log([[0.9, 0.1], [0.25, 0.75]]))
    rows = model.rows(jnp.array([0, 1]))
    meaning = bootstrap_filter(model.initial(), model.transition, model.observation, rows).meaning(pi.Measure())
    assert meaning.same_law(model.joint(rows))
    assert meaning.name == "initial * observation 0 * transition 1 * observation 1"
    expected = np.log(0.3 * 0.9 * 0.2 * 0.75)
    assert abs(meaning.log_density(Trajectory(jnp.array([0, 1]))) - expected) < 1e-12
    with pytest.raises(pi.MeaningError, match="needs two states"):
        meaning.log_density(jnp.array(1))
    # The pair of time 1 is no state of time 0.
    assert np.isnan(meaning.log_density(Pair(jnp.int32(1), jnp.array(0), jnp.array(1))))
    with pytest.raises(pi.MeaningError, match="particle_gibbs"):
        model.initial().prefix(jnp.array(1))


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must be \[2, 2\]"):
        LinearGaussianModel(np.zeros(2), np.eye(2), np.eye(3), np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="emission must be"):
        FiniteStateModel([0.0, 0.0], np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="transition must be"):
        FiniteStateModel([0.0, 0.0], np.zeros((3, 3)), np.zeros((2, 2)))
