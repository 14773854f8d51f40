"""Model files of random weights, in both formats, as tools write them."""

import json

import gguf
import numpy as np
import safetensors.numpy
import tokenizers
from gguf import quants

from probinf.lm import LlamaConfig
from probinf.lm._llama_gguf import _NAMES as GGUF_NAMES
from probinf.lm._safetensors import _NAMES as HF_NAMES
from tests.lm.models import CONFIG

# Quantized rows come in blocks of 32 numbers.
WIDE = LlamaConfig(
    vocabulary_size=262,
    dimension=32,
    layers=1,
    heads=4,
    key_value_heads=2,
    head_dimension=8,
    hidden_dimension=64,
    context_length=64,
)


TEMPLATE = (
    "{% for turn in messages %}{% if loop.first and turn['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe brief<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + turn['role'] + '\n' + turn['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def stored_name(name, names, layer):
    prefix, _, last = name.rpartition(".")
    stored = names[last.removesuffix("_bias")]
    stored = stored.replace("weight", "bias") if last.endswith("_bias") else stored
    return f"{prefix.replace('layer', layer)}.{stored}" if prefix else stored


def interleaved(weight, heads):
    """Rows in the order that GGUF files keep: the two halves of each head, alternating."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return np.stack([rows[:, 0], rows[:, 1]], axis=2).reshape(weight.shape)


def vocabulary():
    """256 bytes in byte-level spelling, three merges, and three special tokens."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = ["h e", "l l", "he ll"]
    return letters + [merge.replace(" ", "") for merge in merges] + [
        "<|im_start|>",
        "<|im_end|>",
        "<own>",
    ], merges


def write_gguf(path, tensors, *, kind=gguf.GGMLQuantizationType.F32, padding=0, others=(), **metadata):
    """A GGUF file with the tensors, `padding` tokens that only pad, `others` under their own names, and metadata.

    In the names of metadata `__` stands for a dot.
    """
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(WIDE.layers)
    writer.add_context_length(WIDE.context_length)
    writer.add_embedding_length(WIDE.dimension)
    writer.add_feed_forward_length(WIDE.hidden_dimension)
    writer.add_head_count(WIDE.heads)
    writer.add_head_count_kv(WIDE.key_value_heads)
    writer.add_layer_norm_rms_eps(WIDE.norm_epsilon)
    tokens, merges = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens + [f"[PAD{i}]" for i in range(padding)])
    writer.add_token_types([1] * 259 + [3, 3, 4] + [5] * padding)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(260)
    writer.add_chat_template(TEMPLATE)
    for name, value in metadata.items():
        name = name.replace("__", ".")
        add = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
        add[type(value)](name, value)
    for name, value in others:
        writer.add_tensor(name, value)
    for name, value in tensors.items():
        if name.removesuffix("_bias").endswith((".query", ".key")):
            value = interleaved(value, WIDE.heads if ".query" in name else WIDE.key_value_heads)
        if value.ndim == 1 or kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(stored_name(name, GGUF_NAMES, "blk"), value)
        else:
            packed = quants.quantize(value, kind)
            writer.add_tensor(stored_name(name, GGUF_NAMES, "blk"), packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_folder(folder, tensors, dtype=np.float32, *, others=(), **changes):
    """A folder with the tensors, `others` under their own names, and changes of its config.json."""
    folder.mkdir()
    settings = {
        "model_type": "llama", "vocab_size": CONFIG.vocabulary_size, "hidden_size": CONFIG.dimension,
        "num_hidden_layers": CONFIG.layers, "num_attention_heads": CONFIG.heads,
        "num_key_value_heads": CONFIG.key_value_heads, "head_dim": CONFIG.head_dimension,
        "intermediate_size": CONFIG.hidden_dimension, "max_position_embeddings": CONFIG.context_length,
        "rms_norm_eps": CONFIG.norm_epsilon, "rope_theta": CONFIG.rope_base, "eos_token_id": 3,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings | changes))
    named = {stored_name(k, HF_NAMES, "model.layers"): v.astype(dtype) for k, v in tensors.items()} | dict(others)
    safetensors.numpy.save_file(named, folder / "model.safetensors")
    core = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    core.add_special_tokens(["<end>"])
    core.save(str(folder / "tokenizer.json"))
    return folder
