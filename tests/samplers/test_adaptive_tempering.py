"""Adaptive tempering hits its target on every outcome, ends at 1, and is biased, as its claim says."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import effective_sample_size
from probinf.samplers import adaptive_tempered_smc, ladder_of, tempered_smc
from probinf.samplers._adaptive_tempered_smc import next_temperature
from probinf.validity import FiniteMeasure, check_ladder, check_proper_weighting, enumerate_law, expected_measure

LOG_PRIOR = np.log([0.2, 0.5, 0.3])
LOG_LIKELIHOOD = np.log([0.9, 0.05, 0.3])
LOG_MOVE = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])
TARGET = FiniteMeasure(np.arange(3, dtype=np.int32), LOG_PRIOR + LOG_LIKELIHOOD)
KEY = jax.random.key(0)
traces = []


class Table(pi.Factor):
    """An unnormalized density over indices; notes each time Python reads it."""

    log_values: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="table")

    def log_density(self, x):
        traces.append(None)
        return self.log_values[x]


class Cooled(eqx.Module):
    """The planted bug: the kernel of every rung keeps a tempered version of its measure."""

    def __call__(self, measure):
        return MetropolisHastings(measure**1.3, FiniteProposal(LOG_MOVE))


def keeper():
    return eqx.Partial(MetropolisHastings, proposal=FiniteProposal(LOG_MOVE))


def adaptive(log_likelihood=LOG_LIKELIHOOD, ess=0.7, make_kernel=None, **knobs):
    make_kernel = keeper() if make_kernel is None else make_kernel
    return adaptive_tempered_smc(Categorical(LOG_PRIOR), Table(log_likelihood), make_kernel, ess, **knobs)


def run(log_likelihood, ess=0.5, seed=0):
    log_likelihood = np.asarray(log_likelihood, np.float32)
    return pi.sample(adaptive(log_likelihood, ess, max_steps=8), jax.random.key(seed), 64)


def test_adaptive_temperatures_bias_the_evidence_and_their_ladder_does_not(x64):
    found, _ = expected_measure(adaptive(max_steps=2), 2)
    bias = found.total / TARGET.total - 1.0
    # Exact, over all 46,656 outcomes: why the claim is CONSISTENT and no more.
    assert abs(bias + 0.0495) < 1e-4
    fixed = tempered_smc(Categorical(LOG_PRIOR), Table(LOG_LIKELIHOOD), keeper(), [0.5, 1.0])
    assert check_proper_weighting(fixed, 2, target=TARGET).error < 1e-12
    assert adaptive().meaning(pi.Measure()).guarantee is pi.Guarantee.CONSISTENT
    assert fixed.meaning(pi.Measure()).guarantee is pi.Guarantee.PROPER


def test_every_outcome_hits_the_target_and_ends_at_one(x64):
    def ladder(key, sampler):
        _, (_, info) = sampler(key, pi.spawn(2))
        return info.rungs, info.temperatures, info.ess

    rungs, temperatures, ess = enumerate_law(ladder, KEY, adaptive(max_steps=2)).outputs
    assert set(rungs.tolist()) == {1, 2}
    assert np.all(temperatures[:, -1] == 1.0)
    assert np.all(temperatures[rungs == 2, 0] < 1.0)
    assert np.abs(ess[rungs == 2, 0] - 0.7).max() < 1e-9
    assert np.all(ess[rungs == 1, 0] >= 0.7) and np.all(ess[rungs == 1, 1] == 0.0)


def test_the_weights_as_they_are_decide(x64):
    rng = np.random.default_rng(0)
    log_likelihood, log_weights = jnp.asarray(rng.normal(size=200) * 9), jnp.asarray(rng.normal(size=200) * 0.3)
    beta = jnp.asarray(0.2)

    def achieved(after):
        return float(effective_sample_size(log_weights + (after - beta) * log_likelihood)) / 200

    assert abs(achieved(next_temperature(log_likelihood, log_weights, beta, jnp.asarray(0.5))) - 0.5) < 1e-9
    # The planted bug: equal weights in their place.
    assert abs(achieved(next_temperature(log_likelihood, jnp.zeros(200), beta, jnp.asarray(0.5))) - 0.5) > 0.01


def test_a_cloud_below_the_target_still_climbs():
    log_weights = jnp.array([0.0, -9.0, -9.0, -9.0])
    after = next_temperature(jnp.arange(4.0), log_weights, jnp.asarray(0.25), jnp.asarray(0.5))
    assert 0.25 < after < 0.26


def test_other_data_and_more_rungs_run_the_same_program():
    first = run(LOG_LIKELIHOOD)
    before = len(traces)
    sharper = run(4 * LOG_LIKELIHOOD, ess=0.9, seed=1)
    assert len(traces) == before
    assert int(sharper.info[-1].rungs) > int(first.info[-1].rungs)
    assert first.status is sharper.status is pi.Status.OK


@pytest.mark.parametrize(
    ("log_likelihood", "status", "reached"),
    [
        # Most of the prior mass is impossible: the first rung kills it, at a temperature just above zero.
        ([0.0, -np.inf, -3.0], pi.Status.OK, True),
        ([-np.inf, -np.inf, -np.inf], pi.Status.DEGENERATE, False),
        ([0.0, np.nan, -1.0], pi.Status.INVALID, True),
        # Sharper than eight rungs can climb.
        ([0.0, -1e7, -1e5], pi.Status.BUDGET, False),
    ],
)
def test_ends_are_statuses(log_likelihood, status, reached):
    result = run(log_likelihood, ess=0.95)
    info, rungs = result.info[-1], int(result.info[-1].rungs)
    assert result.status is status
    assert np.all(np.diff(np.asarray(info.temperatures)[:rungs], prepend=0.0) > 0)
    assert not np.any(np.isnan(result.particles.log_z)) and not np.any(np.isnan(info.ess))
    assert bool(info.temperatures[-1] == 1.0) is reached


def test_ladder_of_a_run_is_one_that_tempered_smc_takes():
    result = run(4 * LOG_LIKELIHOOD)
    info = result.info[-1]
    betas = ladder_of(info)
    report = check_ladder(betas, np.asarray(info.ess)[: len(betas)], target=0.5)
    assert len(betas) == int(info.rungs) > 1 and report.violations() == {}
    padded = ladder_of(info, 8)
    assert len(padded) == 8 and set(betas) <= set(padded) and np.all(np.diff(padded, prepend=0.0) > 0)
    tempered_smc(Categorical(LOG_PRIOR), Table(LOG_LIKELIHOOD), keeper(), padded)
    with pytest.raises(ValueError, match="do not fit"):
        ladder_of(info, 1)
    with pytest.raises(ValueError, match="raise max_steps"):
        ladder_of(run([0.0, -1e7, -1e5], ess=0.95).info[-1])


@pytest.mark.parametrize("ess", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_targets_that_no_ladder_can_hit_are_refused(ess):
    with pytest.raises(ValueError, match="between 0 and 1"):
        adaptive(ess=ess)


def test_loops_and_moves_that_do_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one rung"):
        adaptive(max_steps=0)
    with pytest.raises(ValueError, match="at least one move"):
        adaptive(moves=0)


def test_kernel_at_the_wrong_temperature_is_seen():
    with pytest.raises(pi.MeaningError, match="build the kernel for the measure"):
        adaptive(make_kernel=Cooled()).meaning(pi.Measure())
