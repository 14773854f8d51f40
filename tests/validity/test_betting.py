"""Wealth processes: fair under the claim, rich without it, and how soon."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Draw, Resample, Reweight
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.validity import (
    KernelCase,
    RankCheck,
    SamplerCase,
    log_wealth_of_categories,
    log_wealth_of_kernel,
    log_wealth_of_ranks,
    log_wealth_of_sampler,
    samples_to_alarm,
    samples_until_alarm,
)
from probinf.validity.planted import planted_bugs
from tests.validity.rank_models import FORTH, LOG_PRIOR

KEY = jax.random.key(21)
PLANTED = {case.name: case for case in planted_bugs()}


def test_wealth_of_categories_is_a_fair_game():
    # The expected wealth after three draws is exactly one; the third category is impossible.
    p = np.array([0.2, 0.5, 0.0, 0.3])
    draws = jnp.array(list(itertools.product([0, 1, 3], repeat=3)))
    log_p = np.log(np.where(p > 0, p, 1e-300)) - np.where(p > 0, 0.0, np.inf)
    wealth = jnp.exp(jax.vmap(lambda x: log_wealth_of_categories(x, log_p)[-1])(draws))
    assert float(jnp.sum(np.prod(p[draws], axis=1) * wealth)) == pytest.approx(1.0, abs=1e-6)
    impossible = log_wealth_of_categories(jnp.array([0, 2, 1]), log_p)
    assert float(impossible[0]) < np.inf and np.isposinf(impossible[1:]).all()
    assert np.isposinf(log_wealth_of_categories(jnp.array([4]), log_p)[0])


def test_wealth_of_uniform_ranks_rarely_grows_however_often_one_looks():
    """400 gamblers at 1000 draws each, alpha = 0.05: more than 43 alarms are 1e-6 unlikely."""
    ranks = jax.random.randint(KEY, (400, 1000), 0, 23)
    alarms = jax.vmap(lambda r: samples_to_alarm(log_wealth_of_ranks(r, 23, cells=16), 0.05))(ranks)
    assert int(jnp.sum(alarms > 0)) <= 43


def test_p_values_of_uniform_ranks_are_uniform_enough():
    """400 p-values of two equal columns, alpha = 0.05: more than 43 below are 1e-6 unlikely, up to the chi-squared."""
    ranks = jax.random.randint(KEY, (400, 160, 1), 0, 32)
    p = jax.vmap(lambda r: RankCheck(jnp.concatenate([r, r], axis=1), 32).p_value())(ranks)
    assert int(jnp.sum(p < 0.05)) <= 43
    # Bonferroni over two equal columns halves the rate, no more.
    assert int(jnp.sum(p < 0.5)) >= 60


def test_the_band_is_rarely_left():
    """400 experiments, band of 0.05: more than 43 outside are 1e-6 unlikely."""
    ranks = jax.random.randint(KEY, (400, 160, 1), 0, 32)
    band = RankCheck(ranks[0], 32).ecdf_band(0.05)
    away = jax.vmap(lambda r: jnp.max(jnp.abs(RankCheck(r, 32).ecdf_difference())))(ranks)
    assert int(jnp.sum(away > band)) <= 43


def test_samples_to_alarm_counts_from_one():
    assert int(samples_to_alarm(jnp.log(jnp.array([1.0, 30.0, 2000.0, 3.0])))) == 3
    assert int(samples_to_alarm(jnp.log(jnp.array([1.0, 30.0, 2000.0, 3.0])), 0.05)) == 2
    assert int(samples_to_alarm(jnp.log(jnp.array([1.0, 30.0])))) == -1
    assert int(samples_to_alarm(jnp.array([0.0, jnp.nan]))) == 2


def finite_case(kernel=None):
    right = MetropolisHastings(Categorical(LOG_PRIOR), FiniteProposal(FORTH))
    return KernelCase("right", kernel or right, np.arange(3, dtype=np.int32), LOG_PRIOR)


def test_right_kernels_are_rarely_accused():
    """200 experiments of 200 transitions, alpha = 0.05: more than 26 alarms are 1e-6 unlikely."""
    case = finite_case()

    def experiment(key):
        wealth = log_wealth_of_kernel(case.kernel, case.states, case.log_target, key, samples=200)
        return samples_to_alarm(wealth, 0.05)

    assert int(jnp.sum(jax.vmap(experiment)(jax.random.split(KEY, 200)) > 0)) <= 26


SAMPLER = Draw(Categorical(LOG_PRIOR)) >> Reweight(Categorical(np.array([0.0, -1.0, -0.5]))) >> Resample()


def one_and_first(x):
    return jnp.stack([jnp.ones(()), jnp.where(x == 0, 1.0, 0.0)])


def test_right_samplers_are_rarely_accused():
    """200 experiments of 200 runs, alpha = 0.05: more than 26 alarms are 1e-6 unlikely."""
    g = jax.nn.softmax(jnp.array([0.0, -1.0, -0.5]))
    p = jax.nn.softmax(jnp.asarray(LOG_PRIOR))
    expected, upper = np.array([jnp.sum(p * g), p[0] * g[0]]), np.full(2, float(g[0]))

    def experiment(key):
        wealth = log_wealth_of_sampler(SAMPLER, 2, one_and_first, expected, key, upper=upper, samples=200)
        return samples_to_alarm(wealth, 0.05)

    assert int(jnp.sum(jax.vmap(experiment)(jax.random.split(KEY, 200)) > 0)) <= 26


def test_right_cases_are_not_accused():
    assert samples_until_alarm(finite_case(), KEY) == -1
    assert samples_until_alarm(SamplerCase("right", SAMPLER), KEY) == -1


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("Metropolis-Hastings, always accepted", True),
        ("Metropolis-Hastings, ratio upside down", True),
        ("Metropolis-Hastings, ratio times 1.1", False),
    ],
)
def test_planted_cases_are_noticed_or_are_known_to_be_missed(name, seen):
    found = samples_until_alarm(PLANTED[name], KEY, samples=8192)
    assert found > 0 if seen else found == -1


def test_an_estimate_above_its_bound_refutes_the_claim_at_once():
    wealth = log_wealth_of_sampler(SAMPLER, 2, one_and_first, np.full(2, 0.1), KEY, upper=np.full(2, 0.2), samples=50)
    assert np.isposinf(wealth[-1])
    with pytest.raises(ValueError, match="not above its bound"):
        log_wealth_of_sampler(SAMPLER, 2, one_and_first, np.full(2, 0.3), KEY, upper=np.full(2, 0.2))


def test_cases_without_a_finite_law_are_refused():
    with pytest.raises(ValueError, match="no finite law"):
        samples_until_alarm(finite_case()._replace(grid=4), KEY)
