"""A Llama decoder from a folder of `config.json` and safetensors files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from probinf.lm._entries import Entries
from probinf.lm._errors import ModelFileError
from probinf.lm._llama import Llama
from probinf.lm._llama_config import LlamaConfig
from probinf.lm._optional import optional_module
from probinf.lm._rotary import rotary_frequencies, scaled_frequencies
from probinf.lm._weights import assemble_llama, checked_shape, stored_name

_NAMES = {
    "embedding": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
    "attention_norm": "input_layernorm.weight",
    "query": "self_attn.q_proj.weight",
    "key": "self_attn.k_proj.weight",
    "value": "self_attn.v_proj.weight",
    "output": "self_attn.o_proj.weight",
    "feed_forward_norm": "post_attention_layernorm.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
}

# The matrices that an option gives a bias when it is true.
_ATTENTION = ("query", "key", "value")
_BIASES = {
    "attention_bias": (*_ATTENTION, "output"),
    "bias": _ATTENTION,
    "mlp_bias": ("gate", "up", "down"),
    "qkv_bias": _ATTENTION,
    "use_bias": _ATTENTION,
    "use_qkv_bias": _ATTENTION,
}

# The values that leave the network as it is, of options that other values would change. Null does too.
_NEUTRAL = {
    "add_cross_attention": (False,),
    "chunk_size_feed_forward": (0,),
    "hidden_act": ("silu", "swish"),
    "is_encoder_decoder": (False,),
    "partial_rotary_factor": (1,),
    "pruned_heads": ({},),
    "quantization_config": (),
    "rope_interleaved": (False,),
    "sliding_window": (),
    "tie_encoder_decoder": (False,),
    "use_sliding_window": (False,),
}

# What the model is called, how it was trained and stored, and settings of samplers.
_NO_MATTER = (
    "_*", "architectures", "transformers_version", "transformers.js_config", "torch_dtype", "dtype", "torchscript",
    "use_bfloat16", "use_cache", "return_dict", "return_dict_in_generate", "output_attentions",
    "output_hidden_states", "output_scores", "attn_implementation", "is_decoder", "is_llama_config", "pretraining_tp",
    "initializer_range", "attention_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop", "hidden_dropout",
    "bos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id", "decoder_start_token_id",
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params", "prefix",
    "max_sequence_length", "model_max_length", "neftune_noise_alpha", "tokenizer_class",
    "max_window_layers", "unsloth_*", "tf_legacy_loss",
    "max_length", "max_new_tokens", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
    "num_return_sequences", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty",
    "diversity_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "remove_invalid_values",
)  # fmt: skip


def llama_from_folder(folder: Path) -> Llama:
    """Load a checkpoint of type `llama`, in one or several safetensors files, as float32.

    Raises:
        ModelFileError: a file is absent, damaged, or describes a model that is not supported.
    """
    if (folder / "adapter_config.json").exists():
        raise ModelFileError(f"{folder} holds an adapter (adapter_config.json): merge it into the model first.")
    settings = Entries(folder / "config.json", "option", read_json(folder / "config.json"))
    config = _config(folder, settings)
    frequencies = _frequencies(settings, config)
    files = _tensor_files(folder)
    tensors = Entries(folder, "tensor", files)
    _check_biases(settings, tensors, config.layers)
    tied = _tied(settings, tensors)
    settings.get("eos_token_id")  # read with the tokenizer's files
    settings.finish()

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        stored = stored_name(name, _NAMES, "model.layers")
        if stored not in tensors:
            raise ModelFileError(f"{folder} has no tensor named {stored!r}.")
        return checked_shape(stored, _values(tensors, stored), shape)

    for name in tensors:
        if name.endswith("rotary_emb.inv_freq"):
            _check_rotary(folder, name, _values(tensors, name), config)
    lm = assemble_llama(
        config,
        tensor,
        tied=tied,
        stop_tokens=(),
        frequencies=frequencies,
        has=lambda name: stored_name(name, _NAMES, "model.layers") in tensors,
    )
    tensors.finish()
    return lm


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        ModelFileError: the file is absent, or holds something else.
    """
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ModelFileError(f"{path} is not valid JSON: {problem}") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{path} holds no JSON object.")
    return value


