"""Prompts that are read piece by piece before a run: the same law as read at once, and progress on the way."""

import jax.numpy as jnp
import numpy as np
import pytest

from probinf.lm import Prompt, TableLM, read_prompt, start_generation
from tests.lm.models import full_log_probs, random_llama, random_tensors

PROMPT = np.arange(45) % 23


def after(lm, ids, token=3):
    """Log-probabilities after the prompt, and after one token more."""
    state = start_generation(Prompt(lm, ids, 4), 2).state
    return np.stack([lm.log_probs(state), lm.log_probs(lm.advance(state, jnp.full(2, token)))])


@pytest.mark.parametrize("size", [7, 16, 128])
def test_a_prompt_in_pieces_gives_the_law_of_one_piece(size, monkeypatch):
    monkeypatch.setattr("probinf.lm._llama._CHUNK", size)
    lm, seen = random_llama(), []
    read = read_prompt(lm, PROMPT, lambda done, total: seen.append((done, total)))
    assert seen == [(min(end, 45), 45) for end in range(min(size, 64), 45 + size, size)][: -(-45 // size)]
    # Numpy in float64, the whole text at once.
    expected = full_log_probs(lm, random_tensors(), np.append(PROMPT, 3))[-2:]
    np.testing.assert_allclose(after(read, PROMPT), np.broadcast_to(expected[:, None], (2, 2, 23)), atol=2e-4)
    np.testing.assert_allclose(after(read, PROMPT), after(lm, PROMPT), atol=1e-5)
    assert (read.vocabulary_size, read.context_length, read.stop_tokens) == (23, 64, ())


@pytest.mark.parametrize("other", [PROMPT[:-1], np.append(PROMPT, 1), PROMPT[::-1], PROMPT[:9]])
def test_after_another_prompt_there_is_no_law(other):
    assert np.isnan(after(read_prompt(random_llama(), PROMPT), other)).all()


def test_other_models_are_returned_and_bad_prompts_are_refused():
    table = TableLM(table=jnp.zeros((3, 3)))
    assert read_prompt(table, [1]) is table
    with pytest.raises(ValueError, match="context length 64"):
        read_prompt(random_llama(), np.zeros(64, int))
    with pytest.raises(ValueError, match="non-empty"):
        read_prompt(random_llama(), [])
