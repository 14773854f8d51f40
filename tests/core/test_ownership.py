"""Lane states are used up between stages, but never those that the caller holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Draw, Resample, Reweight, Scan, Twist, While, sample, spawn
from probinf.resampling import Multinomial
from tests.core.models import Box, Grow, Level

KEY = jax.random.key(0)
GROW, ON_HOST = Draw(Grow()), Reweight(Level(on_host=True))


def always(cloud):
    return jnp.array(True)


def cloud_of_boxes():
    return spawn(4, Box(jnp.arange(4.0)))


# Each begins with a stage that hands on the values it got, and goes on with one that works in place.
PASSING_ON = {
    "reweight, draw": ON_HOST >> GROW,
    "twist, resample": Twist(Level()) >> Resample(Multinomial()),
    "no resampling, draw": Resample(Multinomial(), ess=0.1) >> GROW,
    "scan": Scan(ON_HOST >> GROW, length=2),
    "scan of one stage": Scan(Resample(Multinomial(), ess=0.1), length=2) >> GROW,
    "while": While(ON_HOST >> GROW, always, 2),
    "draw": GROW,
    "resample": Resample(Multinomial()),
}


@pytest.mark.parametrize("sampler", PASSING_ON.values(), ids=PASSING_ON.keys())
def test_a_call_leaves_the_cloud_whole(sampler):
    cloud = cloud_of_boxes()
    first, _ = sampler(KEY, cloud)
    np.testing.assert_array_equal(cloud.values.content, np.arange(4.0))
    second, _ = sampler(KEY, cloud)
    np.testing.assert_array_equal(first.values.content, second.values.content)
    result = sample(sampler, KEY, 4, values=cloud.values)
    np.testing.assert_array_equal(result.particles.values.content, first.values.content)
    np.testing.assert_array_equal(cloud.values.content, np.arange(4.0))


@pytest.mark.parametrize("sampler", [GROW, Resample(Multinomial()), ON_HOST >> GROW], ids=["draw", "resample", "chain"])
def test_consuming_uses_the_cloud_up(sampler):
    cloud = cloud_of_boxes().replace(log_weights=jnp.arange(4.0))
    sampler.consume(KEY, cloud)
    assert cloud.values.content.is_deleted()


def test_the_weights_of_a_consumed_cloud_live_on():
    cloud = cloud_of_boxes()
    GROW.consume(KEY, cloud)
    assert cloud.log_z == 0.0


def everything(cloud, info):
    """Records the values themselves."""
    return cloud.values, cloud.values.content


def test_records_outlive_the_steps_that_use_up_their_cloud():
    result = sample(Scan(ON_HOST >> GROW, length=3), KEY, 4, values=Box(jnp.zeros(4)), record=everything)
    box, content = result.record
    np.testing.assert_array_equal(content, np.arange(1.0, 4.0)[:, None] + np.zeros((3, 4)))
    np.testing.assert_array_equal(box.content, content)
    np.testing.assert_array_equal(result.particles.values.content, 3.0)


def test_compiled_runs_agree():
    sampler = Draw(Grow()) >> Reweight(Level()) >> Resample(Multinomial()) >> GROW
    plain, _ = sampler(KEY, cloud_of_boxes())
    compiled = sample(sampler, KEY, 4, values=Box(jnp.arange(4.0))).particles
    np.testing.assert_array_equal(plain.values.content, compiled.values.content)
