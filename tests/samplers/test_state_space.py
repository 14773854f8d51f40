"""Filters and smoothers beyond what the exact cases cover: Gaussian numbers, compilation, memory, refusals.

The exact laws are cases of `probinf.cases`, each beside its planted bugs; `tests/conformance` runs them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import probinf as pi
from probinf.distributions import LinearGaussianModel, Row, Trajectory
from probinf.kernels import conditional_smc, pmmh, random_walk
from probinf.resampling import Systematic
from probinf.samplers import (
    auxiliary_filter,
    backward_simulation,
    bootstrap_filter,
    guided_filter,
    particle_gibbs,
    smc_squared,
)

T = 6
Y = jnp.array([[0.3], [1.1], [-0.4], [0.8], [2.0], [1.2]])


def model(persistence=0.8):
    one = jnp.ones((1, 1))
    return LinearGaussianModel(jnp.zeros(1), one, persistence * one, 0.6 * one, one, 0.5 * one)


def filters(m):
    rows, law = m.rows(Y), (m.initial(), m.transition, m.observation)
    return {
        "bootstrap": bootstrap_filter(*law, rows),
        "guided": guided_filter(m, m.optimal_proposal(), rows),
        "auxiliary": auxiliary_filter(*law, m.look_ahead, rows),
        "adapted": guided_filter(m, m.optimal_proposal(), rows, look_ahead=m.look_ahead),
    }


def test_every_filter_finds_the_kalman_evidence_and_the_better_informed_do_so_with_less_noise():
    exact = model().kalman(model().rows(Y)).log_likelihood
    spread = {}
    for name, sampler in filters(model()).items():
        run = lambda key, sampler=sampler: sampler(key, pi.spawn(64))[0].log_z  # noqa: E731
        ratio = np.exp(np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 512))) - float(exact))
        # Z-hat is unbiased; six standard errors are a false alarm in 1e-6, with room for the skewness of 512 runs.
        assert abs(ratio.mean() - 1.0) < 6 * ratio.std() / np.sqrt(512), name
        spread[name] = ratio.std()
    assert spread["adapted"] < spread["guided"] < spread["bootstrap"]
    assert spread["auxiliary"] < spread["bootstrap"]


def test_meanings_agree():
    joint = model().joint(model().rows(Y))
    for sampler in filters(model()).values():
        meaning = sampler.meaning(pi.Measure())
        assert meaning.same_law(joint) and meaning.guarantee is pi.Guarantee.PROPER
    smoother = backward_simulation(model(), model().rows(Y), 8)
    assert smoother.meaning(pi.Measure()).same_law(joint)
    assert particle_gibbs(model(), model().rows(Y), 4).invariant.same_law(joint)


def smoothed_mean(m, rows):
    """The posterior mean of all states, from the joint precision matrix written out (zero prior means)."""
    a, q, r = 0.8, 0.36, 0.25
    precision = np.diag(np.full(T, 1 / r)) + np.diag([1.0] + [1 / q] * (T - 1)) + np.diag([a * a / q] * (T - 1) + [0.0])
    precision -= a / q * (np.eye(T, k=1) + np.eye(T, k=-1))
    return np.linalg.solve(precision, np.asarray(rows.y)[:, 0] / r)


def test_backward_simulation_and_particle_gibbs_find_the_smoothed_mean():
    m, rows = model(), model().rows(Y)
    exact = smoothed_mean(m, rows)
    smoother = backward_simulation(m, rows)
    assert pi.sample(smoother, jax.random.key(1), n=64).status is pi.Status.OK
    smooth = lambda key: smoother(key, pi.spawn(256))[0].values.states[0].mean(axis=0)  # noqa: E731
    means = np.asarray(jax.jit(jax.vmap(smooth))(jax.random.split(jax.random.key(1), 64)))
    # Averages of one run are biased by order 1/256, far below the slack.
    assert_near(means, exact, slack=0.01)
    kernel = particle_gibbs(m, rows, 8, ancestor_sampling=True)
    starts = Trajectory((jnp.zeros((64, T)),))
    (draws,) = pi.sample_chains(kernel, jax.random.key(2), starts, 60).values.states
    # Twenty sweeps with ancestor sampling forget where the chain started.
    assert_near(np.asarray(draws)[:, 20:].mean(axis=1), exact, slack=0.01)


def assert_near(means, exact, slack):
    """64 independent means of T numbers: six standard errors are a false alarm in 1e-7 a number, by Student's t."""
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    assert np.all(np.abs(means.mean(axis=0) - exact) < 6 * error + slack)
    # And the test can see something: a tenth of a posterior deviation.
    assert np.all(6 * error + slack < 0.1)


