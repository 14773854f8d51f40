"""What filters and kernels on state-space models say when something is wrong, and what they cost to start."""

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import probinf as pi
from probinf.distributions import FiniteStateModel, LinearGaussianModel, ParametersAndPath, StateSpaceModel, Trajectory
from probinf.kernels import MetropolisHastings, Redraw, gibbs, pimh, pmmh, random_walk
from probinf.samplers import (
    auxiliary_filter,
    backward_simulation,
    bootstrap_filter,
    guided_filter,
    particle_gibbs,
    smc_squared,
)
from probinf.validity import kernel_matrix

Y = jnp.array([0.3, 1.1, -0.4, 0.8])


class Walk(StateSpaceModel):
    """A random walk whose likelihood is NaN where its scale is negative."""

    scale: jax.Array = eqx.field(converter=jnp.asarray)

    def draw_initial(self, key, row):
        return jax.random.normal(key)

    def draw_next(self, key, before, row):
        return before + 0.5 * jax.random.normal(key)

    def log_initial(self, x, row):
        return jax.scipy.stats.norm.logpdf(x)

    def log_transition(self, before, x, row):
        return jax.scipy.stats.norm.logpdf(x, before, 0.5)

    def log_observation(self, x, row):
        return jax.scipy.stats.norm.logpdf(row.y, x) - jnp.log(self.scale)


class Half(Walk):
    """NaN for half of its states."""

    def log_observation(self, x, row):
        return jnp.where(x < 0, jnp.nan, super().log_observation(x, row))


class Filter(eqx.Module):
    def __call__(self, scale):
        m = Walk(scale)
        return bootstrap_filter(m.initial(), m.transition, m.observation, m.rows(Y))


PRIOR = pi.Named("prior", dist.Uniform(-1.0, 1.0))
POSITIVE = pi.Named("prior", dist.Uniform(0.5, 1.0))


def test_a_model_that_is_nan_for_half_of_its_prior_is_invalid():
    rows = Walk(1.0).rows(Y)
    with pytest.warns(UserWarning, match=r"INVALID: .*\(at row 0"):
        assert pi.sample(smc_squared(PRIOR, Walk, rows, random_walk(0.3), 4), jax.random.key(0), 32).status is INVALID
    # No lane starts in the part that is NaN, but moves are proposed there; the prior has no mass there.
    fine = pi.sample(smc_squared(POSITIVE, Walk, rows, random_walk(2.0), 4), jax.random.key(0), 32)
    assert fine.status is pi.Status.OK
    start = Trajectory(jnp.zeros((2, 4)))
    with pytest.warns(UserWarning, match=r"INVALID: .*\(in ParticleGibbs"):
        assert pi.sample_chains(particle_gibbs(Half(1.0), rows, 4), jax.random.key(0), start, 3).status is INVALID
    assert pi.sample_chains(particle_gibbs(Walk(1.0), rows, 4), jax.random.key(0), start, 3).status is pi.Status.OK
    for prior, expected in ((PRIOR, INVALID), (POSITIVE, pi.Status.OK)):
        kernel = pmmh(prior, Filter(), random_walk(2.0), 4)
        start = jax.vmap(kernel.init)(jax.random.split(jax.random.key(0), 4), jnp.full(4, 0.7))
        assert pi.sample_chains(kernel, jax.random.key(1), start, 20).status is expected


INVALID = pi.Status.INVALID


def test_the_row_that_a_potential_cannot_read_is_named():
    m = Walk(1.0)
    for y, message in ((Y.at[2].set(jnp.inf), "OK"), (jnp.full(4, 0.1), "OK")):
        law = (m.initial(), m.transition, m.observation, m.rows(y))
        assert pi.sample(bootstrap_filter(*law), jax.random.key(0), 8).status.name in (message, "DEGENERATE")
    for at in (0, 2):
        # NaN in a part of a row: nothing says what it would mean to this model.
        rows = Walk(1.0).rows({"y": Y.at[at].set(jnp.nan), "input": jnp.ones(4)})
        reader = Reader(1.0)
        sampler = bootstrap_filter(reader.initial(), reader.transition, reader.observation, rows)
        with pytest.warns(UserWarning, match=rf"a potential returned NaN.*\(at row {at}"):
            assert pi.sample(sampler, jax.random.key(0), 8).status is INVALID
        with pytest.raises(pi.RunError, match=rf"INVALID: .*\(at row {at}"):
            pi.sample(sampler, jax.random.key(0), 8, throw=True)


