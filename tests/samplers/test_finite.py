"""Samplers on finite spaces: the measure on every outcome is the measure that the composition means."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.distributions import Categorical, HiddenMarkovModel, Path
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Multinomial, Systematic
from probinf.samplers import bootstrap_filter, importance, rejection, tempered_smc
from probinf.validity import FiniteMeasure, check_proper_weighting

LOG_PRIOR = np.log([0.2, 0.5, 0.3])
LOG_LIKELIHOOD = np.log([0.9, 0.2, 0.5])
LOG_MOVE = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])
STATES = np.arange(3, dtype=np.int32)
POSTERIOR = FiniteMeasure(STATES, LOG_PRIOR + LOG_LIKELIHOOD)


class Table(pi.Factor):
    """An unnormalized density over indices."""

    log_values: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="table")

    def log_density(self, x):
        return self.log_values[x]


class Cooled(eqx.Module):
    """The planted bug: the kernel of every rung keeps a tempered version of its measure."""

    exponent: float

    def __call__(self, measure):
        return MetropolisHastings(measure**self.exponent, FiniteProposal(LOG_MOVE))


def hidden_markov_filter(steps=3, **knobs):
    hmm = HiddenMarkovModel(
        np.log([0.3, 0.7]), np.log([[0.8, 0.2], [0.4, 0.6]]), np.log([[0.9, 0.1], [0.25, 0.75]]), steps
    )
    observations = jnp.array([0, 1, 0])[:steps]
    sampler = bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, hmm.rows(observations), **knobs)
    return sampler, hmm, observations


def test_importance_means_its_target(x64):
    sampler = importance(Categorical(LOG_PRIOR), Table(LOG_LIKELIHOOD) * Categorical(LOG_PRIOR))
    assert sampler.meaning(pi.Measure()).name == "categorical * table"
    assert check_proper_weighting(sampler, 2, target=POSTERIOR).error < 1e-12


def test_importance_from_another_proposal(x64):
    proposal = Categorical(np.log([0.6, 0.3, 0.1]), name="proposal")
    sampler = importance(proposal, Table(LOG_PRIOR + LOG_LIKELIHOOD))
    assert sampler.meaning(pi.Measure()).same_law(Table(LOG_PRIOR + LOG_LIKELIHOOD) * pi.Measure())
    assert check_proper_weighting(sampler, 2, target=POSTERIOR).error < 1e-12


@pytest.mark.parametrize(("scheme", "ess"), [(Multinomial(), None), (Systematic(), None), (Systematic(), 0.7)], ids=str)
def test_bootstrap_filter_means_the_joint(x64, scheme, ess):
    sampler, hmm, observations = hidden_markov_filter(resample=pi.Resample(scheme, ess))
    check = check_proper_weighting(sampler, 2)
    assert check.error < 1e-12
    assert abs(np.log(check.target.total) - float(hmm.log_likelihood(observations))) < 1e-12


def test_bootstrap_filter_of_one_row_does_not_resample(x64):
    sampler, hmm, observations = hidden_markov_filter(steps=1)
    assert sampler.lanewise
    check = check_proper_weighting(sampler, 2)
    assert check.error < 1e-12
    assert abs(np.log(check.found.total) - float(hmm.log_likelihood(observations))) < 1e-12


def test_bootstrap_filter_meaning_evaluates_on_final_paths(x64):
    sampler, hmm, observations = hidden_markov_filter()
    states = jnp.array(list(itertools.product([0, 1], repeat=3)), jnp.int32)
    log_joint = sampler.meaning(pi.Measure()).log_density_lanes(Path(states, jnp.full(8, 3, jnp.int32)), 8)
    assert abs(float(jax.nn.logsumexp(log_joint) - hmm.log_likelihood(observations))) < 1e-12


def tempered(make_kernel, betas=(0.4, 1.0)):
    return tempered_smc(
        Categorical(LOG_PRIOR), Table(LOG_LIKELIHOOD), make_kernel, betas, resample=pi.Resample(Multinomial())
    )


def test_tempered_smc_means_the_posterior(x64):
    right = tempered(eqx.Partial(MetropolisHastings, proposal=FiniteProposal(LOG_MOVE)))
    meaning = right.meaning(pi.Measure())
    assert meaning.same_law(Categorical(LOG_PRIOR) * Table(LOG_LIKELIHOOD))
    assert meaning.guarantee is pi.Guarantee.PROPER
    assert check_proper_weighting(right, 2, target=POSTERIOR).error < 1e-12


def test_kernel_at_the_wrong_temperature_is_seen(x64):
    broken = tempered(Cooled(1.3))
    with pytest.raises(pi.MeaningError, match="build the kernel for the measure"):
        broken.meaning(pi.Measure())
    assert check_proper_weighting(broken, 2, target=POSTERIOR).error > 1e-3


@pytest.mark.parametrize("betas", [(), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0), (0.5, 2.0)])
def test_ladders_that_do_not_climb_to_one_are_refused(betas):
    with pytest.raises(ValueError, match="exactly 1"):
        tempered(Cooled(1.0), betas)


def test_rejection_restricts_and_abstains(x64):
    sampler = rejection(Categorical(LOG_PRIOR), Table([0.0, -np.inf, 0.0]), 3)
    # Half of the mass is accepted, and three tries fail with probability 1/8.
    target = FiniteMeasure(STATES[[0, 2]], np.log(np.array([0.4, 0.6]) * 7 / 8))
    assert check_proper_weighting(sampler, 2, target=target).error < 1e-12
    assert sampler.meaning(pi.Measure()).guarantee is pi.Guarantee.CHANGES_TARGET


def test_new_data_do_not_compile_anew(x64):
    traces = []

    @eqx.filter_jit
    def run(sampler, key):
        traces.append(None)
        return sampler(key, pi.spawn(4))[0].log_z

    for betas in ((0.2, 1.0), (0.5, 1.0)):
        run(
            tempered(eqx.Partial(MetropolisHastings, proposal=FiniteProposal(LOG_MOVE)), betas),
            jax.random.key(0),
        )
    assert len(traces) == 1
    for _ in range(2):
        run(hidden_markov_filter()[0], jax.random.key(0))
    assert len(traces) == 2


def test_driver_gives_the_same_with_and_without_compilation(x64):
    sampler = tempered(eqx.Partial(MetropolisHastings, proposal=FiniteProposal(LOG_MOVE)))
    compiled = pi.sample(sampler, jax.random.key(0), n=8).particles
    plain, _ = sampler(jax.random.key(0), pi.spawn(8))
    assert compiled.values.tolist() == plain.values.tolist()
    assert abs(float(compiled.log_z - plain.log_z)) < 1e-12


def test_no_rows_are_refused():
    hmm = HiddenMarkovModel([0.0, 0.0], np.zeros((2, 2)), np.zeros((2, 2)), 1)
    with pytest.raises(ValueError, match="needs rows"):
        bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, hmm.rows(jnp.zeros(0, jnp.int32)))


def test_a_ladder_of_known_numbers_may_be_given_inside_a_trace():
    """Its numbers are checked there too."""

    def log_z(betas):
        prior, likelihood = Categorical(jnp.zeros(2), name="prior"), pi.Density("likelihood", lambda x: 0.1 * x)
        kernel = lambda m: MetropolisHastings(m, FiniteProposal(jnp.zeros((2, 2))))  # noqa: E731

        def run(key):
            return tempered_smc(prior, likelihood, kernel, betas)(key, pi.spawn(2))[0].log_z

        return float(jax.jit(run)(jax.random.key(0)))

    assert np.isfinite(log_z([0.5, 1.0])) and log_z([0.5, 1.0]) == log_z(np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="betas must increase"):
        log_z([0.5, 0.4])
