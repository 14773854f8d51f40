"""Continuations of the exact toy model against enumeration: laws, stopping, resuming, errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import MeaningError
from probinf.lm import (
    Continue,
    Prompt,
    TableLM,
    decode_block,
    enumerate_sequences,
    random_table_lm,
    resample_block,
    start_generation,
    stop_table,
)
from tests.lm.models import random_llama

PIECES = [b"a", b"b", b"ab", b"<", b"ba<"]


def toy(stop_tokens=(3,), seed=0):
    return random_table_lm(jax.random.key(seed), 5, stop_tokens=stop_tokens)


def rows(generation):
    pairs = zip(np.asarray(generation.tokens), np.asarray(generation.length), strict=True)
    return [tuple(row[:end].tolist()) for row, end in pairs]


def test_enumeration_sums_to_one_in_float64(x64):
    table = jax.random.normal(jax.random.key(1), (4, 4), jnp.float64)
    texts, log_prob = enumerate_sequences(TableLM(table=table, stop_tokens=(2,)), np.array([0]), 5)
    assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-14)
    assert len(set(texts)) == len(texts) == sum(3**k for k in range(5)) + 3**5
    conditional = np.asarray(jax.nn.log_softmax(table, axis=-1))
    by_hand = [sum(conditional[a, b] for a, b in zip((0, *text), text, strict=False)) for text in texts]
    np.testing.assert_allclose(log_prob, by_hand, atol=1e-13)


def test_log_prob_is_exact_and_frequencies_follow_it():
    lm, n = toy(), 40_000
    texts, log_prob = enumerate_sequences(lm, np.array([0]), 4)
    exact = dict(zip(texts, log_prob, strict=True))
    generation = start_generation(Prompt(lm, [0], 4), n)
    for seed in (1, 2):
        generation = decode_block(jax.random.key(seed), Continue(lm, 2), generation)
    drawn = rows(generation)
    assert bool(generation.finished.all())
    np.testing.assert_allclose(generation.log_prob, [exact[row] for row in drawn], atol=1e-5)
    counts = {text: drawn.count(text) for text in sorted(exact, key=exact.__getitem__)[-20:]}
    for text, count in counts.items():
        p = np.exp(exact[text])
        # 20 comparisons at 5 standard errors: a false alarm once in 90,000 seeds, and the seed is fixed.
        assert abs(count - n * p) < 5 * np.sqrt(n * p * (1 - p)), text


def test_temperature_is_the_law_drawn_from():
    lm = toy(stop_tokens=())
    generation = start_generation(Prompt(lm, [0], 3), 8)
    generation = decode_block(jax.random.key(3), Continue(lm, 3, temperature=0.5), generation)
    texts, log_prob = enumerate_sequences(TableLM(table=lm.table / 0.5), np.array([0]), 3)
    exact = dict(zip(texts, log_prob, strict=True))
    np.testing.assert_allclose(generation.log_prob, [exact[row] for row in rows(generation)], atol=1e-5)


def test_lanes_stop_at_strings_that_straddle_tokens_and_go_on_afterwards():
    lm, n = toy(stop_tokens=()), 200
    stop = stop_table(PIECES, [b"aba"])
    generation = start_generation(Prompt(lm, [0], 12), n)
    found_before = np.zeros(n, int)
    for seed in range(6):
        before = rows(generation)
        was_finished = np.asarray(generation.finished)
        base = np.asarray(generation.log_prob)
        resumed_at = np.where(generation.stopped, generation.length, generation.resumed_at)
        generation = decode_block(jax.random.key(seed), Continue(lm, 3, stop), generation)
        after = rows(generation)
        np.testing.assert_allclose(generation.log_prob - base, generation.latest_log_prob, atol=1e-4)
        for i in range(n):
            assert after[i][: len(before[i])] == before[i]
            seen = [b"".join(PIECES[t] for t in after[i][resumed_at[i] : e]) for e in range(len(after[i]) + 1)]
            stopped_here = not was_finished[i] and b"aba" in seen[-1]
            assert bool(generation.stopped[i]) == stopped_here
            if stopped_here:
                assert b"aba" not in seen[-2]
            elif not was_finished[i]:
                assert len(after[i]) == min(len(before[i]) + 3, 12)
            found_before[i] += stopped_here
    assert (found_before > 1).any()
    assert bool(generation.finished.any())


def test_stop_table_knows_exactly_which_texts_contain_a_string():
    strings = [b"aba", b"b<", b"bab<b"]
    table = stop_table(PIECES, strings)
    tokens = np.random.default_rng(0).integers(0, 5, (300, 7))
    state = jnp.zeros(300, jnp.int32)
    for end in range(7):
        state = table.step(state, jnp.asarray(tokens[:, end]))
        read = [b"".join(PIECES[t] for t in row[: end + 1]) for row in tokens]
        expected = [any(string in text for string in strings) for text in read]
        assert np.asarray(table.found(state)).tolist() == expected
    assert 0 < sum(expected) < 300


def test_finished_lanes_are_absorbing():
    lm = toy(stop_tokens=(1, 3))
    generation = start_generation(Prompt(lm, [0], 5), 50)
    generation = decode_block(jax.random.key(0), Continue(lm, 3), generation)
    ended = np.asarray(generation.finished)
    assert ended.any() and not ended.all()
    before, log_prob = rows(generation), np.asarray(generation.log_prob)
    generation = decode_block(jax.random.key(1), Continue(lm, 4), generation)
    after = rows(generation)
    assert bool(generation.finished.all())
    for i in np.flatnonzero(ended):
        assert after[i] == before[i] and generation.log_prob[i] == log_prob[i]
        assert generation.latest_log_prob[i] == 0


def test_a_llama_cloud_goes_through_blocks_and_resampling():
    lm, prompt = random_llama(stop_tokens=(0,)), np.array([3, 1, 4])
    generation = start_generation(Prompt(lm, prompt, 8), 6)
    for seed in range(4):
        generation = decode_block(jax.random.key(seed), Continue(lm, 2), generation)
        generation = resample_block(generation, jnp.array([1, 1, 5, 0, 3, 0]))
    state = lm.start(jnp.asarray(prompt), 6, 8)
    replayed = np.zeros(6)
    for slot in range(8):
        inside = np.asarray(generation.length) > slot
        token = generation.tokens[:, slot]
        replayed += np.where(inside, np.asarray(lm.log_probs(state))[np.arange(6), token], 0)
        state = lm.advance(state, token)
    np.testing.assert_allclose(generation.log_prob, replayed, atol=1e-3)


def test_new_numbers_do_not_retrace():
    traces = []

    @eqx.filter_jit
    def run(key, prompt, continuation):
        traces.append(1)
        return continuation.sample_lanes(key, prompt.sample_lanes(key, (), 3), 3)

    for seed, ids in enumerate(([0], [1, 2, 3])):
        lm = toy(seed=seed)
        run(jax.random.key(seed), Prompt(lm, ids, 4), Continue(lm, 2, temperature=0.5 + seed))
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda lm: Prompt(lm, [], 4), r"non-empty"),
        (lambda lm: Prompt(lm, [5], 4), r"\[0, 5\)"),
        (lambda lm: Prompt(lm, [0], 0), r"at least 1"),
        (lambda lm: Continue(lm, 0), r"at least 1"),
        (lambda lm: Continue(lm, 1, temperature=0.0), r"positive"),
        (lambda lm: Continue(lm, 1, stop_table([b"a"], [b"a"])), r"knows 1 tokens but the model has 5"),
        (lambda lm: stop_table([b"a"], [b""]), r"not be empty"),
        (lambda lm: TableLM(table=jnp.zeros((2, 2)), stop_tokens=(2,)), r"must lie in"),
        (lambda lm: enumerate_sequences(lm, np.array([0]), 20), r"too many"),
    ],
)
def test_bad_input_is_refused_with_the_fix(build, message):
    with pytest.raises(ValueError, match=message):
        build(toy())


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"60 tokens .* 10, .* 64"):
        Prompt(random_llama(), np.ones(60, np.int32), 10)


def test_retracing_is_refused_and_not_silently_wrong():
    generation = start_generation(Prompt(toy(), [0], 4), 2)
    with pytest.raises(MeaningError, match=r"cannot be retraced"):
        Continue(toy(), 2).prefix(generation)
