"""Verified: retries lane by lane, and what becomes of lanes that never pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Draw, MeaningError, Resample, Reweight, Status, Twist, Verified, sample, spawn
from tests.core.models import LIKELIHOOD, PRIOR, Box, Grow, Level, OnHost, likelihood, prior

KEY = jax.random.key(1)
N = 64


def even(x):
    return x % 2 == 0


def never(x):
    return x < 0


def is_two(x):
    return x == 2


def test_every_lane_is_accepted_given_time():
    result = sample(Verified(Draw(prior()), even, 64), KEY, N)
    assert result.status is Status.OK
    assert np.all(even(result.particles.values)) and result.particles.log_z == 0.0
    attempts = np.asarray(result.info.attempts)
    assert attempts.min() == 1 and 1 < attempts.max() < 64


def test_a_larger_budget_keeps_what_was_accepted():
    small, large = (sample(Verified(Draw(prior()), even, budget), KEY, N) for budget in (1, 3))
    first = Draw(prior())(jax.random.split(KEY, 1)[0], spawn(N))[0].values
    np.testing.assert_array_equal(small.particles.values, first)
    kept = np.asarray(large.info.attempts) == 1
    assert kept.any() and not kept.all()


def test_lanes_that_never_pass_abstain():
    result = sample(Verified(Draw(prior()), is_two, 2), KEY, N)
    accepted = np.asarray(result.info.accepted)
    assert result.status is Status.ABSTAINED and accepted.any() and not accepted.all()
    np.testing.assert_array_equal(np.asarray(result.particles.log_weights) > -np.inf, accepted)
    np.testing.assert_array_equal(result.info.attempts[~accepted], 2)
    assert np.all(result.particles.values[accepted] == 2)


def test_a_cloud_that_never_passes_is_degenerate():
    assert sample(Verified(Draw(prior()), never, 3), KEY, 4).status is Status.DEGENERATE


def test_lanes_that_were_dead_before_do_not_abstain_and_are_not_retried():
    dead = spawn(2, jnp.zeros(2, jnp.int32)).replace(log_weights=jnp.array([0.0, -jnp.inf]))
    point = prior([0.0, -np.inf, -np.inf])
    cloud, info = Verified(Draw(point), even, 5)(KEY, dead)
    assert info.status == Status.OK and np.all(info.attempts == 1)
    np.testing.assert_array_equal(cloud.log_weights, [0.0, -np.inf])
    cloud, info = Verified(Draw(point), is_two, 2)(KEY, dead.replace(log_weights=jnp.full(2, -jnp.inf)))
    assert info.status == Status.OK and np.all(info.attempts == 1)


def test_verdicts_come_as_booleans_or_log_densities():
    def log_even(x):
        return jnp.where(x % 2 == 0, -3.0, -jnp.inf)

    def nan_if_odd(x):
        return jnp.where(x % 2 == 0, 0.0, jnp.nan)

    values = [sample(Verified(Draw(prior()), v, 5), KEY, 8).particles for v in (even, log_even, nan_if_odd)]
    for cloud in values[1:]:
        np.testing.assert_array_equal(cloud.values, values[0].values)
        np.testing.assert_array_equal(cloud.log_weights, values[0].log_weights)
    with pytest.raises(TypeError, match="return a boolean, or a log-density"):
        Verified(Draw(prior()), lambda x: x % 2)(KEY, spawn(2))
    with pytest.raises(TypeError, match="expected a Factor"):
        Verified(Draw(prior()), 3)


def test_the_weight_of_the_accepted_attempt_rides_along():
    result = sample(Verified(Draw(prior()) >> Reweight(likelihood()), even, 32), KEY, N)
    np.testing.assert_allclose(result.particles.log_weights, LIKELIHOOD[result.particles.values], rtol=1e-5)


def test_the_twist_of_the_accepted_attempt_rides_along():
    # With the first attempt's twist, which may be zero, lanes that passed later would die at the resampling.
    def twist(x):
        return jnp.where(x == 2, 0.7, -jnp.inf)

    result = sample(Verified(Draw(prior()) >> Twist(twist), is_two, 64), KEY, N)
    np.testing.assert_allclose(result.particles.log_twist, 0.7, rtol=1e-6)


def test_an_invalid_potential_inside_is_reported():
    def broken(x):
        return jnp.where(x == 0, jnp.nan, 0.0)

    result = sample(Verified(Draw(prior()) >> Reweight(broken), even, 32), KEY, N)
    assert result.status is Status.INVALID
    np.testing.assert_array_equal(result.particles.log_weights == -np.inf, result.particles.values == 0)


def test_host_and_compiled_runs_agree():
    verdict = np.where(np.arange(3) % 2 == 0, 0.0, -np.inf)
    host, compiled = (sample(Verified(Draw(prior()), v, 4), KEY, 8) for v in (OnHost(verdict), even))
    np.testing.assert_array_equal(host.particles.values, compiled.particles.values)
    np.testing.assert_array_equal(host.info.attempts, compiled.info.attempts)
    assert host.status is compiled.status


def test_what_has_no_law_is_refused():
    with pytest.raises(ValueError, match="at least one attempt, got 0"):
        Verified(Draw(prior()), even, 0)
    with pytest.raises(MeaningError, match=r"wrap it in Nested\(inner, n\)"):
        Verified(Draw(prior(PRIOR)) >> Reweight(likelihood()) >> Resample(), even, 2)
    with pytest.raises(TypeError, match="LaneState: Map it away first"):
        Verified(Draw(Grow()), Level(), 2)(KEY, spawn(2, Box(jnp.zeros(2))))
