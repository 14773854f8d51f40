"""Nothing in a model file that changes the network is ignored: it is used, or the file is refused by its name.

Independent values: numpy in float64 (`full_log_probs`), and logits by transformers 5.24 (`tiny_models`).
"""

import json
import shutil

import equinox as eqx
import numpy as np
import pytest

from probinf.lm import ModelFileError, load_model
from tests.lm.files import WIDE, write_folder, write_gguf
from tests.lm.models import CONFIG, MATRICES, full_log_probs, random_tensors

IDS = np.array([3, 1, 0, 2, 3, 1], np.int32)
ROWS = np.zeros(2, np.float32)


@eqx.filter_jit
def logits(lm, ids, length=None):
    return lm.logits(lm.start(ids, 1, 1, length))[0]


def differences(lm, ids):
    """Log-ratios of the next token's probabilities to that of token 0: the same whatever tokens are left out."""
    values = np.asarray(logits(lm, ids), float)
    return (values - values[0])[: int(np.isfinite(values).sum())]


def expected(lm, tensors, ids, **options):
    values = full_log_probs(lm, tensors, ids, **options)[-1]
    return (values - values[0])[: 4 if lm.config == CONFIG else None]


@pytest.mark.parametrize(
    ("biases", "options"),
    [
        (("query", "key", "value"), {}),
        (("query", "key", "value"), {"bias": True}),
        (("query", "key", "value"), {"qkv_bias": True}),
        (("query", "key", "value", "output"), {"attention_bias": True}),
        (("value",), {}),
        (MATRICES, {"attention_bias": True, "mlp_bias": True}),
    ],
)
def test_biases_of_a_folder_are_used(biases, options, tmp_path):
    tensors = random_tensors(biases=biases)
    lm = load_model(write_folder(tmp_path / "m", tensors, **options)).lm
    np.testing.assert_allclose(differences(lm, IDS), expected(lm, tensors, IDS), atol=2e-4)
    plain = {name: value for name, value in tensors.items() if not name.endswith("_bias")}
    assert np.abs(expected(lm, plain, IDS) - expected(lm, tensors, IDS)).max() > 0.1


@pytest.mark.parametrize("biases", [("query", "key", "value"), MATRICES])
def test_biases_of_a_gguf_file_are_used(biases, tmp_path):
    tensors = random_tensors(config=WIDE, biases=biases)
    lm = load_model(write_gguf(tmp_path / "m.gguf", tensors)).lm
    # Logits of a head of 32 random numbers are large: 1e-5 of them.
    np.testing.assert_allclose(differences(lm, IDS), expected(lm, tensors, IDS), atol=1e-3)


@pytest.mark.parametrize(
    ("metadata", "stretch"),
    [
        ({"llama__rope__scaling__factor": 4.0}, 4.0),
        ({"llama__rope__scale_linear": 4.0}, 4.0),
        ({"llama__rope__scaling__type": "linear", "llama__rope__scaling__factor": 4.0}, 4.0),
        ({"llama__rope__scaling__factor": 4.0, "llama__rope__scale_linear": 2.0}, 4.0),
        ({"llama__rope__scaling__type": "none", "llama__rope__scaling__factor": 4.0}, 1.0),
        ({"llama__rope__scaling__factor": 0.0}, 1.0),
    ],
)
def test_rotary_scaling_of_a_gguf_file_is_that_of_llama_cpp(metadata, stretch, tmp_path):
    # llama-model.cpp, load_hparams: linear where no type is given, the old key where the new one is absent.
    tensors = random_tensors(config=WIDE)
    lm = load_model(write_gguf(tmp_path / "m.gguf", tensors, **metadata)).lm
    np.testing.assert_allclose(differences(lm, IDS), expected(lm, tensors, IDS, stretch=stretch), atol=1e-3)
    assert np.abs(expected(lm, tensors, IDS) - expected(lm, tensors, IDS, stretch=4.0)).max() > 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"rope_scaling": {"type": "linear", "factor": 4.0}},
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}, "rope_theta": 5.0},
    ],
)
def test_linear_scaling_of_a_folder_is_used(options, tmp_path):
    tensors = random_tensors()
    lm = load_model(write_folder(tmp_path / "m", tensors, **options)).lm
    np.testing.assert_allclose(differences(lm, IDS), expected(lm, tensors, IDS, stretch=4.0), atol=2e-4)