def _config(folder: Path, settings: Entries) -> LlamaConfig:
    if settings.get("model_type") != "llama":
        kind = settings.get("model_type")
        raise ModelFileError(f"{folder} holds a model of type {kind!r}; only 'llama' is supported.")
    settings.expect(_NEUTRAL)
    settings.ignore(*_NO_MATTER)
    if set(settings.get("layer_types", ())) - {"full_attention"}:
        raise ModelFileError(f"{folder}: the option 'layer_types' is supported with 'full_attention' only.")
    heads, width = settings["num_attention_heads"], settings["hidden_size"]
    return LlamaConfig(
        vocabulary_size=settings["vocab_size"],
        dimension=width,
        layers=settings["num_hidden_layers"],
        heads=heads,
        key_value_heads=settings.get("num_key_value_heads", heads),
        head_dimension=settings.get("head_dim", width // heads),
        hidden_dimension=settings["intermediate_size"],
        context_length=settings["max_position_embeddings"],
        rope_base=_rope_base(settings),
        norm_epsilon=float(settings.get("rms_norm_eps", 1e-6)),
    )


def _rope_base(settings: Entries) -> float:
    """The base, which transformers 5 writes inside `rope_parameters` and version 4 beside `rope_scaling`."""
    base = settings.get("rope_theta", 10000.0)
    return float((settings.get("rope_parameters") or {}).get("rope_theta", base))


def _frequencies(settings: Entries, config: LlamaConfig) -> np.ndarray:
    frequencies = rotary_frequencies(config.rope_base, config.head_dimension)
    given = [name for name in ("rope_parameters", "rope_scaling") if settings.get(name)]
    if len(given) == 2:
        raise ModelFileError(f"{settings.source}: 'rope_parameters' and 'rope_scaling' are both given: keep one.")
    for name in given:
        scaling = Entries(settings.source, f"entry of {name!r}", settings[name])
        scaling.expect({"partial_rotary_factor": (1,)})
        scaling.ignore("rope_theta", "rope_type", "type")
        frequencies = scaled_frequencies(frequencies, scaling, name)
        scaling.finish()
    return frequencies


def _check_biases(settings: Entries, tensors: Entries, layers: int) -> None:
    """An option that asks for biases needs them, and one that says there are none must not meet any."""
    for option, matrices in _BIASES.items():
        wanted = settings.get(option)
        if wanted is None:
            continue
        names = [
            stored_name(f"layer.{i}.{matrix}_bias", _NAMES, "model.layers")
            for i in range(layers)
            for matrix in matrices
        ]
        if wanted and (lacking := [name for name in names if name not in tensors]):
            raise ModelFileError(f"{settings.source}: the option {option!r} is true, but there is no {lacking[0]!r}.")
        if not wanted and option in ("attention_bias", "mlp_bias") and (found := [n for n in names if n in tensors]):
            raise ModelFileError(f"{settings.source}: the option {option!r} is false, but there is a {found[0]!r}.")


def _tied(settings: Entries, tensors: Entries) -> bool:
    """Whether the head is the embedding: where both are stored and differ, the tensor counts, as in transformers."""
    option, head = settings.get("tie_word_embeddings"), _NAMES["head"]
    if head not in tensors:
        if option is False:
            raise ModelFileError(
                f"{settings.source}: the option 'tie_word_embeddings' is false, but there is no {head!r}."
            )
        return True
    return bool(option) and np.array_equal(_values(tensors, head), _values(tensors, _NAMES["embedding"]))


def _check_rotary(folder: Path, name: str, stored: np.ndarray, config: LlamaConfig) -> None:
    """Old checkpoints store the unscaled frequencies, in as few as 16 bits."""
    expected = rotary_frequencies(config.rope_base, config.head_dimension)
    if stored.shape != expected.shape or not np.allclose(stored, expected, rtol=0.01, atol=1e-6):
        raise ModelFileError(f"{folder}: the tensor {name!r} holds other frequencies than config.json implies.")


def _values(tensors: Entries, name: str) -> np.ndarray:
    value = np.asarray(tensors[name].get_tensor(name))
    if value.dtype.kind in "iub":
        raise ModelFileError(f"{tensors.source}: the tensor {name!r} is stored as {value.dtype}, without its scale.")
    return value.astype(np.float32)


def _tensor_files(folder: Path) -> dict[str, Any]:
    """Open the model's safetensors files; return the file that holds each tensor.

    They are `model.safetensors`, else those that the index names, else all.
    """
    safetensors = optional_module("safetensors")
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").exists():
        paths = [folder / "model.safetensors"]
    elif index.exists():
        paths = [folder / name for name in sorted(set(read_json(index)["weight_map"].values()))]
    else:
        paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ModelFileError(f"{folder} has no .safetensors file.")
    files = {}
    for path in paths:
        if not path.is_file():
            raise ModelFileError(f"{path} does not exist, but the index names it.")
        try:
            # The numpy reader knows no bfloat16; the flax reader gives JAX arrays and does.
            opened = safetensors.safe_open(str(path), framework="flax")
        except safetensors.SafetensorError as problem:
            raise ModelFileError(f"{path} is truncated or damaged: {problem}") from None
        for name in opened.keys():  # noqa: SIM118, it is no dictionary
            if name in files:
                raise ModelFileError(f"{folder} holds the tensor {name!r} in two files.")
            files[name] = opened
    return files
