"""A Llama decoder and its tokenizer from a folder of `config.json`, safetensors and `tokenizer.json`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from probinf.lm._errors import ModelFileError
from probinf.lm._llama import Llama
from probinf.lm._llama_config import LlamaConfig
from probinf.lm._optional import optional_module
from probinf.lm._tokenizer import Tokenizer, tokenizer_from_json
from probinf.lm._weights import assemble_llama, checked_shape

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


def llama_from_folder(folder: Path) -> tuple[Llama, Tokenizer]:
    """Load a checkpoint of type `llama`, in one or several safetensors files, as float32.

    Raises:
        ModelFileError: a file is absent, damaged, or describes a model that is not supported.
    """
    settings = _json(folder / "config.json")
    config = _config(folder, settings)
    files = _tensor_files(folder)

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        prefix, _, last = name.rpartition(".")
        stored = prefix.replace("layer", "model.layers") + "." + _NAMES[last] if prefix else _NAMES[last]
        if stored not in files:
            raise ModelFileError(f"{folder} has no tensor named {stored!r}.")
        value = np.asarray(files[stored].get_tensor(stored)).astype(np.float32)
        return checked_shape(stored, value, shape)

    stop = settings.get("eos_token_id")
    stop = () if stop is None else (stop,) if isinstance(stop, int) else tuple(stop)
    tied = bool(settings.get("tie_word_embeddings", False)) or _NAMES["head"] not in files
    template = folder / "tokenizer_config.json"
    chat = _json(template).get("chat_template") if template.is_file() else None
    tokenizer = tokenizer_from_json(folder / "tokenizer.json", chat if isinstance(chat, str) else None)
    return assemble_llama(config, tensor, tied=tied, stop_tokens=stop), tokenizer


def _config(folder: Path, settings: dict[str, Any]) -> LlamaConfig:
    if settings.get("model_type") != "llama":
        kind = settings.get("model_type")
        raise ModelFileError(f"{folder} holds a model of type {kind!r}; only 'llama' is supported.")
    for name in ("attention_bias", "mlp_bias", "rope_scaling"):
        if settings.get(name):
            raise ModelFileError(f"{folder}: the option {name!r} is not supported.")
    try:
        heads, width = settings["num_attention_heads"], settings["hidden_size"]
        return LlamaConfig(
            vocabulary_size=settings["vocab_size"],
            dimension=width,
            layers=settings["num_hidden_layers"],
            heads=heads,
            key_value_heads=settings.get("num_key_value_heads") or heads,
            head_dimension=settings.get("head_dim") or width // heads,
            hidden_dimension=settings["intermediate_size"],
            context_length=settings["max_position_embeddings"],
            rope_base=float(settings.get("rope_theta", 10000.0)),
            norm_epsilon=float(settings.get("rms_norm_eps", 1e-6)),
        )
    except KeyError as missing:
        raise ModelFileError(f"{folder / 'config.json'} lacks the entry {missing}.") from None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ModelFileError(f"{path} is not valid JSON: {problem}") from None


def _tensor_files(folder: Path) -> dict[str, Any]:
    """Open every safetensors file of the folder; return the file that holds each tensor."""
    safetensors = optional_module("safetensors")
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ModelFileError(f"{folder} has no .safetensors file.")
    files = {}
    for path in paths:
        try:
            # The numpy reader knows no bfloat16; the flax reader gives JAX arrays and does.
            opened = safetensors.safe_open(str(path), framework="flax")
        except safetensors.SafetensorError as problem:
            raise ModelFileError(f"{path} is truncated or damaged: {problem}") from None
        files.update(dict.fromkeys(opened.keys(), opened))
    return files
