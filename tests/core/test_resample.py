"""Resample as a stage: where the mass goes, who may meet whom, and what it reports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Resample, Reweight, Twist, spawn
from probinf.resampling import Multinomial, Systematic
from tests.core.models import likelihood

KEY = jax.random.key(0)
WEIGHTS = jnp.log(jnp.array([0.5, 1.0, 0.0, 2.5]))


def weighed(log_weights=WEIGHTS):
    n = log_weights.shape[0]
    return spawn(n, jnp.arange(n)).replace(log_weights=log_weights, log_evidence=jnp.log(2.0))


@pytest.mark.parametrize("ess", [None, 0.3, 1.0])
@pytest.mark.parametrize("jit", [False, True])
def test_mass_moves_into_the_evidence(ess, jit):
    before = weighed()
    run = Resample(Systematic(), ess)
    cloud, info = (jax.jit(run.__call__) if jit else run)(KEY, before)
    np.testing.assert_allclose(cloud.log_z, before.log_z, rtol=1e-6)
    resampled = ess != 0.3
    assert info.resampled.shape == (1,) and bool(info.resampled[0]) is resampled
    np.testing.assert_allclose(info.ess, 16 / (0.25 + 1 + 6.25), rtol=1e-6)
    np.testing.assert_array_equal(cloud.values, before.values[info.ancestors])
    np.testing.assert_allclose(cloud.log_weights, np.zeros(4) if resampled else before.log_weights)
    assert (2 in cloud.values) is not resampled


def test_the_twist_selects_and_is_repaid():
    # Lane 3 looks hopeless to the twist; nobody who is chosen keeps the advantage.
    cloud = weighed(jnp.zeros(4)).replace(log_twist=jnp.log(jnp.array([4.0, 2.0, 2.0, 0.0])))
    after, _ = Resample(Multinomial())(KEY, cloud)
    assert 3 not in after.values
    np.testing.assert_allclose(after.log_weights + after.log_twist, 0.0)
    np.testing.assert_allclose(after.log_evidence, np.log(2.0 * 2.0), rtol=1e-6)
    np.testing.assert_allclose(after.log_twist, cloud.log_twist[after.values])


def test_islands_keep_their_lanes_and_their_mass():
    cloud = weighed(jnp.log(jnp.array([1.0, 3.0, 0.0, 0.0, 5.0, 0.0])))
    after, info = Resample(Multinomial(), islands=3)(KEY, cloud)
    np.testing.assert_array_equal(after.values // 2, [0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(jnp.exp(after.log_weights), [2.0, 2.0, 0.0, 0.0, 2.5, 2.5], rtol=1e-6)
    assert after.log_evidence == cloud.log_evidence
    np.testing.assert_array_equal(info.resampled, [True, False, True])
    np.testing.assert_allclose(after.log_z, cloud.log_z, rtol=1e-6)


def test_one_island_is_the_plain_filter():
    np.testing.assert_array_equal(
        Resample(Multinomial(), islands=1)(KEY, weighed())[0].values, Resample(Multinomial())(KEY, weighed())[0].values
    )


def test_host_values_move_with_their_weights():
    cloud = weighed().replace(values=["a", "b", "c", "d"])
    after, info = Resample()(KEY, cloud)
    assert after.values == ["abcd"[i] for i in info.ancestors]


@pytest.mark.parametrize("scheme", [Multinomial(), Systematic()])
def test_a_reference_without_weight_stays_dead(scheme):
    nowhere = jnp.array([-jnp.inf, 0.0, 0.0, 0.0])
    for cloud in (weighed(nowhere), weighed(jnp.zeros(4)).replace(log_twist=nowhere)):
        after, _ = Resample(scheme).conditional(KEY, cloud, jnp.int32(0))
        assert after.values[0] == 0 and after.log_weights[0] == -jnp.inf
        assert np.all(np.isfinite(after.log_weights[1:])) and np.isfinite(after.log_evidence)


def test_conditional_runs_hold_the_reference():
    sampler = Reweight(likelihood()) >> Twist(likelihood()) >> Resample(Multinomial())
    cloud, _ = sampler.conditional(KEY, spawn(4, jnp.array([1, 0, 0, 0])), jnp.int32(1))
    assert cloud.values[0] == 1 and np.all(np.isfinite(cloud.log_weights))


@pytest.mark.parametrize("knobs", [{"ess": 0.0}, {"ess": 1.5}, {"ess": -0.5}, {"islands": 0}])
def test_thresholds_outside_their_range_are_refused(knobs):
    with pytest.raises(ValueError, match="got"):
        Resample(**knobs)


def test_islands_must_divide_the_cloud():
    with pytest.raises(ValueError, match="3 islands do not divide a cloud of 4 lanes"):
        Resample(islands=3)(KEY, weighed())