@pytest.mark.parametrize("config", ["config.json", "config.v4.json"])
@pytest.mark.parametrize("name", ["llama", "llama2"])
def test_logits_are_those_of_transformers_in_both_styles_of_config(name, config, tmp_path, shared_data):
    folder = shared_data / "tiny_models" / name
    shutil.copytree(folder, tmp_path / name)
    shutil.copy(folder / config, tmp_path / name / "config.json")
    lm = load_model(tmp_path / name).lm
    for prompt in json.loads((folder / "golden.json").read_text())["prompts"]:
        ids = np.pad(prompt["ids"], (0, 128 - len(prompt["ids"])))
        found = logits(lm, ids, np.asarray(len(prompt["ids"])))
        np.testing.assert_allclose(found, prompt["last_logits"], atol=1e-4)


def test_a_stored_head_counts_where_the_config_ties_it(tmp_path):
    # transformers 5 leaves a head untied that is stored and differs.
    tensors = random_tensors()
    lm = load_model(write_folder(tmp_path / "m", tensors, tie_word_embeddings=True)).lm
    np.testing.assert_allclose(differences(lm, IDS), expected(lm, tensors, IDS), atol=2e-4)
    equal = tensors | {"head": tensors["embedding"]}
    assert load_model(write_folder(tmp_path / "e", equal, tie_word_embeddings=True)).lm.head is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"qkv_bias": True}, "qkv_bias"),
        ({"use_qkv_bias": True}, "use_qkv_bias"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"sliding_window": 16}, "sliding_window"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"rope_interleaved": True}, "rope_interleaved"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, "rope_scaling"),
        ({"rope_scaling": {"rope_type": "default", "factor": 4.0}}, "factor"),
        ({"rope_scaling": {"type": "linear", "factor": 4.0, "attention_factor": 2.0}}, "attention_factor"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "full_attention"),
        ({"logit_scale": 0.5}, "logit_scale"),
        ({"num_local_experts": 8}, "num_local_experts"),
        ({"residual_multiplier": 0.2}, "residual_multiplier"),
        ({"something_new": 0}, "something_new"),
    ],
)
def test_options_that_are_not_supported_are_refused_by_name(options, named, tmp_path):
    folder = write_folder(tmp_path / "m", random_tensors(tied="tie_word_embeddings" in options), **options)
    with pytest.raises(ModelFileError, match=f"'{named}'") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.1.input_layernorm.bias",
        "model.layers.0.mlp.gate_proj.weight_scale",
        "model.layers.2.self_attn.q_proj.weight",
        "model.norm.bias",
        "lm_head.bias",
        "score.weight",
    ],
)
def test_tensors_that_are_not_supported_are_refused_by_name(name, tmp_path):
    with pytest.raises(ModelFileError, match=f"'{name}'"):
        load_model(write_folder(tmp_path / "m", random_tensors(), others={name: ROWS}))


def test_biases_that_an_option_denies_are_refused(tmp_path):
    tensors = random_tensors(biases=("query", "key", "value"))
    with pytest.raises(ModelFileError, match=r"'attention_bias' is false, but there is a .*q_proj.bias"):
        load_model(write_folder(tmp_path / "m", tensors, attention_bias=False))