class Reader(Walk):
    def log_observation(self, x, row):
        return super().log_observation(x, row._replace(y=row.y["y"] * row.y["input"]))


def test_every_row_is_recorded():
    one = jnp.ones((1, 1))
    m = LinearGaussianModel(jnp.zeros(1), one, 0.8 * one, 0.6 * one, one, 0.5 * one)
    for rows in (m.rows(Y[:, None]), m.rows(Y[:1, None])):
        law = (m.initial(), m.transition, m.observation)
        for sampler in (
            bootstrap_filter(*law, rows),
            auxiliary_filter(*law, m.look_ahead, rows),
            guided_filter(m, m.optimal_proposal(), rows),
        ):
            found = pi.sample(sampler, jax.random.key(0), 16, record=masses)
            assert found.record.shape == rows.t.shape
            # The evidence of the first row has a closed form where the proposal is optimal: N(y; 0, 1 + 0.25).
            assert found.record[-1] == found.particles.log_z
        assert abs(found.record[0] - dist.Normal(0.0, np.sqrt(1.25)).log_prob(0.3)) < 1e-5
    lineage = pi.sample(bootstrap_filter(*law, m.rows(Y[:, None])), jax.random.key(0), 4, record=ancestors).record
    assert lineage.shape == (4, 4) and np.array_equal(lineage[0], np.arange(4))


def masses(cloud, info):
    return cloud.log_z


def ancestors(cloud, info):
    return info[0].ancestors


def test_a_chain_that_carries_something_else_is_refused_in_a_sentence():
    kernel = pmmh(POSITIVE, Filter(), random_walk(0.1), 4)
    with pytest.raises(TypeError, match=r"pmmh carries ModelState.*jax.vmap\(kernel.init\)\(keys, theta\)"):
        pi.sample_chains(kernel, jax.random.key(0), jnp.full(4, 0.7), 3)
    with pytest.raises(TypeError, match=r"pmmh carries ModelState.*got dict"):
        pi.sample_chains(kernel, jax.random.key(0), {"scale": jnp.full(4, 0.7)}, 3)
    with pytest.raises(TypeError, match="pimh carries ParticleState"):
        pi.sample_chains(pimh(Filter()(0.7), 4), jax.random.key(0), jnp.full(4, 0.7), 3)
    smoother = particle_gibbs(Walk(0.7), Walk(0.7).rows(Y), 4)
    with pytest.raises(ValueError, match="needs a Trajectory of 4 states, got"):
        pi.sample_chains(smoother, jax.random.key(0), jnp.zeros((2, 4)), 3)
    with pytest.raises(ValueError, match=r"states with leading axis 4, one for each row, got \[\(3,\)\]"):
        pi.sample_chains(smoother, jax.random.key(0), Trajectory(jnp.zeros((2, 3))), 3)


def test_particle_gibbs_on_5000_rows_starts_in_seconds_and_has_a_short_name():
    m = Walk(1.0)
    kernel = particle_gibbs(m, m.rows(jnp.zeros(5000)), 4, ancestor_sampling=True)
    began = time.monotonic()
    draws = pi.sample_chains(kernel, jax.random.key(0), Trajectory(jnp.zeros((2, 5000))), 2)
    # Unrolled, 800 rows took 250 s; a busy machine takes 5 s for this.
    assert time.monotonic() - began < 60
    assert draws.invariant.name == "joint of 5000 rows"


