"""Parallel tempering keeps the product over its ladder exactly; each swap is reversible, the whole is not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import probinf as pi
from probinf.cases._tempering_models import ladder_case, small_ladder
from probinf.kernels import MetropolisHastings, random_walk
from probinf.samplers import SwapNeighbors, Tempered, parallel_tempering
from probinf.validity import detailed_balance_error, invariance_error, kernel_matrix, row_sum_error

KEY = jax.random.key(0)
traces = []


class Peaks(pi.Factor):
    """Narrow peaks at -3 and 3; notes each time Python reads it."""

    scale: jax.Array
    name: str = eqx.field(static=True, default="peaks")

    def log_density(self, x):
        traces.append(None)
        return jnp.logaddexp(-0.5 * ((x - 3) / self.scale) ** 2, -0.5 * ((x + 3) / self.scale) ** 2)


def _positive(x):
    return jnp.where(x > 0, 0.0, -jnp.inf)


def matrix(kernel):
    case = ladder_case("", kernel)
    return kernel_matrix(lambda key, x: kernel(key, x)[0], case.states), case.log_target


def test_the_whole_kernel_keeps_the_product_and_is_not_reversible(x64):
    transition, log_target = matrix(small_ladder())
    assert row_sum_error(transition) < 1e-14
    assert invariance_error(transition, log_target) < 1e-15
    assert detailed_balance_error(transition, log_target) > 1e-5


@pytest.mark.parametrize("first", [0, 1])
def test_swaps_alone_are_reversible(x64, first):
    transition, log_target = matrix(small_ladder().swap(first))
    assert invariance_error(transition, log_target) < 1e-15
    assert detailed_balance_error(transition, log_target) < 1e-16


def test_stationary_law_of_the_cold_chain_is_the_posterior(x64):
    transition, log_target = matrix(small_ladder())
    cold = small_ladder().cold(ladder_case("", small_ladder()).states.T)
    law = np.linalg.matrix_power(transition, 400)[0]
    posterior = np.array([0.2, 0.5, 0.3]) * np.array([0.9, 0.1, 0.5])
    assert np.abs(np.bincount(cold, weights=law) - posterior / posterior.sum()).max() < 1e-12
    # Unless mixing is wrong, the product itself is where the chain ends.
    assert np.abs(law - np.exp(log_target - np.logaddexp.reduce(log_target))).max() < 1e-12


@pytest.mark.parametrize("temperatures", [2, 5])
def test_states_of_likelihood_zero_stay_hot(temperatures):
    ladder = jnp.linspace(0.0, 1.0, temperatures)
    tempered = Tempered(pi.Named("normal", dist.Normal(0.0, 1.0)), pi.Density("positive", _positive), ladder)
    alive, dead = jnp.ones(()), -jnp.ones(())
    for first in (0, 1):
        swap = SwapNeighbors(tempered, first)
        x = jnp.where(jnp.arange(temperatures) % 2 == first, dead, alive)
        kept, info = swap(KEY, x)
        assert kept.tolist() == x.tolist() and not info.accepted.any()
        # Where the colder one is dead, it leaves at once.
        left, info = swap(KEY, -x)
        assert info.accepted.all() and info.accepted.shape[0] == len(range(first, temperatures - 1, 2))
        moved = np.arange(first, temperatures - 1, 2)
        assert (np.asarray(left)[moved] == -1).all() and (np.asarray(left)[moved + 1] == 1).all()
        assert np.array_equal(np.sort(left), np.sort(-x))


def test_equal_or_undefined_states_are_no_nan():
    tempered = Tempered(
        pi.Named("normal", dist.Normal(0.0, 1.0)), pi.Density("positive", _positive), jnp.linspace(0.0, 1.0, 4)
    )
    ratio = SwapNeighbors(tempered, 0).log_ratio(jnp.array([-jnp.inf, -jnp.inf, jnp.nan, 0.0]))
    assert ratio.tolist() == [-jnp.inf, -jnp.inf, -jnp.inf]


def sharp(scale, betas, moves=1):
    """Two narrow peaks, which a walk alone does not cross."""
    make_kernel = eqx.Partial(MetropolisHastings, proposal=random_walk(0.5))
    return parallel_tempering(dist.Normal(0.0, 3.0), Peaks(jnp.asarray(scale)), make_kernel, betas, moves=moves)


def test_chains_cross_between_peaks_and_new_data_run_the_same_program():
    ends, counts = [], []
    for scale, betas in ((0.2, (0.0, 0.02, 0.1, 0.4, 1.0)), (0.25, (0.0, 0.03, 0.1, 0.3, 1.0))):
        kernel = sharp(scale, betas, moves=2)
        start = jnp.full((8, 5), 3.0)
        draws = pi.sample_chains(kernel, KEY, start, draws=400)
        ends.append(np.asarray(draws.values[:, 100:, -1]))
        counts.append(len(traces))
        assert draws.info.swaps.accepted.shape == (8, 400, 4)
        assert draws.info.swaps.accepted.mean(axis=(0, 1)).min() > 0.1
    assert counts[0] == counts[1] > 0
    for cold in ends:
        # The peaks have equal mass. The false-alarm rate cannot be computed for correlated draws; seeds are fixed, and
        # a chain without swaps stays at 3: its fraction is 1.
        assert 0.2 < np.mean(cold > 0) < 0.8
        assert abs(np.abs(cold).mean() - 3.0) < 0.1


def test_a_start_is_drawn_from_the_prior():
    start = sharp(0.2, (0.1, 1.0)).init(KEY)
    assert start.shape == (2,) and start[0] != start[1]


@pytest.mark.parametrize("betas", [(1.0,), (0.5, 0.5, 1.0), (-0.1, 1.0), (0.2, 0.9), (0.0, 2.0), (1.0, 0.5)])
def test_ladders_that_do_not_climb_to_one_are_refused(betas):
    with pytest.raises(ValueError, match="exactly 1"):
        sharp(0.2, betas)


def test_a_ladder_without_moves_is_refused():
    with pytest.raises(ValueError, match="at least one move"):
        sharp(0.2, (0.0, 1.0), moves=0)


def test_a_kernel_for_another_measure_is_refused():
    prior = pi.Named("normal", dist.Normal(0.0, 1.0))
    peaks = Peaks(jnp.asarray(0.2))
    # Right at beta = 0 only; without the refusal the claim to the product would be false at the other temperature.
    cold = MetropolisHastings(prior, random_walk(0.5))
    with pytest.raises(pi.MeaningError, match=r"temperature 1 keeps 'normal'.*follow 'normal \* peaks'"):
        parallel_tempering(prior, peaks, lambda target: cold, (0.0, 1.0))
