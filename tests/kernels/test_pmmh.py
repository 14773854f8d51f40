"""Particle marginal Metropolis-Hastings, exactly: its extended law and the posterior of the parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.distributions import Categorical, HiddenMarkovModel
from probinf.kernels import FiniteProposal, ParticleMarginalMetropolisHastings, pmmh, random_walk
from probinf.resampling import Multinomial
from probinf.samplers import bootstrap_filter
from probinf.validity import detailed_balance_error, invariance_error

LOG_PRIOR = np.log([0.2, 0.5, 0.3])
LOG_PROPOSAL = np.log([[0.2, 0.5, 0.3], [0.3, 0.1, 0.6], [0.5, 0.25, 0.25]])


class Model(eqx.Module):
    """A hidden Markov model whose initial law and emissions depend on one of three parameters."""

    hmm: HiddenMarkovModel
    observations: jax.Array

    def at(self, theta):
        tilt = jnp.array([-1.0, 0.0, 2.0])[theta]
        where = lambda m: (m.log_initial, m.log_emission)  # noqa: E731
        changed = (self.hmm.log_initial.at[0].add(tilt), self.hmm.log_emission.at[0, 0].add(-tilt))
        return eqx.tree_at(where, self.hmm, changed)

    def __call__(self, theta):
        hmm = self.at(theta)
        resample = pi.Resample(Multinomial())
        return bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, hmm.rows(self.observations), resample=resample)


class MonteCarloWithinMetropolis(ParticleMarginalMetropolisHastings):
    """The planted bug: the estimate of the current parameters is refreshed at every step."""

    def __call__(self, key, x):
        refresh_key, key = jax.random.split(key)
        return super().__call__(key, self.init(refresh_key, x.theta))


class Init(eqx.Module):
    kernel: ParticleMarginalMetropolisHastings
    prior: Categorical

    def __call__(self, key):
        theta_key, run_key = jax.random.split(key)
        return self.kernel.init(run_key, self.prior.sample(theta_key, ()))


@pytest.fixture
def model(chains):
    return Model(chains.model(2), chains.observations(2))


def test_keeps_its_extended_law_and_the_posterior_of_the_parameters(chains, model):
    prior = Categorical(LOG_PRIOR)
    kernel = pmmh(prior, model, FiniteProposal(LOG_PROPOSAL), 2)
    states, log_run = chains.law(Init(kernel, prior))
    log_target = log_run + states.log_z
    matrix = chains.matrix(kernel, states)
    assert invariance_error(matrix, log_target) < 1e-12
    assert detailed_balance_error(matrix, log_target) < 1e-12
    marginal = np.bincount(states.theta, weights=np.exp(log_target))
    evidence = [float(model.at(jnp.int32(i)).log_likelihood(model.observations)) for i in range(3)]
    np.testing.assert_allclose(np.log(marginal), LOG_PRIOR + np.array(evidence), rtol=0, atol=1e-12)


def test_refreshing_the_current_estimate_is_seen(chains, model):
    prior = Categorical(LOG_PRIOR)
    right, broken = (
        kind(prior, model, FiniteProposal(LOG_PROPOSAL), 1)
        for kind in (ParticleMarginalMetropolisHastings, MonteCarloWithinMetropolis)
    )
    states, log_run = chains.law(Init(right, prior))
    log_target = log_run + states.log_z
    assert invariance_error(chains.matrix(right, states), log_target) < 1e-12
    assert invariance_error(chains.matrix(broken, states), log_target) > 1e-3


def test_parameters_without_prior_mass_are_never_accepted(chains, model):
    prior = Categorical(np.array([0.0, -np.inf, 0.0]))
    kernel = pmmh(prior, model, FiniteProposal(np.zeros((3, 3))), 1)
    states, log_run = chains.law(Init(kernel, prior))
    assert set(states.theta.tolist()) == {0, 2}
    # The matrix would raise if state 1 were reached.
    assert invariance_error(chains.matrix(kernel, states), log_run + states.log_z) < 1e-12


def test_new_data_do_not_compile_anew(chains, model):
    traces = []

    @eqx.filter_jit
    def run(kernel, key, x):
        traces.append(None)
        return kernel(key, x)[0]

    state = None
    for observations in (jnp.array([0, 1]), jnp.array([1, 1])):
        changed = Model(model.hmm, observations)
        kernel = pmmh(Categorical(LOG_PRIOR), changed, FiniteProposal(LOG_PROPOSAL), 8)
        state = kernel.init(jax.random.key(0), jnp.int32(0)) if state is None else state
        compiled, plain = run(kernel, jax.random.key(5), state), kernel(jax.random.key(5), state)[0]
        assert int(compiled.theta) == int(plain.theta)
        assert abs(float(compiled.log_z - plain.log_z)) < 1e-12
    assert len(traces) == 1


def test_bad_arguments_are_refused(chains, model):
    prior, proposal = Categorical(LOG_PRIOR), FiniteProposal(LOG_PROPOSAL)
    with pytest.raises(ValueError, match="n >= 1"):
        pmmh(prior, model, proposal, 0)
    with pytest.raises(TypeError, match="use pimh"):
        pmmh(prior, chains.filter(Multinomial()), proposal, 2)
    with pytest.raises(TypeError, match="expected a Proposal"):
        ParticleMarginalMetropolisHastings(prior, model, prior, 2)
    assert "model with its 2-particle estimate" in pmmh(prior, model, random_walk(1.0), 2).invariant.name
