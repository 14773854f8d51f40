"""Procedures against plain Python, and their checker in a particle filter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import spawn
from probinf.lm import Generation, Reasoning, RewardFunction, TableLM
from probinf.samplers import reasoning_filter
from probinf.verifiers.procedures import (
    PROCEDURES,
    Instance,
    StepReward,
    prefix_match,
    procedure_instance,
    right_steps,
    states_of,
)

WIDTH, SYMBOLS = 4, 3


def _by_hand(name, row, operation):
    full = list(row)
    items = [x for x in full if x]
    if name == "rotate":
        return full[operation + 1 :] + full[: operation + 1]
    if name == "delete" and operation + 1 in items:
        items.remove(operation + 1)
    elif name == "push and pop" and operation == 0:
        items = items[:-1]
    elif name == "push and pop" and len(items) < WIDTH:
        items.append(operation)
    elif name == "count":
        full[operation] = full[operation] + 1 if full[operation] < SYMBOLS else 1
        return full
    return items + [0] * (WIDTH - len(items))


@pytest.mark.parametrize("name", list(PROCEDURES))
def test_every_state_is_that_of_plain_python(name):
    draw = jax.jit(lambda key: procedure_instance(key, name, steps=6, width=WIDTH, symbols=SYMBOLS))
    run = jax.jit(lambda instance: states_of(name, instance))
    seen = set()
    for seed in range(60):
        instance = draw(jax.random.key(seed))
        row, states = np.asarray(instance.start).tolist(), np.asarray(run(instance))
        for operation, state in zip(np.asarray(instance.operations).tolist(), states.tolist(), strict=True):
            row = _by_hand(name, row, operation)
            assert row == state
            seen.add(operation)
    assert seen == set(range(PROCEDURES[name].operations(WIDTH, SYMBOLS)))


def test_an_instance_keeps_its_number_of_symbols():
    # Two rounds on a counter of three symbols; batches have theirs too.
    rounds = Instance(jnp.array([1, 1]), jnp.zeros(6, jnp.int32), 3)
    assert states_of("count", rounds)[:, 0].tolist() == [2, 3, 1, 2, 3, 1]
    draw = jax.vmap(lambda key: procedure_instance(key, "count", steps=12, width=2, symbols=3))
    states = jax.vmap(lambda one: states_of("count", one))(draw(jax.random.split(jax.random.key(0), 8)))
    assert states.max() == 3 and states.min() == 1


def test_matches_are_those_of_their_definitions():
    truth = jnp.array([[1, 2], [2, 1], [1, 1]])
    told = jnp.array([[1, 2], [1, 1], [1, 1], [3, 3]])
    some = prefix_match(told, 3, truth)
    assert (some.length, some.accuracy, some.all, some.final) == (1, pytest.approx(1 / 3), False, True)
    whole = prefix_match(truth, 3, truth)
    assert (whole.length, whole.accuracy, whole.all, whole.final) == (3, 1, True, True)
    # A state too many is no full match, and nothing told is no match at all.
    assert prefix_match(jnp.concatenate([truth, truth[:1]]), 4, truth).accuracy == pytest.approx(0.75)
    none = prefix_match(told, 0, truth)
    assert (none.length, none.final) == (0, False)


def test_checker_is_right_on_every_prefix():
    truth = jnp.array([[1, 2], [2, 1]])
    tokens = jnp.array([1, 2, 2, 1, 0])
    assert [bool(right_steps(tokens, jnp.int32(n), truth)) for n in range(6)] == [True] * 5 + [False]
    wrong = tokens.at[2].set(1)
    assert [bool(right_steps(wrong, jnp.int32(n), truth)) for n in range(5)] == [True] * 3 + [False] * 2


def test_reward_in_a_filter_weighs_the_true_solution_by_its_chance():
    instance = Instance(jnp.array([1, 2]), jnp.array([0, 0]), 2)
    truth = states_of("rotate", instance)
    lm = TableLM(table=jnp.zeros((3, 3)), stop_tokens=())
    writer = Reasoning(lm, [0], RewardFunction(StepReward(truth)), max_steps=2, tokens_per_step=2, max_new_tokens=4)
    cloud, _ = jax.jit(lambda key: reasoning_filter(writer)(key, spawn(512)))(jax.random.key(0))
    # Four tokens of three kinds: mass 1/81. Relative standard error .177, from 1/9 twice at 512 lanes; four of them.
    assert float(jnp.exp(cloud.log_z)) * 81 == pytest.approx(1, abs=0.71)
    alive = cloud.log_weights > -jnp.inf
    assert alive.any() and bool(jnp.all(cloud.values.generation.tokens[alive] == truth.reshape(1, -1)))


def test_reward_is_one_for_true_beginnings_and_zero_after_a_stop_token():
    reward = StepReward(jnp.array([[1, 2], [2, 1]]))
    # The true states, their first, none, the first with a stop token 3, and a wrong symbol.
    tokens = jnp.array([[1, 2, 2, 1], [1, 2, 0, 0], [0, 0, 0, 0], [1, 2, 3, 0], [1, 1, 0, 0]])
    none = jnp.zeros(5)
    texts = Generation(tokens, jnp.array([4, 2, 0, 3, 2]), none > 0, none > 0, none.astype(int), none, none, ())
    assert jax.vmap(reward)(texts).tolist() == [1, 1, 1, 0, 0]


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="choose one of"):
        procedure_instance(jax.random.key(0), "sort", steps=2)
    with pytest.raises(ValueError, match="choose one of rotate, delete, push and pop, count"):
        states_of("sort", Instance(jnp.array([1, 2]), jnp.array([0]), 2))
    with pytest.raises(ValueError, match="a step, two places"):
        procedure_instance(jax.random.key(0), "rotate", steps=0)
    with pytest.raises(ValueError, match="probabilities"):
        StepReward(jnp.ones((1, 2), jnp.int32), wrong=1.5)
