"""Exact laws of small programs, known in closed form, through every transformation that samplers use."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import probinf.validity._program as program_module
from probinf._choice import choice, flip
from probinf.validity import NotEnumerable, enumerate_law

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(0)
P = np.array([0.2, 0.3, 0.5])
TRANSITION = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])


def law_of(law):
    """The grouped law as {output row: probability}."""
    grouped = law.grouped()
    leaves = jax.tree.leaves(grouped.outputs)
    rows = np.concatenate([np.reshape(x, (len(x), -1)) for x in leaves], axis=1)
    return {tuple(row): p for row, p in zip(rows.tolist(), grouped.probability, strict=True)}


def assert_same_law(law, expected):
    got = law_of(law)
    assert set(got) == set(expected)
    assert_allclose([got[k] for k in expected], list(expected.values()), atol=1e-14, rtol=0)


def test_jit_and_many_draws_from_one_row():
    law = enumerate_law(jax.jit(lambda key, x: choice(key, x, (2,))), KEY, jnp.log(P))
    assert law.worlds == 9
    assert_same_law(law, {(i, j): P[i] * P[j] for i, j in product(range(3), repeat=2)})
    [site] = law.sites
    assert (site.name, site.arity, site.count) == ("choice", 3, 2)
    assert "test_enumerate_law.py" in site.source


def test_vmap_draws_one_row_a_lane():
    def f(key, rows):
        return jax.vmap(choice)(jax.random.split(key, 2), rows)

    law = enumerate_law(f, KEY, jnp.log(TRANSITION[:2]))
    expected = {(i, j): TRANSITION[0, i] * TRANSITION[1, j] for i, j in product(range(3), repeat=2)}
    assert_same_law(law, expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_markov_chain(reverse):
    def f(key, table):
        def step(state, x):
            key, label = x
            state = choice(key, table[state])
            return state, (label, state)

        return jax.lax.scan(step, 0, (jax.random.split(key, 3), jnp.arange(3)), reverse=reverse)[1]

    law = enumerate_law(f, KEY, jnp.log(TRANSITION))
    expected = {}
    for path in product(range(3), repeat=3):
        p = np.prod([TRANSITION[i, j] for i, j in zip((0, *path), path, strict=False)])
        expected[(0, 1, 2, *(path[::-1] if reverse else path))] = p
    assert_same_law(law, expected)


def test_a_scan_of_no_turns_draws_nothing():
    def f(key):
        start_key, scan_key, end_key = jax.random.split(key, 3)

        def step(x, key):
            draw_key, _ = jax.random.split(key)
            return x + choice(draw_key, jnp.zeros(3)), None

        x = choice(start_key, jnp.log(jnp.array([0.25, 0.75])))
        x, _ = jax.lax.scan(step, x, jax.random.split(scan_key, 0))
        return 2 * x + choice(end_key, jnp.zeros(2))

    law = enumerate_law(f, jax.random.key(0))
    assert_allclose(np.bincount(law.outputs, law.probability), [0.125, 0.125, 0.375, 0.375])


def test_branches_of_a_cond_share_their_draws():
    def f(key, table):
        first, second = jax.random.split(key)
        x = choice(first, table[0])
        # A narrow branch, a wide one, and one that draws nothing.
        y = jax.lax.switch(
            x,
            [
                lambda key: choice(key, jnp.log(jnp.array([0.25, 0.75]))),
                lambda key: 10 + choice(key, table[1]),
                lambda key: jnp.int32(-1),
            ],
            second,
        )
        return x, y

    law = enumerate_law(f, KEY, jnp.log(TRANSITION))
    assert law.worlds == 9
    expected = {(0, j): 0.7 * p for j, p in enumerate([0.25, 0.75])}
    expected |= {(1, 10 + j): 0.2 * TRANSITION[1, j] for j in range(3)}
    expected |= {(2, -1): 0.1}
    assert_same_law(law, expected)


def test_cond_and_vmap_inside_a_nested_scan():
    """Two lanes, two turns of two draws: heads add one, tails of an odd count stop the lane for that turn."""

    def f(key):
        def lane(key):
            def outer(count, key):
                def inner(count, key):
                    count = jax.lax.cond(
                        count % 2 == 0,
                        lambda key: count + flip(key, jnp.log(0.3)).astype(jnp.int32),
                        lambda key: count + flip(key, jnp.log(0.9)).astype(jnp.int32),
                        key,
                    )
                    return count, None

                return jax.lax.scan(inner, count, jax.random.split(key, 2))[0], None

            return jax.lax.scan(outer, jnp.int32(0), jax.random.split(key, 2))[0]

        return jax.vmap(lane)(jax.random.split(key, 2))

    one = {0: 1.0}
    for _ in range(4):
        after = {}
        for count, p in one.items():
            heads = 0.3 if count % 2 == 0 else 0.9
            after[count + 1] = after.get(count + 1, 0.0) + p * heads
            after[count] = after.get(count, 0.0) + p * (1 - heads)
        one = after
    law = enumerate_law(f, KEY)
    # Under vmap both branches of a cond are computed, so each turn has two coins a lane.
    assert law.worlds == 2**16
    assert_same_law(law, {(a, b): p * q for (a, p), (b, q) in product(one.items(), repeat=2)})


@pytest.mark.parametrize("wrap", [jax.checkpoint, jax.custom_jvp, jax.custom_vjp, eqx.filter_jit])
def test_calls_are_read_in_place(wrap):
    def body(key, logits):
        return choice(key, logits)

    wrapped = wrap(body)
    if wrap is jax.custom_jvp:
        wrapped.defjvp(lambda primals, tangents: (body(*primals), tangents[1]))
    if wrap is jax.custom_vjp:
        wrapped.defvjp(lambda *args: (body(*args), None), lambda residual, g: (None, None))
    assert_same_law(enumerate_law(wrapped, KEY, jnp.log(P)), {(i,): p for i, p in enumerate(P)})


def test_impossible_outcomes_are_dropped_with_their_nan():
    def f(key):
        i = choice(key, jnp.array([0.0, -jnp.inf, 0.0]))
        return i, jnp.where(i == 1, jnp.nan, 1.0)

    law = enumerate_law(f, KEY)
    assert law.worlds == 3
    assert_same_law(law, {(0, 1.0): 0.5, (2, 1.0): 0.5})
    assert law.expectation(lambda out: out[1]) == pytest.approx(1.0, abs=1e-15)


def test_a_dead_row_gives_index_zero():
    law = enumerate_law(lambda key: choice(key, jnp.full(3, -jnp.inf)), KEY)
    assert_same_law(law, {(0,): 1.0})


def test_nan_logits_are_refused():
    with pytest.raises(NotEnumerable, match="keep NaN"):
        enumerate_law(lambda key: choice(key, jnp.array([0.0, jnp.nan])), KEY)


def test_a_program_without_draws_is_one_world():
    law = enumerate_law(lambda key, x: x + 1, KEY, 1.5)
    assert (law.worlds, law.total, law.sites) == (1, 1.0, ())
    assert law.outputs.tolist() == [2.5]


def test_draws_that_nothing_needs_are_left_out():
    def f(key):
        first, second = jax.random.split(key)
        jax.random.normal(second)
        choice(second, jnp.zeros(1000), (1000,))
        return choice(first, jnp.zeros(2))

    assert enumerate_law(f, KEY).worlds == 2


def test_single_precision_is_read_in_double_and_static_fields_pass_through():
    class Model(eqx.Module):
        logits: jax.Array
        name: str

        def __call__(self, key):
            return choice(key, self.logits), self.name

    law = enumerate_law(Model(jnp.log(jnp.array(P, jnp.float32)), "model"), KEY)
    exact = np.array(P, np.float32).astype(np.float64)
    logits = np.log(np.array(P, np.float32)).astype(np.float64)
    assert_allclose(law.probability, np.exp(logits) / np.sum(np.exp(logits)), atol=1e-15, rtol=0)
    assert_allclose(law.probability, exact / exact.sum(), atol=1e-7, rtol=0)
    assert law.outputs[1] == "model"


def test_keys_in_the_output_come_as_their_data():
    law = enumerate_law(lambda key: (choice(key, jnp.zeros(2)), jax.random.key(7)), KEY)
    assert law.outputs[1].tolist() == [[0, 7], [0, 7]]


def test_expectation_of_a_tree_and_grouping_of_floats():
    def f(key):
        # The sign of zero and the last digits make no difference.
        return {
            "x": jnp.array([1.0, 1.0 + 1e-15, 1.0 - 1e-15])[choice(key, jnp.log(P))],
            "y": jnp.array([0.0, -0.0, 0.0]),
        }

    law = enumerate_law(f, KEY)
    assert_allclose(law.expectation(lambda out: {"mean": out["x"]})["mean"], 1.0, rtol=1e-14)
    assert len(law.grouped().log_prob) == 1
    # Values 1e-10 apart are two.
    apart = enumerate_law(lambda key: jnp.array([1.0, 1.0 + 1e-10, 1.0])[choice(key, jnp.log(P))], KEY)
    assert len(apart.grouped().log_prob) == 2


def test_batches_agree_with_one_call_and_compile_once(monkeypatch):
    traces = []

    def f(key, table):
        traces.append(1)

        def step(state, key):
            state = choice(key, table[state])
            return state, state

        return jax.lax.scan(step, 0, jax.random.split(key, 4))[1]

    whole = enumerate_law(f, KEY, jnp.log(TRANSITION))
    assert len(traces) == 1
    monkeypatch.setattr(program_module, "_MOST_ROWS", 20)
    monkeypatch.setattr(program_module, "_PROGRAMS", {})
    built = []
    init = program_module.Program.__init__

    def remember(self, *args, **options):
        init(self, *args, **options)
        built.append(self)

    monkeypatch.setattr(program_module.Program, "__init__", remember)
    parts = enumerate_law(f, KEY, jnp.log(TRANSITION))
    # 81 worlds in 5 batches of 17, the last one padded; the key check runs in batches too.
    assert built[0].rows == 17
    assert built[0]._run._cache_size() == 1
    assert_allclose(parts.log_prob, whole.log_prob, atol=1e-14, rtol=0)
    assert np.array_equal(parts.outputs, whole.outputs)
