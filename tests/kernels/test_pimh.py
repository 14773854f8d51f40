"""Particle independent Metropolis-Hastings, exactly, on its extended space."""

import equinox as eqx
import jax
import numpy as np
import pytest

import probinf as pi
from probinf.kernels import ParticleIndependentMetropolisHastings, pimh
from probinf.resampling import Multinomial, Systematic
from probinf.validity import detailed_balance_error, invariance_error


class AcceptsAll(ParticleIndependentMetropolisHastings):
    """The planted bug: every run is taken, whatever its estimate."""

    def __call__(self, key, x):
        return self.init(key), None


class Init(eqx.Module):
    kernel: ParticleIndependentMetropolisHastings

    def __call__(self, key):
        return self.kernel.init(key)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("scheme", [Multinomial(), Systematic()], ids=["multinomial", "systematic"])
def test_keeps_its_extended_law_and_the_posterior(chains, scheme, n):
    kernel = pimh(chains.filter(scheme), n)
    states, log_run = chains.law(Init(kernel))
    log_target = log_run + states.log_z
    matrix = chains.matrix(kernel, states)
    assert invariance_error(matrix, log_target) < 1e-12
    assert detailed_balance_error(matrix, log_target) < 1e-12
    # The value's own law under the extended one is the path posterior.
    index = states.value.states @ np.array([4, 2, 1])
    marginal = np.bincount(index, weights=np.exp(log_target), minlength=8)
    np.testing.assert_allclose(marginal, np.exp(chains.log_posterior()), rtol=0, atol=1e-13)


def test_accepting_every_run_is_seen(chains):
    kernel = AcceptsAll(chains.filter(Multinomial()), 2)
    states, log_run = chains.law(Init(kernel))
    assert invariance_error(chains.matrix(kernel, states), log_run + states.log_z) > 1e-3


def test_leaves_a_dead_start_and_never_enters_one(chains):
    kernel = pimh(chains.filter(Multinomial()), 2)
    state = kernel.init(jax.random.key(0))
    dead = state._replace(log_z=-np.inf * abs(state.log_z))
    moved, info = kernel(jax.random.key(1), dead)
    assert bool(info.accepted) and np.isfinite(moved.log_z)
    impossible = pi.Draw(chains.model().initial()) >> pi.Reweight(lambda path: -np.inf * path.t)
    kept, info = pimh(impossible, 2)(jax.random.key(1), state)
    assert not bool(info.accepted) and float(kept.log_z) == float(state.log_z)


def test_states_an_invariant_measure_without_a_density(chains):
    invariant = pimh(chains.filter(Multinomial()), 2).invariant
    assert invariant.guarantee is pi.Guarantee.PROPER
    assert "2-particle estimate" in invariant.name
    with pytest.raises(pi.MeaningError, match="no closed form"):
        invariant.log_density(None)


def test_bad_samplers_are_refused(chains):
    with pytest.raises(ValueError, match="n >= 1"):
        pimh(chains.filter(Multinomial()), 0)
    with pytest.raises(TypeError, match="expected a Sampler"):
        ParticleIndependentMetropolisHastings(chains.model().step, 2)
    with pytest.raises(pi.MeaningError, match="properly weighted"):
        pimh(chains.filter(Multinomial()) >> pi.Choose(pi.Best(lambda x: 0.0)), 2)