class Persistence(eqx.Module):
    """The filter of the model at a persistence."""

    rows: Row

    def __call__(self, theta):
        m = model(theta)
        return bootstrap_filter(m.initial(), m.transition, m.observation, self.rows)


def test_pmmh_on_many_chains_compiles_once():
    traces = []

    @eqx.filter_jit
    def chains(kernel, keys):
        traces.append(None)

        def chain(key):
            start_key, run_key = jax.random.split(key)
            start = kernel.init(start_key, jnp.array(0.5))
            step = lambda x, k: (kernel(k, x)[0],) * 2  # noqa: E731
            return jax.lax.scan(step, start, jax.random.split(run_key, 20))[1].theta

        return jax.vmap(chain)(keys)

    draws = []
    for seed, data in ((0, Y), (1, 2 * Y)):
        kernel = pmmh(pi.Named("prior", dist.Normal(0.0, 1.0)), Persistence(model().rows(data)), random_walk(0.3), 16)
        draws.append(chains(kernel, jax.random.split(jax.random.key(seed), 8)))
    assert len(traces) == 1 and draws[0].shape == (8, 20)
    # Every chain moved, and none went astray.
    assert np.all(np.std(draws[0], axis=1) > 0) and np.all(np.isfinite(draws[1]))


class At(eqx.Module):
    def __call__(self, theta):
        return model(theta)


def test_smc_squared_weighs_parameters_by_the_kalman_evidence():
    rows = model().rows(Y)
    prior = pi.Named("prior", dist.Uniform(0.0, 1.2))
    sampler = smc_squared(prior, At(), rows, random_walk(0.3), 32, every=3)
    assert sampler.meaning(pi.Measure()).name == "prior * p(rows 0..5 | theta)"
    grid = np.linspace(0.0, 1.2, 241)
    log_evidence = np.asarray(jax.vmap(lambda a: model(a).kalman(rows).log_likelihood)(jnp.asarray(grid)))
    exact = np.exp(log_evidence).mean()
    run = lambda key: sampler(key, pi.spawn(32))[0].log_z  # noqa: E731
    ratio = np.exp(np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 96)))) / exact
    # Six standard errors, 4e-8 by Student's t, leave room for skewness; the grid's own error is below 1e-3.
    assert abs(ratio.mean() - 1.0) < 6 * ratio.std() / np.sqrt(96) + 1e-3


def test_nothing_kept_of_a_filter_grows_with_lanes_times_steps():
    n = 256
    for name in ("bootstrap", "adapted"):
        result = pi.sample(filters(model())[name], jax.random.key(0), n=n)
        assert all(leaf.size <= n for leaf in jax.tree.leaves((result.particles, result.info)))


def test_a_dead_filter_stays_dead():
    m = eqx.tree_at(lambda m: m.observation_scale, model(), jnp.full((1, 1), 1e-30))
    rows = m.rows(1e25 + Y)
    for sampler in (*filters(m).values(), backward_simulation(m, rows)):
        cloud, _ = sampler(jax.random.key(0), pi.spawn(8))
        assert not np.any(np.isnan(cloud.log_weights)) and not np.isnan(cloud.log_z)


def test_misuse_is_refused():
    m, rows = model(), model().rows(Y)
    with pytest.raises(ValueError, match="n >= 2"):
        particle_gibbs(m, rows, 1)
    with pytest.raises(ValueError, match="needs rows, got none"):
        particle_gibbs(m, m.rows(jnp.zeros((0, 1))), 4)
    with pytest.raises(ValueError, match="independent slots"):
        particle_gibbs(m, rows, 4, scheme=Systematic(), ancestor_sampling=True)
    with pytest.raises(ValueError, match="draws >= 1"):
        backward_simulation(m, rows, 0)
    with pytest.raises(ValueError, match="every >= 1"):
        smc_squared(pi.Named("prior", dist.Uniform(0.0, 1.0)), At(), rows, random_walk(0.1), 4, every=0)
    with pytest.raises(ValueError, match="guided_filter needs rows"):
        guided_filter(m, m.optimal_proposal(), m.rows(jnp.zeros((0, 1))))
    with pytest.raises(pi.MeaningError, match="particle_gibbs"):
        conditional_smc(filters(m)["bootstrap"], 2)