class Coin(eqx.Module):
    """A chain of two states that stays with a probability that depends on theta."""

    def __call__(self, theta):
        move = jnp.where(theta == 0, jnp.log(jnp.array([[0.8, 0.2], [0.3, 0.7]])), jnp.log(jnp.full((2, 2), 0.5)))
        return FiniteStateModel(jnp.log(jnp.array([0.4, 0.6])), move, jnp.log(jnp.array([[0.9, 0.1], [0.2, 0.8]])))


def path_gibbs(law: Any, n: int = 2, rows: Any = None):
    return particle_gibbs(law.model, law.rows if rows is None else rows, n)


class Step(eqx.Module):
    kernel: pi.Kernel

    def __call__(self, key, x):
        return self.kernel(key, x)[0]


def test_particle_gibbs_over_parameters_keeps_their_joint_posterior_exactly(x64):
    prior = pi.Density("prior", lambda theta: jnp.log(jnp.array([0.3, 0.7]))[theta])
    target = ParametersAndPath(prior, Coin(), Coin()(0).rows(jnp.array([0, 1], jnp.int32)))
    redraw = eqx.Partial(Redraw, values=jnp.arange(2, dtype=jnp.int32))
    kernel = gibbs(target, ("theta", redraw), ("path", path_gibbs))
    grid = jnp.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], jnp.int32)
    states = {"theta": grid[:, 0], "path": Trajectory(grid[:, 1:])}
    moves = np.asarray(kernel_matrix(Step(kernel), states))
    # Prior, transitions and emissions written out.
    log_p = np.log([0.3, 0.7])[grid[:, 0]]
    move = np.array([[[0.8, 0.2], [0.3, 0.7]], np.full((2, 2), 0.5)])
    log_p = log_p + np.log([0.4, 0.6])[grid[:, 1]] + np.log(move[grid[:, 0], grid[:, 1], grid[:, 2]])
    log_p = log_p + np.log([0.9, 0.2])[grid[:, 1]] + np.log([0.1, 0.8])[grid[:, 2]]
    p = np.exp(log_p) / np.exp(log_p).sum()
    np.testing.assert_allclose(p @ moves, p, rtol=0, atol=1e-12)
    assert np.all(np.linalg.matrix_power(moves, 2) > 0)
    # A block that keeps the law of other data is still refused.
    other = Coin()(0).rows(jnp.array([1, 1], jnp.int32))
    wrong = gibbs(target, ("path", eqx.Partial(path_gibbs, rows=other)))
    with pytest.raises(pi.MeaningError, match="build it for the factor"):
        wrong(jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], states))


def test_parameters_and_path_run_as_chains():
    target = ParametersAndPath(dist.Uniform(0.5, 1.0), Walk, Walk(0.7).rows(Y))
    walk = eqx.Partial(MetropolisHastings, proposal=random_walk(0.3))
    kernel = gibbs(target, ("theta", walk), ("path", eqx.Partial(path_gibbs, n=4)))
    start = {"theta": jnp.full(4, 0.7), "path": Trajectory(jnp.zeros((4, 4)))}
    draws = pi.sample_chains(kernel, jax.random.key(0), start, 50)
    assert draws.status is pi.Status.OK and np.all(np.std(draws.values["theta"], axis=1) > 0)


def test_backward_simulation_says_where_a_transition_density_is_nan():
    m = Broken(1.0)
    assert pi.sample(backward_simulation(m, m.rows(Y)), jax.random.key(0), 8).status is INVALID


class Broken(Walk):
    def log_transition(self, before, x, row):
        return jnp.nan * x


def test_a_prior_of_numpyro_has_no_density_outside_its_support():
    # numpyro's Uniform(0.5, 1).log_prob(2.) is log 2, so that chains would leave the interval.
    assert jax.jit(POSITIVE.log_density)(jnp.array(2.0)) == -np.inf
    assert abs(POSITIVE.log_density(jnp.array(0.7)) - np.log(2)) < 1e-6
    assert jax.jit(pi.Named("prior", dist.Poisson(2.0)).log_density)(jnp.array(-1)) == -np.inf
