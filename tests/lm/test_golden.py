"""The real model against numbers computed by llama.cpp; skipped where the model is not in the cache."""

import json
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.lm import ModelFileError, load_model, model_path

GOLDEN = Path(__file__).with_name("golden_smollm2.json")
BUCKET = 64


@pytest.fixture(scope="module")
def model():
    try:
        model_path("smollm2")
    except ModelFileError as absent:
        pytest.skip(str(absent))
    return load_model("smollm2")


@eqx.filter_jit
def next_log_probs(lm, ids, length):
    return lm.log_probs(lm.start(ids, 1, 1, length))[0]


@eqx.filter_jit
def next_logits(lm, ids, length):
    return lm.logits(lm.start(ids, 1, 1, length))[0]


def padded(ids):
    return jnp.asarray(np.pad(ids, (0, BUCKET - len(ids))))


def test_log_probs_agree_with_an_independent_implementation(model):
    cases = json.loads(GOLDEN.read_text())["cases"]
    differences = []
    for case in cases:
        ids = model.tokenizer.encode(case["prompt"])
        assert len(ids) == case["prompt_tokens"]
        assert model.tokenizer.decode(ids, skip_special=False) == case["prompt"]
        log_probs = np.asarray(next_log_probs(model.lm, padded(ids), jnp.asarray(len(ids))))
        assert log_probs.argmax() == case["top"][0], case["prompt"]
        differences.append(log_probs[case["top"]] - case["log_prob"])
    assert len(cases) == 20
    # The other side keeps its key-value cache in 16 bits.
    assert np.abs(differences).max() < 0.02


def test_chat_format_and_special_tokens(model):
    text = model.tokenizer.chat("Hello")
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = model.tokenizer.encode(text)
    assert ids[0] == 1 and (ids == 1).sum() == 3 and (ids == 2).sum() == 2
    assert model.lm.stop_tokens == (2,)
    assert "<|im" not in model.tokenizer.decode(ids)


def test_published_logits(model, shared_data):
    cases = json.loads((shared_data / "smollm2_golden_logits.json").read_text())["cases"]
    for case in cases:
        assert model.tokenizer.encode(case["prompt"]).tolist() == case["ids"]
    fitting = [case for case in cases if len(case["ids"]) <= BUCKET][:8]
    assert fitting
    for case in fitting:
        logits = np.asarray(next_logits(model.lm, padded(case["ids"]), jnp.asarray(len(case["ids"]))))
        assert logits.argmax() == case["argmax"][-1]
        np.testing.assert_allclose(logits[case["top5"]], case["top5_logit"], atol=0.05)
