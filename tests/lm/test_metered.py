"""The counter of tokens stays with the lanes of the batch, and changes no text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf._particles import take_lanes
from probinf.lm import Continue, Metered, Prompt, TableLM


@pytest.fixture
def lm():
    """Six tokens, the last of which ends a text."""
    table = jnp.tile(jnp.asarray([0.2, -0.4, 0.1, 0.9, -0.7, -0.6]), (6, 1))
    return TableLM(table=table, stop_tokens=(5,))  # pyright: ignore[reportCallIssue]


def written(lm, key):
    start = Prompt(lm, [3], 5).sample_lanes(key, (), 8)
    return Continue(lm, 4).sample_lanes(key, start, 8)


def test_texts_are_those_of_the_model(lm):
    key = jax.random.key(6)
    metered = written(Metered(lm=lm), key)  # pyright: ignore[reportCallIssue]
    plain = written(lm, key)
    np.testing.assert_array_equal(metered.tokens, plain.tokens)
    np.testing.assert_array_equal(metered.state.state, plain.state)
    np.testing.assert_array_equal(metered.state.computed, plain.length)


def test_copies_do_not_take_the_counter_along(lm):
    metered = Metered(lm=lm)  # pyright: ignore[reportCallIssue]
    before = written(metered, jax.random.key(6))
    shortest = int(jnp.argmin(before.length))
    assert int(before.length[shortest]) < int(before.length.max())
    after = take_lanes(before, jnp.full(8, shortest))
    np.testing.assert_array_equal(after.state.computed, before.state.computed)
    assert set(after.length.tolist()) == {int(before.length[shortest])}
    # A finished text idles: nothing is computed.
    later = Continue(metered, 2).sample_lanes(jax.random.key(5), after, 8)
    assert int(later.state.computed.sum()) == int(before.state.computed.sum() + later.length.sum() - after.length.sum())
