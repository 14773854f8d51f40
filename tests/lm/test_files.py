"""Model files: what is written comes back, and what is broken is refused in one sentence."""

from dataclasses import replace

import gguf
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from gguf import quants

from probinf.lm import ModelFileError, load_model
from probinf.lm._gguf_quants import dequantize
from tests.lm.files import WIDE, vocabulary, write_folder, write_gguf
from tests.lm.models import CONFIG, random_tensors

KINDS = [gguf.GGMLQuantizationType[name] for name in ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q5_0")]


def matrices(lm):
    """The weights of a loaded model under their plain names."""
    cfg = lm.config
    query, pair = cfg.heads * cfg.head_dimension, cfg.key_value_heads * cfg.head_dimension
    found = {"embedding": lm.embedding, "norm": lm.norm} | ({} if lm.head is None else {"head": lm.head})
    for i, layer in enumerate(lm.layers):
        q, k, v = np.split(layer.query_key_value, [query, query + pair])
        gate, up = np.split(layer.gate_up, 2)
        found |= {
            f"layer.{i}.{name}": value
            for name, value in {
                "attention_norm": layer.attention_norm, "query": q, "key": k, "value": v,
                "output": layer.attention_output, "feed_forward_norm": layer.feed_forward_norm,
                "gate": gate, "up": up, "down": layer.down,
            }.items()
        }  # fmt: skip
    return {name: np.asarray(value) for name, value in found.items()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_dequantization_equals_the_gguf_package_bit_for_bit(kind):
    values = np.random.default_rng(0).normal(size=(7, 64)).astype(np.float32)
    packed = np.ascontiguousarray(quants.quantize(values, kind))
    expected = quants.dequantize(packed, kind)
    raw = packed.view(np.uint8).reshape(-1)
    np.testing.assert_array_equal(dequantize(raw, int(kind)), expected.reshape(-1))


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[4], KINDS[5]], ids=lambda kind: kind.name)
def test_gguf_round_trip(kind, tmp_path):
    tensors = random_tensors(config=WIDE, tied=True)
    model = load_model(write_gguf(tmp_path / "m.gguf", tensors, kind=kind))
    assert replace(model.lm.config, norm_epsilon=WIDE.norm_epsilon) == WIDE
    assert model.lm.config.norm_epsilon == np.float32(WIDE.norm_epsilon)
    assert model.lm.head is None and model.lm.stop_tokens == (260,)
    for name, value in matrices(model.lm).items():
        expected = tensors[name]
        if expected.ndim == 2 and kind != KINDS[0]:
            expected = quants.dequantize(quants.quantize(expected, kind), kind)
        np.testing.assert_array_equal(value, expected, err_msg=name)


def test_gguf_tokenizer_merges_splits_digits_and_parses_special_tokens(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True))
    tokenizer = load_model(path).tokenizer
    tokens, _ = vocabulary()
    assert [tokens[i] for i in tokenizer.encode("hello 12")] == ["hell", "o", "\u0120", "1", "2"]
    text = "<|im_start|>h\u00e9llo<own>\U0001f600<|im_end|>"
    ids = tokenizer.encode(text)
    assert (ids[0], ids[-1]) == (259, 260) and 261 in ids
    assert tokenizer.decode(ids, skip_special=False) == text
    assert tokenizer.decode(ids) == "h\u00e9llo<own>\U0001f600"
    assert tokenizer.token_bytes[258] == b"hell" and tokenizer.token_bytes[tokens.index("\u0120")] == b" "
    assert tokenizer.chat("hi") == (
        "<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    stop = tokenizer.stop("l o")
    state = jnp.zeros(1, jnp.int32)
    found = []
    for token in tokenizer.encode("hell ole"):
        state = stop.step(state, jnp.array([token]))
        found.append(bool(stop.found(state)[0]))
    assert found == [False, False, True, True, True]  # hell, space, o, l, e


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_safetensors_round_trip(dtype, tmp_path):
    tensors = random_tensors()
    model = load_model(write_folder(tmp_path / "folder", tensors, dtype))
    assert model.lm.config == CONFIG and model.name == "folder" and model.lm.stop_tokens == (3,)
    for name, value in matrices(model.lm).items():
        np.testing.assert_array_equal(value, tensors[name].astype(dtype).astype(np.float32), err_msg=name)
    assert model.tokenizer.encode("ab<end>").tolist() == [2, 3]


def test_every_truncation_of_a_gguf_file_is_refused(tmp_path):
    whole = write_gguf(tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True)).read_bytes()
    path = tmp_path / "cut.gguf"
    for size in [0, 3, 10, 30, 200, 1000, len(whole) // 2, len(whole) - 200]:
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFileError, match=r"truncated|empty|not a GGUF"):
            load_model(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"PK\x03\x04" + data[4:], r"not a GGUF file"),
        (lambda data: data[:4] + b"\x09" + data[5:], r"version 9"),
        (lambda data: data.replace(b"llama", b"gemma", 1), r"architecture|lacks"),
        (lambda data: data.replace(b"gpt2", b"bert", 1), r"tokenizer 'bert'"),
        (lambda data: data.replace(b"llama.block_count", b"llama.block_c0unt", 1), r"lacks the entry"),
        (lambda data: data.replace(b"blk.0.attn_q", b"blk.0.attn_x", 1), r"no tensor named 'blk.0.attn_q"),
    ],
)
def test_wrong_gguf_files_are_refused(damage, message, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelFileError, match=message):
        load_model(path)


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"type 'bert'"):
        load_model(write_folder(tmp_path / "kind", random_tensors(), model_type="bert"))
    with pytest.raises(ModelFileError, match=r"'rope_scaling' is not supported"):
        load_model(write_folder(tmp_path / "rope", random_tensors(), rope_scaling={"factor": 2}))
    with pytest.raises(ModelFileError, match=r"shape .* implies"):
        load_model(write_folder(tmp_path / "shape", random_tensors(), intermediate_size=21))
    cut = write_folder(tmp_path / "cut", random_tensors())
    file = cut / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(ModelFileError, match=r"truncated"):
        load_model(cut)
    file.unlink()
    with pytest.raises(ModelFileError, match=r"no .safetensors"):
        load_model(cut)
    with pytest.raises(ModelFileError, match=r"neither an existing path nor a known model"):
        load_model("no-such-model")
