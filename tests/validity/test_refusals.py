"""What cannot be enumerated is refused with the line and the way out, never passed."""

import jax
import jax.numpy as jnp
import pytest

from probinf._choice import choice
from probinf.validity import NotEnumerable, TooManyWorlds, enumerate_law

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(0)


def test_a_while_loop_with_draws():
    def f(key):
        def turn(carry):
            key, count = carry
            key, draw = jax.random.split(key)
            return key, count + choice(draw, jnp.zeros(2))

        return jax.lax.while_loop(lambda carry: carry[1] < 3, turn, (key, jnp.int32(0)))[1]

    with pytest.raises(NotEnumerable, match=r"test_refusals.py:\d+ \(\S+f\) draws inside a while loop.*While"):
        enumerate_law(f, KEY)


def test_a_while_loop_without_draws_is_run():
    def f(key):
        i = choice(key, jnp.zeros(3))
        return jax.lax.while_loop(lambda x: x < 10, lambda x: x + 4, i)

    assert enumerate_law(f, KEY).outputs.tolist() == [12, 13, 10]


def test_a_loop_of_fixed_length_is_a_scan():
    def f(key):
        return jax.lax.fori_loop(0, 2, lambda i, x: x + choice(jax.random.fold_in(key, i), jnp.zeros(2)), 0)

    assert enumerate_law(f, KEY).grouped().probability.tolist() == pytest.approx([0.25, 0.5, 0.25])


@pytest.mark.parametrize(
    "draw",
    [
        jax.random.normal,
        jax.random.uniform,
        lambda key: jax.random.gamma(key, 2.0),
        lambda key: jax.lax.scan(lambda c, k: (c, jax.random.bits(k)), 0, jax.random.split(key))[1],
    ],
)
def test_continuous_randomness(draw):
    def f(key):
        first, second = jax.random.split(key)
        return choice(first, jnp.zeros(2)) + draw(second)

    with pytest.raises(NotEnumerable, match=r"test_refusals.py:\d+ .*continuous randomness outside of choice"):
        enumerate_law(f, KEY)


def test_a_call_that_the_replay_cannot_enter():
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec()
    f = jax.shard_map(lambda key: choice(key, jnp.zeros(2)), mesh=mesh, in_specs=spec, out_specs=spec)
    with pytest.raises(NotEnumerable, match="inside shard_map"):
        enumerate_law(f, KEY)


def test_too_many_worlds():
    with pytest.raises(TooManyWorlds, match=r"4 draws of 100 outcomes at .*test_refusals.py") as caught:
        enumerate_law(lambda key: choice(key, jnp.zeros(100), (4,)), KEY)
    assert (caught.value.count, caught.value.limit) == (100**4, 2_000_000)
    with pytest.raises(TooManyWorlds):
        enumerate_law(lambda key: choice(key, jnp.zeros(3)), KEY, limit=2)


def test_a_legacy_key():
    with pytest.raises(TypeError, match="jax.random.key"):
        enumerate_law(lambda key: 0, jax.random.PRNGKey(0))
