"""The cloud: its mass, its lanes, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Particles, spawn, take_lanes
from probinf._particles import add_log, copied, lane, log_mean_exp, own
from tests.core.models import Box


def test_a_fresh_cloud_has_unit_mass():
    cloud = spawn(5)
    assert cloud.n == 5 and cloud.log_z == 0.0
    np.testing.assert_allclose(cloud.normalized_weights, 0.2)


def test_log_z_adds_the_evidence_to_the_mean_weight():
    cloud = spawn(4).replace(log_weights=jnp.log(jnp.array([1.0, 2.0, 0.0, 5.0])), log_evidence=jnp.log(3.0))
    np.testing.assert_allclose(cloud.log_z, np.log(3.0 * 2.0), rtol=1e-6)
    np.testing.assert_allclose(cloud.normalized_weights, [0.125, 0.25, 0.0, 0.625], rtol=1e-6)


def test_large_log_weights_neither_overflow_nor_vanish():
    for shift in (-1e4, 1e4):
        cloud = spawn(2).replace(log_weights=jnp.array([shift, shift]))
        assert cloud.log_z == shift
        np.testing.assert_allclose(cloud.normalized_weights, 0.5)


def test_a_dead_cloud_has_mass_zero_not_nan():
    dead = spawn(3).replace(log_weights=jnp.full(3, -jnp.inf))
    assert dead.log_z == -jnp.inf
    np.testing.assert_array_equal(dead.normalized_weights, 0.0)
    assert log_mean_exp(jnp.full(2, -jnp.inf)) == -jnp.inf


def test_minus_infinity_is_final():
    a = jnp.array([-jnp.inf, jnp.inf, -jnp.inf, 1.0])
    b = jnp.array([jnp.inf, -jnp.inf, -jnp.inf, 2.0])
    np.testing.assert_array_equal(add_log(a, b), [-jnp.inf, -jnp.inf, -jnp.inf, 3.0])
    np.testing.assert_array_equal(jax.grad(lambda a: add_log(a, b)[3])(a), [0.0, 0.0, 0.0, 1.0])


def test_replace_leaves_the_rest():
    cloud = spawn(2, jnp.arange(2)).replace(log_evidence=jnp.array(1.0))
    np.testing.assert_array_equal(cloud.values, [0, 1])
    assert cloud.log_evidence == 1.0
    with pytest.raises(TypeError, match="weights"):
        cloud.replace(weights=jnp.zeros(2))


def test_lanes_are_gathered_in_every_layout():
    ancestors = jnp.array([2, 0, 2])
    values = {"a": jnp.arange(6.0).reshape(3, 2), "b": jnp.array([True, False, True]), "box": Box(jnp.arange(3.0))}
    taken = take_lanes(values, ancestors)
    np.testing.assert_array_equal(taken["a"], [[4.0, 5.0], [0.0, 1.0], [4.0, 5.0]])
    np.testing.assert_array_equal(taken["b"], [True, True, True])
    np.testing.assert_array_equal(taken["box"].content, [2.0, 0.0, 2.0])
    assert take_lanes(["x", "y", "z"], ancestors) == ["z", "x", "z"]
    assert lane(["x", "y"], 1) == "y" and lane(values["b"], 1) == False  # noqa: E712


def test_a_copy_shares_no_buffer_with_lane_states():
    values = (Box(jnp.arange(3.0)), jnp.arange(3.0))
    mine = own(values)
    mine[0].content.delete()
    np.testing.assert_array_equal(values[0].content, [0.0, 1.0, 2.0])
    # Plain arrays are never used up, so they are not copied.
    assert mine[1] is values[1]
    assert copied({"text": "kept"}) == {"text": "kept"}


def test_owned_values_inside_a_trace_are_as_they_were():
    def same(values):
        return own(values).content is values.content

    assert jax.eval_shape(lambda v: jnp.array(same(v)), Box(jnp.zeros(2))).shape == ()
    assert bool(jax.jit(lambda v: jnp.array(same(v)))(Box(jnp.zeros(2))))


@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_a_cloud_needs_a_particle(n):
    with pytest.raises((ValueError, TypeError), match="n"):
        spawn(n)


def test_values_of_another_number_of_lanes_are_refused():
    for values in (jnp.zeros(4), ["a"], {"x": jnp.zeros(3), "y": jnp.zeros((2, 3))}):
        with pytest.raises(ValueError, match="a cloud of 3 particles needs values with leading axis 3"):
            spawn(3, values)
    assert isinstance(spawn(3, ["a", "b", "c"]), Particles)


def test_float64_mode(x64):
    assert spawn(2).log_weights.dtype == spawn(2).log_z.dtype == jnp.float64
