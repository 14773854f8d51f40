"""Waste-free SMC: fewer ancestors, longer chains, the same measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.cases._tempering_models import small_keeper, small_likelihood, small_prior
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Multinomial, Systematic
from probinf.samplers import Thin, Trail, waste_free_smc
from probinf.validity import FiniteMeasure, check_proper_weighting, enumerate_law

POSTERIOR = FiniteMeasure(np.arange(2, dtype=np.int32), np.log([0.4 * 0.9, 0.6 * 0.2]))
WEIGHTS = np.array([0.1, 0.45, 0.15, 0.3])


def thinned(scheme):
    """The law of the two ancestors that thinning leaves of four."""

    def run(key, log_weights):
        cloud = pi.spawn(4, jnp.arange(4)).replace(log_weights=log_weights)
        return (pi.Resample(scheme) >> Thin(2))(key, cloud)[0].values

    law = enumerate_law(run, jax.random.key(0), jnp.log(jnp.asarray(WEIGHTS)))
    table = np.zeros((4, 4))
    np.add.at(table, tuple(law.outputs.T), law.probability)
    return table


def test_thinned_systematic_resampling_is_systematic_with_fewer_points(x64):
    # Two points u and 1 + u on a line of length two: between breaks of u nothing changes.
    ends = 2 * np.cumsum(WEIGHTS)
    breaks = np.unique(np.concatenate([[0.0, 1.0], ends[:-1] % 1.0]))
    expected = np.zeros((4, 4))
    for low, high in zip(breaks[:-1], breaks[1:], strict=True):
        u = 0.5 * (low + high)
        expected[np.searchsorted(ends, u, side="right"), np.searchsorted(ends, 1 + u, side="right")] += high - low
    assert np.abs(thinned(Systematic()) - expected).max() < 1e-14


def test_thinning_any_scheme_keeps_the_expected_offspring(x64):
    table = thinned(Multinomial())
    assert np.abs(table.sum(axis=0) + table.sum(axis=1) - 2 * WEIGHTS).max() < 1e-14


@pytest.mark.parametrize(("n", "length"), [(2, 2), (3, 3)])
def test_waste_free_smc_means_the_posterior(x64, n, length):
    sampler = waste_free_smc(small_prior(), small_likelihood(), small_keeper, [0.4, 1.0], length=length)
    assert check_proper_weighting(sampler, n, target=POSTERIOR).error < 1e-12
    meaning = sampler.meaning(pi.Measure())
    assert meaning.same_law(small_prior() * small_likelihood())
    assert meaning.guarantee is pi.Guarantee.PROPER


def test_trail_keeps_weights_and_lays_chain_after_chain():
    cloud = pi.spawn(2, jnp.array([0, 1], jnp.int32)).replace(log_weights=jnp.array([0.0, -1.0]))
    # The proposal always steps to the other state, and is always accepted.
    kernel = MetropolisHastings(pi.Density("flat", _flat), FiniteProposal([[-np.inf, 0.0], [0.0, -np.inf]]))
    trail, info = Trail(kernel, length=3)(jax.random.key(0), cloud)
    assert trail.values.tolist() == [0, 1, 0, 1, 0, 1]
    assert trail.log_weights.tolist() == [0.0, 0.0, 0.0, -1.0, -1.0, -1.0]
    assert info.kernel.accepted.shape == (2, 2)
    assert abs(float(trail.log_z - cloud.log_z)) < 1e-6


def test_trail_of_another_kernel_is_refused():
    with pytest.raises(pi.MeaningError, match="build the kernel"):
        (pi.Draw(small_prior()) >> Trail(small_keeper(small_prior() * small_likelihood()))).meaning(pi.Measure())


def test_numbers_that_do_not_divide_are_refused():
    sampler = waste_free_smc(small_prior(), small_likelihood(), small_keeper, [1.0], length=3)
    with pytest.raises(ValueError, match="run a multiple of 3"):
        pi.sample(sampler, jax.random.key(0), n=4)
    with pytest.raises(ValueError, match="length >= 2"):
        waste_free_smc(small_prior(), small_likelihood(), small_keeper, [1.0], length=1)
    with pytest.raises(ValueError, match="P >= 1"):
        Thin(0)
    with pytest.raises(ValueError, match="at least 2 states"):
        Trail(small_keeper(pi.Measure()), length=1)


def _flat(x):
    return 0.0 * x
