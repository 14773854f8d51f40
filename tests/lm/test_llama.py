"""The decoder against plain numpy: caches, shared prompts, moved lanes, padding, compilation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.lm import Llama, LlamaConfig
from tests.lm.models import CONFIG, full_log_probs, random_llama, random_tensors

PROMPT = np.array([3, 1, 4, 1, 5, 9, 2, 6], np.int32)
TOLERANCE = 2e-4


@eqx.filter_jit
def start(lm, ids, lanes, slots, length=None):
    return lm.start(ids, lanes, slots, length)


@eqx.filter_jit
def advance(lm, state, tokens, active=None):
    return lm.advance(state, tokens, active)


@eqx.filter_jit
def log_probs(lm, state):
    return lm.log_probs(state)


def texts(lanes, steps, seed=1):
    return np.random.default_rng(seed).integers(0, CONFIG.vocabulary_size, (lanes, steps)).astype(np.int32)


def reference(lm, tensors, written):
    """Log-probabilities of the token after the prompt and each lane's own text."""
    return np.stack([full_log_probs(lm, tensors, np.concatenate([PROMPT, row]))[-1] for row in written])


@pytest.mark.parametrize("tied", [False, True])
def test_cached_decoding_equals_full_recomputation(tied):
    lm, tensors = random_llama(tied=tied), random_tensors(tied=tied)
    written = texts(3, 5)
    state = start(lm, PROMPT, 3, 6)
    for step in range(5):
        np.testing.assert_allclose(log_probs(lm, state), reference(lm, tensors, written[:, :step]), atol=TOLERANCE)
        state = advance(lm, state, written[:, step])


def test_prompt_in_several_chunks_and_padded_equals_full_recomputation(monkeypatch):
    monkeypatch.setattr("probinf.lm._llama._CHUNK", 4)
    lm, tensors = random_llama(), random_tensors()
    for length in (3, 4, 6, 8):
        state = lm.start(jnp.asarray(PROMPT), 1, 2, length)
        expected = full_log_probs(lm, tensors, PROMPT[:length])[-1]
        np.testing.assert_allclose(lm.log_probs(state)[0], expected, atol=TOLERANCE)


def test_shared_prompt_equals_the_prompt_written_lane_by_lane():
    lm = random_llama()
    written = texts(3, 2)
    shared = start(lm, PROMPT, 3, 10)
    own = start(lm, PROMPT[:1], 3, 10)
    for token in PROMPT[1:]:
        own = advance(lm, own, np.full(3, token, np.int32))
    for step in range(2):
        shared, own = advance(lm, shared, written[:, step]), advance(lm, own, written[:, step])
    np.testing.assert_allclose(log_probs(lm, shared), log_probs(lm, own), atol=TOLERANCE)


@pytest.mark.parametrize(
    "ancestors",
    [[0, 1, 2, 3], [1, 0, 3, 2], [3, 3, 3, 3], [1, 2, 3, 0], [2, 2, 0, 0], [0, 0, 1, 3], [3, 1, 1, 0]],
)
def test_take_moves_lanes_for_any_ancestors_more_than_once(ancestors, monkeypatch):
    monkeypatch.setattr("probinf.lm._llama_state._COPIED_SLOTS", 2)
    lm, tensors = random_llama(), random_tensors()
    written = texts(4, 3)
    lengths = [3, 1, 2, 0]
    state = start(lm, PROMPT, 4, 7)
    for step in range(3):
        state = advance(lm, state, written[:, step], np.array([step < length for length in lengths]))
    histories = [row[:length] for row, length in zip(written, lengths, strict=True)]
    take = eqx.filter_jit(lambda state, ancestors: state.take(ancestors))
    for seed in (2, 3):
        state = take(state, np.array(ancestors))
        histories = [histories[a] for a in ancestors]
        new = texts(4, 2, seed)
        for step in range(2):
            state = advance(lm, state, new[:, step])
        histories = [np.concatenate([old, row]) for old, row in zip(histories, new, strict=True)]
        np.testing.assert_allclose(log_probs(lm, state), reference(lm, tensors, histories), atol=TOLERANCE)


def test_take_changes_the_number_of_lanes():
    lm, tensors = random_llama(), random_tensors()
    written = texts(4, 3)
    state = advance(lm, start(lm, PROMPT, 4, 4), written[:, 0])
    state = state.take(jnp.array([2, 0]))
    chosen = written[[2, 0]]
    state = advance(lm, state, chosen[:, 1])
    np.testing.assert_allclose(log_probs(lm, state), reference(lm, tensors, chosen[:, :2]), atol=TOLERANCE)


def test_idle_lanes_stay_as_they_are():
    lm, tensors = random_llama(), random_tensors()
    written = texts(2, 2)
    state = advance(lm, start(lm, PROMPT, 2, 4), written[:, 0])
    for _ in range(2):
        state = advance(lm, state, np.array([7, 8], np.int32), np.zeros(2, bool))
    state = advance(lm, state, written[:, 1])
    np.testing.assert_allclose(log_probs(lm, state), reference(lm, tensors, written), atol=TOLERANCE)


def test_compiled_equals_uncompiled_and_new_weights_do_not_retrace():
    traces = []

    @eqx.filter_jit
    def two_tokens(lm, ids):
        traces.append(1)
        state = lm.start(ids, 2, 2)
        return lm.log_probs(lm.advance(state, jnp.array([4, 5])))

    for seed in (0, 1):
        lm = random_llama(seed)
        compiled = two_tokens(lm, jnp.asarray(PROMPT))
        with jax.disable_jit():
            plain = lm.log_probs(lm.advance(lm.start(jnp.asarray(PROMPT), 2, 2), jnp.array([4, 5])))
        np.testing.assert_allclose(compiled, plain, atol=TOLERANCE)
    assert len(traces) == 1
    assert not jax.make_jaxpr(lambda ids, lm: lm.start(ids, 1, 1))(jnp.asarray(PROMPT), random_llama()).consts


def test_config_rejects_heads_that_cannot_be_grouped():
    with pytest.raises(ValueError, match=r"multiple of key_value_heads"):
        LlamaConfig(23, 12, 2, 4, 3, 6, 20, 64)
    assert isinstance(random_llama(), Llama)
