"""The computed meaning of a composition, against laws in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from probinf import (
    Best,
    Choose,
    Density,
    Draw,
    Guarantee,
    Map,
    MeaningError,
    Measure,
    Resample,
    Reweight,
    Sampler,
    Twist,
    Verified,
)
from probinf.distributions import Categorical
from probinf.validity import FiniteMeasure, NotEnumerable, check_proper_weighting, denote, largest_difference

# Tables written in float32 would differ from the closed forms in the eighth digit.
pytestmark = pytest.mark.usefixtures("x64")

PRIOR = np.array([0.2, 0.5, 0.3])
LIKELIHOOD = np.array([0.9, 0.2, 0.5])
START = FiniteMeasure((), np.zeros(1))


def log_likelihood(x):
    return jnp.log(jnp.asarray(LIKELIHOOD))[x]


def even(x):
    return x % 2 == 0


def on_three(masses):
    return FiniteMeasure(np.arange(3, dtype=np.int32), np.log(masses))


def test_weights_multiply_and_resampling_and_twists_do_nothing():
    sampler = Draw(Categorical(np.log(PRIOR))) >> Reweight(log_likelihood) >> Twist(log_likelihood) >> Resample()
    assert largest_difference(denote(sampler, START), on_three(PRIOR * LIKELIHOOD)) < 1e-12


def test_map_pushes_forward():
    found = denote(Draw(Categorical(np.log(PRIOR))) >> Map(even), START)
    expected = FiniteMeasure(np.array([True, False]), np.log([0.5, 0.5]))
    assert largest_difference(found, expected) < 1e-12


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_verified_conditions_and_keeps_the_mass_of_acceptance_in_time(budget):
    found = denote(Verified(Draw(Categorical(np.log(PRIOR))), even, budget), START)
    in_time = 1 - 0.5**budget
    expected = FiniteMeasure(np.array([0, 2], np.int32), np.log(in_time * np.array([0.2, 0.3]) / 0.5))
    assert largest_difference(found, expected) < 1e-12


def test_a_zero_potential_removes_the_atom():
    found = denote(Draw(Categorical(np.log(PRIOR))) >> Reweight(lambda x: jnp.where(x == 1, -jnp.inf, 0.0)), START)
    assert largest_difference(found, on_three(np.array([0.2, 1e-300, 0.3]))) < 1e-12
    assert len(found.merged().log_mass) == 2


def test_rules_without_a_law_are_refused():
    sampler = Draw(Categorical(np.log(PRIOR))) >> Choose(Best(Density("score", log_likelihood)))
    with pytest.raises(MeaningError, match="claims no target"):
        denote(sampler, START)


class Halves(Sampler):
    """A user's sampler that halves every weight and says so."""

    def __call__(self, key, cloud):
        del key
        return cloud.replace(log_weights=cloud.log_weights - jnp.log(2.0)), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Density("half", lambda x: jnp.log(0.5))).claiming(Guarantee.PROPER)


class SaysHalves(Halves):
    """The same claim, with thirds."""

    def __call__(self, key, cloud):
        del key
        return cloud.replace(log_weights=cloud.log_weights - jnp.log(3.0)), ()


def test_a_users_own_sampler_is_checked_by_the_factor_it_states():
    draw = Draw(Categorical(np.log(PRIOR)))
    assert check_proper_weighting(draw >> Halves(), 2).error < 1e-12
    assert check_proper_weighting(draw >> SaysHalves(), 2).error > 0.1


def test_continuous_draws_are_refused():
    import numpyro.distributions as dist

    with pytest.raises(NotEnumerable):
        check_proper_weighting(Draw(dist.Normal(0.0, 1.0)), 2)


def test_a_state_that_is_never_drawn_is_noticed():
    # The draw and its density disagree: state 2 never occurs, and the exact target says it should.
    found = check_proper_weighting(Draw(Categorical(np.log([0.4, 0.6, 1e-300]))), 2, target=on_three(PRIOR))
    assert found.error > 0.2


def test_merging_adds_equal_atoms_and_drops_empty_ones():
    measure = FiniteMeasure(np.array([1, 2, 1, 3]), np.array([np.log(0.5), 0.0, np.log(0.25), -np.inf])).merged()
    assert dict(zip(measure.values.tolist(), np.exp(measure.log_mass).tolist(), strict=True)) == pytest.approx(
        {1: 0.75, 2: 1.0}
    )
    assert measure.total == pytest.approx(1.75)
