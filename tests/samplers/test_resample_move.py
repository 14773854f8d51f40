"""Resample-move on rows of data: the posterior of all rows, exactly, and one program for any data."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.cases._tempering_models import DATA, Row, small_keeper, small_prior
from probinf.samplers import RowsSoFar, resample_move
from probinf.validity import FiniteMeasure, check_proper_weighting

TABLE = np.array([[0.7, 0.2], [0.4, 0.9]])
KEY = jax.random.key(0)


def posterior(rows):
    return FiniteMeasure(np.arange(2, dtype=np.int32), np.log([0.4, 0.6]) + np.log(TABLE[:, rows]).sum(axis=1))


def test_resample_move_means_the_posterior_of_all_rows(x64):
    sampler = resample_move(small_prior(), Row, DATA, small_keeper)
    check = check_proper_weighting(sampler, 2, target=posterior(DATA))
    assert check.error < 1e-12


def test_factors_of_the_rows_telescope():
    sampler = resample_move(small_prior(), Row, DATA, small_keeper)
    meaning = sampler.meaning(pi.Measure())
    assert meaning.name == "prior * rows[:3]" and meaning.guarantee is pi.Guarantee.PROPER
    assert meaning.same_law(small_prior() * RowsSoFar(Row, jnp.asarray(DATA), jnp.int32(3)))
    assert not meaning.same_law(small_prior() * RowsSoFar(Row, jnp.asarray(DATA), jnp.int32(2)))
    assert np.allclose(meaning.log_density_lanes(jnp.arange(2), 2), posterior(DATA).log_mass, atol=1e-5)


def test_a_kernel_for_other_rows_is_seen():
    ahead = resample_move(small_prior(), Row, DATA, lambda measure: small_keeper(measure * Row(jnp.asarray(1))))
    with pytest.raises(pi.MeaningError, match="build the kernel"):
        ahead.meaning(pi.Measure())


class Counted(Row):
    """Notes each time Python reads it."""

    def log_density(self, x):
        traces.append(None)
        return super().log_density(x)


traces = []


def test_other_rows_run_the_same_program():
    results = []
    for rows in (DATA, 1 - DATA):
        sampler = resample_move(small_prior(), Counted, rows, small_keeper, moves=2)
        results.append(pi.sample(sampler, KEY, n=256).particles)
        results.append(len(traces))
    assert results[1] == results[3] > 0
    for particles, rows in ((results[0], DATA), (results[2], 1 - DATA)):
        # Five standard deviations of the evidence at this n are below 0.2; a false alarm has a chance of 1e-6.
        assert abs(float(particles.log_z) - np.log(posterior(rows).total)) < 0.2


class Cliff(pi.Factor):
    """A row that leaves nothing possible where it is 1, and is not a number where it is 2."""

    row: jax.Array
    name: str = eqx.field(static=True, default="cliff")

    def log_density(self, x):
        return jnp.where(self.row == 2, jnp.nan, jnp.where((self.row == 1) & (x == 0), -jnp.inf, 0.0))


def test_rows_to_come_do_not_count():
    so_far = RowsSoFar(Cliff, jnp.array([0, 1, 2]), jnp.int32(1))
    assert so_far.log_density(jnp.int32(0)) == 0.0
    assert RowsSoFar(Cliff, jnp.array([0, 1, 2]), jnp.int32(2)).log_density(jnp.int32(0)) == -jnp.inf


def test_rows_that_are_none_or_uneven_are_refused():
    for rows in (np.zeros(0, int), (np.zeros(2), np.zeros(3)), 1.0):
        with pytest.raises(ValueError, match="needs rows"):
            resample_move(small_prior(), Row, rows, small_keeper)
    with pytest.raises(ValueError, match="at least one move"):
        resample_move(small_prior(), Row, DATA, small_keeper, moves=0)
