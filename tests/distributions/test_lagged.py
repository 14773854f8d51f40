"""Observations that depend on the state before: filters against sums over all paths and a joint Gaussian."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Resample, sample
from probinf.distributions import FiniteDynamics, Lag, Lagged, LinearGaussianModel, Trajectory
from probinf.resampling import Multinomial
from probinf.samplers import backward_simulation, bootstrap_filter
from probinf.validity import FiniteMeasure, check_proper_weighting

START, MOVE = np.array([0.6, 0.4]), np.array([[0.7, 0.3], [0.2, 0.8]])
# The chance of what was seen at each of three times, by the state before and the state now.
SEEN = np.array([[[0.9, 0.2], [0.5, 0.3]], [[0.1, 0.7], [0.6, 0.4]], [[0.8, 0.25], [0.35, 0.15]]])


def log_seen(lag, row):
    return jnp.log(jnp.asarray(SEEN))[row.y, lag.before, lag.now]


def finite():
    return Lagged(FiniteDynamics(np.log(START), np.log(MOVE)), log_seen, "chain")


def path_masses():
    """Each path of three states with its mass, written out."""
    masses = {}
    for a, b, c in itertools.product((0, 1), repeat=3):
        moves = START[a] * MOVE[a, b] * MOVE[b, c]
        masses[a, b, c] = moves * SEEN[0, a, a] * SEEN[1, a, b] * SEEN[2, b, c]
    return masses


def test_filter_has_the_law_of_all_paths():
    model = finite()
    rows = model.rows(jnp.arange(3))
    smc = bootstrap_filter(model.initial(), model.transition, model.observation, rows, resample=Resample(Multinomial()))
    last = np.zeros((2, 2))
    for (_, b, c), mass in path_masses().items():
        last[b, c] += mass
    before, now = np.indices((2, 2)).reshape(2, -1).astype(np.int32)
    target = FiniteMeasure(Lag(before, now), np.log(last.reshape(-1)))
    check = check_proper_weighting(smc, 2, target=target)
    assert check.passed and check.error < 1e-6
    # The bug that one would fear: the observation reads the state now twice.
    wrong = Lagged(model.dynamics, lambda lag, row: log_seen(Lag(lag.now, lag.now), row))
    smc = bootstrap_filter(wrong.initial(), wrong.transition, wrong.observation, rows, resample=Resample(Multinomial()))
    assert check_proper_weighting(smc, 2, target=target).error > 1e-2


def test_joint_density_is_that_of_the_path_and_zero_for_copies_that_differ(x64):
    model = finite()
    joint = model.joint(model.rows(jnp.arange(3)))
    for path, mass in path_masses().items():
        now = jnp.array(path, jnp.int32)
        before = jnp.concatenate([now[:1], now[:-1]])
        assert float(joint.log_density(Trajectory(Lag(before, now)))) == pytest.approx(np.log(mass), abs=1e-12)
        assert float(joint.log_density(Trajectory(Lag(before.at[2].set(1 - before[2]), now)))) == -np.inf


def test_increments_of_a_linear_gaussian_state():
    """y_t = x_t - x_{t-1} + noise, and y_0 = noise: log Z is that of a joint normal law."""
    transition, process, noise, steps = 0.9, 0.5, 0.3, 4
    one = np.eye(1)
    dynamics = LinearGaussianModel(np.zeros(1), one, transition * one, process * one, one, one)
    y = np.array([0.1, -0.4, 0.7, 0.2])

    def log_seen(lag, row):
        (now,), (before,) = jax.tree.leaves(lag.now), jax.tree.leaves(lag.before)
        gap = row.y - jnp.squeeze(now - before)
        return -0.5 * (gap / noise) ** 2 - jnp.log(noise * jnp.sqrt(2 * jnp.pi))

    model = Lagged(dynamics, log_seen)
    rows = model.rows(jnp.asarray(y))
    smc = bootstrap_filter(model.initial(), model.transition, model.observation, rows)
    # The states are M e for standard normal e, the data D M e + noise.
    states = np.array(
        [
            [transition ** (t - s) * (1.0 if s == 0 else process) if s <= t else 0.0 for s in range(steps)]
            for t in range(steps)
        ]
    )
    difference = np.eye(steps) - np.eye(steps, k=-1)
    difference[0] = 0.0
    loading = difference @ states
    covariance = loading @ loading.T + noise**2 * np.eye(steps)
    exact = -0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    found = np.array([sample(smc, jax.random.key(seed), n=4000).particles.log_z for seed in range(16)])
    ratio = np.exp(found - exact)
    # Mean one within six standard errors: a false alarm in fewer than one of 1e7 runs of other seeds.
    assert abs(ratio.mean() - 1) < 6 * ratio.std(ddof=1) / 4
    assert ratio.std(ddof=1) < 0.05


def test_smoothed_copies_are_the_states_before():
    model = finite()
    rows = model.rows(jnp.arange(3))
    paths = sample(backward_simulation(model, rows, draws=50), jax.random.key(0), n=64).particles.values.states
    np.testing.assert_array_equal(paths.before[:, 1:], paths.now[:, :-1])
    np.testing.assert_array_equal(paths.before[:, 0], paths.now[:, 0])
