"""Draw, Reweight and Twist: NaN, infinities, and lanes that are dead and stay dead."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinf import Draw, Factor, Resample, Reweight, Status, Twist, sample, spawn
from probinf.resampling import Killing, Multinomial, Residual, Stratified, Systematic
from tests.core.models import Box, Level, likelihood, prior

KEY = jax.random.key(0)


def broken(x):
    """NaN, +inf, -inf, and a number."""
    return jnp.array([jnp.nan, jnp.inf, -jnp.inf, 0.5])[x]


def without_nan(tree):
    return not any(np.isnan(leaf).any() for leaf in jax.tree.leaves(tree) if np.issubdtype(leaf.dtype, np.floating))


def test_growing_the_cloud_keeps_the_first_lanes():
    sampler = Draw(dist.Normal(0.0, 1.0)) >> Reweight(dist.Normal(0.5, 1.0))
    small, large = (sample(sampler, KEY, n).particles for n in (4, 7))
    np.testing.assert_array_equal(small.values, large.values[:4])
    np.testing.assert_allclose(small.log_weights, large.log_weights[:4], rtol=1e-6)


def test_weights_add_up():
    cloud, info = (Reweight(likelihood()) >> Reweight(likelihood()))(KEY, spawn(3, jnp.arange(3)))
    np.testing.assert_allclose(cloud.log_weights, 2 * np.log([0.9, 0.2, 0.5]), rtol=1e-6)
    assert info[0].invalid == 0 and info[0].status == Status.OK


@pytest.mark.parametrize("stage", [Reweight, Twist])
def test_nan_and_infinity_weigh_nothing_and_are_reported(stage):
    cloud, info = stage(broken)(KEY, spawn(4, jnp.arange(4)))
    weights = cloud.log_weights if stage is Reweight else cloud.log_twist
    np.testing.assert_array_equal(weights, [-np.inf, -np.inf, -np.inf, 0.5])
    assert info.invalid == 2 and info.status == Status.INVALID


def test_a_dead_lane_may_be_outside_the_domain():
    cloud = spawn(4, jnp.arange(4)).replace(log_weights=jnp.array([-jnp.inf, -jnp.inf, 0.0, 0.0]))
    cloud, info = Reweight(broken)(KEY, cloud)
    assert info.invalid == 0 and info.status == Status.OK
    np.testing.assert_array_equal(cloud.log_weights, [-np.inf, -np.inf, -np.inf, 0.5])


def test_a_run_with_nan_ends_as_invalid_without_nan():
    result = sample(Reweight(broken) >> Resample() >> Reweight(broken), KEY, 4, values=jnp.arange(4))
    assert result.status is Status.INVALID
    assert without_nan(result.particles)
    np.testing.assert_array_equal(result.particles.values, 3)


def test_a_zero_denominator_is_invalid_not_infinite():
    cloud, info = Reweight(prior() / likelihood([-0.7, -np.inf, -0.7]))(KEY, spawn(3, jnp.arange(3)))
    assert cloud.log_weights[1] == -jnp.inf and info.status == Status.INVALID


def only_two(x):
    return jnp.where(x == 2, 0.0, -jnp.inf)


@pytest.mark.parametrize("scheme", [Multinomial(), Stratified(), Systematic(), Residual(), Killing()])
@pytest.mark.parametrize("ess", [None, 0.9])
def test_dead_lanes_stay_dead_through_every_stage(scheme, ess):
    # Twists that vanish where the weight does make -inf minus -inf; nothing may come back from there.
    down = Twist(only_two) >> Resample(scheme, ess) >> Reweight(only_two)
    up = Twist(likelihood()) >> Resample(scheme, ess) >> Reweight(prior() / likelihood())
    cloud = spawn(6, jnp.array([0, 1, 2, 0, 1, 2]))
    for round_key in jax.random.split(KEY, 3):
        cloud, _ = jax.jit((down >> up >> down).__call__)(round_key, cloud)
        assert without_nan(cloud)
        assert np.all(cloud.values[cloud.log_weights > -jnp.inf] == 2)
    assert cloud.log_z > -jnp.inf


@pytest.mark.parametrize("islands", [1, 2])
@pytest.mark.parametrize("scheme", [Multinomial(), Systematic(), Killing()])
def test_a_dead_cloud_is_a_status(scheme, islands):
    sampler = Draw(prior()) >> Reweight(nowhere) >> Twist(nowhere) >> Resample(scheme, islands=islands)
    result = sample(sampler >> Reweight(likelihood()) >> Resample(scheme, 0.5, islands), KEY, 4)
    assert result.status is Status.DEGENERATE
    np.testing.assert_array_equal(result.particles.log_weights, -np.inf)
    assert result.particles.log_z == -np.inf and without_nan(result.particles)
    # What was banked before stays banked.
    assert result.particles.log_evidence == 0.0


def nowhere(x):
    return jnp.where(x < 0, 0.0, -jnp.inf)


def test_a_twist_is_no_part_of_the_weight():
    cloud, _ = Twist(likelihood())(KEY, spawn(3, jnp.arange(3)))
    np.testing.assert_array_equal(cloud.log_weights, 0.0)
    np.testing.assert_allclose(cloud.log_twist, np.log([0.9, 0.2, 0.5]), rtol=1e-6)
    assert cloud.log_z == 0.0
    np.testing.assert_allclose(Twist(prior())(KEY, cloud)[0].log_twist, np.log([0.2, 0.5, 0.3]), rtol=1e-6)


def test_wrong_shapes_and_booleans_are_refused():
    with pytest.raises(ValueError, match=r"potential 'level' gave shape \(2, 3\) for 2 lanes: return one log-weight"):
        Reweight(Level())(KEY, spawn(2, Box(jnp.zeros((2, 3)))))
    with pytest.raises(TypeError, match=r"gave a boolean, not a log-weight: use jnp\.where"):
        Reweight(Level())(KEY, spawn(2, Box(jnp.array([True, False]))))
    with pytest.raises(TypeError, match="expected a Factor"):
        Reweight(3.0)
    with pytest.raises(TypeError, match="expected a Distribution"):
        Draw(lambda key: key)


def test_float64_mode(x64):
    cloud, _ = (Draw(prior()) >> Reweight(likelihood()) >> Resample())(KEY, spawn(3))
    assert cloud.log_weights.dtype == cloud.log_evidence.dtype == cloud.log_twist.dtype == jnp.float64


class Turned(Factor):
    """A potential that is no real number, without the annotations that the tests check at run time."""

    name: str = "turned"

    def log_density(self, x):
        return x + 1j

    def log_density_lanes(self, values, n):
        return values + 1j


def test_a_complex_potential_is_refused():
    # Before, its real part was taken with a warning of NumPy's.
    with pytest.raises(TypeError, match="gave complex numbers: return one real log-weight"):
        Reweight(Turned())(jax.random.key(0), spawn(2, jnp.zeros(2)))
