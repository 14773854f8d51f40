"""Draws that share a key are reported; sound uses of keys are not."""

import jax
import jax.numpy as jnp
import pytest

from probinf._choice import choice, flip, uniform_cells
from probinf.validity import KeyReuseError, enumerate_law

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(0)


def coin(key):
    return choice(key, jnp.zeros(2))


def twice(key):
    return coin(key), uniform_cells(key, jnp.array([0.5])) > 0.5


def draw_then_split(key):
    return coin(key), coin(jax.random.split(key)[1])


def draw_then_fold(key):
    return coin(key), coin(jax.random.fold_in(jax.random.split(key)[0], 3))


def split_twice(key):
    return coin(jax.random.split(key)[0]), coin(jax.random.split(key)[0])


def shared_by_lanes(key):
    return jax.vmap(lambda logits: choice(key, logits))(jnp.zeros((2, 2)))


def shared_by_turns(key):
    return jax.lax.scan(lambda c, _: (c, coin(key)), None, None, length=2)[1]


def across_scan_turns(key):
    """Each turn draws with the key that the next one splits."""

    def turn(key, _):
        return jax.random.split(key)[0], coin(key)

    return jax.lax.scan(turn, key, None, length=2)[1]


def in_one_branch_only(key):
    first, second = jax.random.split(key)
    return jax.lax.cond(coin(first) > 0, lambda: coin(second) + coin(second), lambda: jnp.int32(0))


def only_together(key):
    """Neither coin changes the result unless the other shows heads."""
    return coin(key) * coin(key)


def through_the_next_law(key):
    first, second = jax.random.split(key)
    return choice(second, jnp.stack([0.0, coin(first) + coin(first)]))


@pytest.mark.parametrize(
    "f",
    [
        twice,
        draw_then_split,
        draw_then_fold,
        split_twice,
        shared_by_lanes,
        shared_by_turns,
        across_scan_turns,
        in_one_branch_only,
        only_together,
        through_the_next_law,
    ],
)
def test_reuse_is_reported(f):
    with pytest.raises(KeyReuseError, match="test_keys.py"):
        enumerate_law(f, KEY)


def test_both_lines_are_named():
    line = twice.__code__.co_firstlineno + 1
    with pytest.raises(KeyReuseError, match=rf"\(coin\) and at .*test_keys.py:{line} \(twice\)\) use one key"):
        enumerate_law(twice, KEY)


def clean_scan(key):
    def turn(key, _):
        key, draw = jax.random.split(key)
        return key, coin(draw)

    return jax.lax.scan(turn, key, None, length=3)[1]


def clean_fold(key):
    return jax.vmap(lambda i: coin(jax.random.fold_in(key, i)))(jnp.arange(3))


def many_draws_from_one_row(key):
    return choice(key, jnp.zeros((2, 2)), (2,))


def exclusive_branches(key):
    first, second = jax.random.split(key)
    return jax.lax.cond(flip(first, jnp.log(0.5)), coin, lambda key: coin(jax.random.split(key)[0]), second)


def exclusive_branches_under_vmap(key):
    """Both branches run with one key, and each lane keeps one result."""
    return jax.vmap(exclusive_branches)(jax.random.split(key))


def an_outcome_thrown_away(key):
    return jnp.stack([coin(key), coin(key)])[0]


def an_outcome_that_is_certain(key):
    return coin(key), choice(key, jnp.array([0.0, -jnp.inf]))


@pytest.mark.parametrize(
    "f",
    [
        clean_scan,
        clean_fold,
        many_draws_from_one_row,
        exclusive_branches,
        exclusive_branches_under_vmap,
        an_outcome_thrown_away,
        an_outcome_that_is_certain,
    ],
)
def test_sound_programs_pass(f):
    assert enumerate_law(f, KEY).total == pytest.approx(1.0, abs=1e-14)


def test_a_fold_and_a_split_that_give_one_key_are_told():
    """In JAX the first key of a split is `fold_in(key, 0)`, whatever the number of parts."""

    def draws(key):
        return choice(jax.random.fold_in(key, 0), jnp.zeros(2)), choice(jax.random.split(key, 3)[0], jnp.zeros(2))

    same = jax.random.key_data(jax.random.fold_in(KEY, 0)) == jax.random.key_data(jax.random.split(KEY, 3)[0])
    assert same.all()
    with pytest.raises(KeyReuseError, match="one key"):
        enumerate_law(draws, KEY)


def test_keys_of_many_forks_stay_apart():
    """Labels that stand for keys collide no more than 64 random bits would."""

    def draws(key):
        split = jax.random.split(key, (40, 5))
        folded = jax.vmap(lambda k: jax.random.fold_in(jax.random.fold_in(k, 7), 3))(split.reshape(-1))
        deep = jax.random.split(jax.random.split(folded[0])[1], 200)
        keys = jnp.concatenate([split.reshape(-1), folded, deep])
        # One possible outcome each: only the keys matter.
        return jax.vmap(lambda k: choice(k, jnp.zeros(1)))(keys).sum()

    assert enumerate_law(draws, KEY).worlds == 1