def test_stored_rotary_frequencies_must_be_those_of_the_config(tmp_path):
    name, half = "model.layers.0.self_attn.rotary_emb.inv_freq", np.arange(3) / 3
    right, wrong = (np.float32(base**-half) for base in (1e4, 1e6))
    load_model(write_folder(tmp_path / "right", random_tensors(), others={name: right}))
    with pytest.raises(ModelFileError, match=f"'{name}'"):
        load_model(write_folder(tmp_path / "wrong", random_tensors(), others={name: wrong}))


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"llama__rope__scaling__type": "yarn"}, "yarn"),
        ({"llama__rope__scaling__attn_factor": 1.5}, "llama.rope.scaling.attn_factor"),
        ({"llama__rope__scaling__yarn_log_multiplier": 0.1}, "llama.rope.scaling.yarn_log_multiplier"),
        ({"llama__attention__sliding_window": 16}, "llama.attention.sliding_window"),
        ({"llama__attention__scale": 0.5}, "llama.attention.scale"),
        ({"llama__expert_count": 8}, "llama.expert_count"),
        ({"llama__logit_scale": 0.5}, "llama.logit_scale"),
        ({"llama__vocab_size": 100}, "llama.vocab_size"),
        ({"llama__attention__value_length": 4}, "values of another width"),
        ({"llama__something_new": 0}, "llama.something_new"),
        ({"adapter__type": "lora"}, "adapter.type"),
        ({"general__type": "adapter"}, "general.type"),
        ({"split__count": 2}, "split.count"),
        ({"tokenizer__ggml__add_space_prefix": True}, "tokenizer.ggml.add_space_prefix"),
        ({"tokenizer__ggml__normalizer__lowercase": True}, "tokenizer.ggml.normalizer.lowercase"),
    ],
)
def test_metadata_that_is_not_supported_is_refused_by_name(metadata, named, tmp_path):
    with pytest.raises(ModelFileError, match=named):
        load_model(write_gguf(tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True), **metadata))


@pytest.mark.parametrize(
    "name", ["blk.0.attn_q_norm.weight", "blk.0.attn_norm.bias", "rope_factors_long.weight", "blk.1.attn_q.weight"]
)
def test_tensors_of_a_gguf_file_that_are_not_supported_are_refused_by_name(name, tmp_path):
    tensors = random_tensors(config=WIDE, tied=True)
    with pytest.raises(ModelFileError, match=f"'{name}'"):
        load_model(write_gguf(tmp_path / "m.gguf", tensors, others=[(name, ROWS)]))


@pytest.mark.parametrize(("name", "other"), [(b"general.url", b"general.doi"), (b"output.weight", b"outpux.weight")])
def test_what_a_gguf_file_holds_twice_is_refused(name, other, tmp_path):
    path = tmp_path / "m.gguf"
    write_gguf(
        path, random_tensors(config=WIDE), others=[("outpux.weight", ROWS)], general__url="a", general__doi="b"
    )  # fmt: skip
    path.write_bytes(path.read_bytes().replace(other, name))
    with pytest.raises(ModelFileError, match="twice"):
        load_model(path)


def test_metadata_that_changes_nothing_is_accepted(tmp_path):
    harmless = {
        "general__sampling__temp": 0.6, "general__quantized_by": "x", "quantize__imatrix__file": "x",
        "llama__expert_count": 0, "llama__rope__scaling__finetuned": False, "llama__vocab_size": WIDE.vocabulary_size,
        "tokenizer__ggml__padding_token_id": 0, "tokenizer__ggml__add_space_prefix": False,
    }  # fmt: skip
    load_model(write_gguf(tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True), **harmless))
    trained = {"attention_dropout": 0.1, "pretraining_tp": 2, "_name_or_path": "x", "rope_scaling": None}
    load_model(write_folder(tmp_path / "m", random_tensors(), **trained))


def test_an_adapter_and_a_tensor_in_two_files_are_refused(tmp_path):
    folder = write_folder(tmp_path / "m", random_tensors())
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    shutil.copy(folder / "a.safetensors", folder / "b.safetensors")
    with pytest.raises(ModelFileError, match=r"'lm_head.weight' in two files"):
        load_model(folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelFileError, match=r"adapter_config.json"):
        load_model(folder)
