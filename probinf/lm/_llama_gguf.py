"""A Llama decoder from a GGUF file."""

from typing import Any

import numpy as np

from probinf.lm._entries import Entries
from probinf.lm._errors import ModelFileError
from probinf.lm._gguf import GGUFFile
from probinf.lm._llama import Llama
from probinf.lm._llama_config import LlamaConfig
from probinf.lm._rotary import rotary_frequencies
from probinf.lm._weights import assemble_llama, checked_shape, stored_name

_NAMES = {
    "embedding": "token_embd.weight",
    "norm": "output_norm.weight",
    "head": "output.weight",
    "attention_norm": "attn_norm.weight",
    "query": "attn_q.weight",
    "key": "attn_k.weight",
    "value": "attn_v.weight",
    "output": "attn_output.weight",
    "feed_forward_norm": "ffn_norm.weight",
    "gate": "ffn_gate.weight",
    "up": "ffn_up.weight",
    "down": "ffn_down.weight",
}

# The values that leave the network as it is, of metadata that other values would change.
_NEUTRAL = {
    "general.type": ("model",),
    "split.count": (0, 1),
    "llama.attention.causal": (True,),
    "llama.attention.clamp_kqv": (0,),
    "llama.attention.max_alibi_bias": (0,),
    "llama.attention.scale": (0,),
    "llama.attention.sliding_window": (0,),
    "llama.attn_logit_softcapping": (0,),
    "llama.embedding_scale": (0, 1),
    "llama.expert_count": (0,),
    "llama.expert_used_count": (0,),
    "llama.final_logit_softcapping": (0,),
    "llama.logit_scale": (0, 1),
    "llama.residual_scale": (0, 1),
    "llama.rope.scaling.attn_factor": (1,),
    "llama.use_parallel_residual": (False,),
}

# Descriptions, the layout on disk, and settings of samplers; the tokenizer reads its own.
_NO_MATTER = (
    "general.*",
    "llama.rope.scaling.finetuned",
    "llama.rope.scaling.original_context_length",
    "llama.tensor_data_layout",
    "mradermacher.*",
    "quantize.*",
    "split.no",
    "split.tensors.count",
    "tokenizer.*",
)


def llama_from_gguf(file: GGUFFile) -> Llama:
    """Build the decoder that a GGUF file of architecture `llama` describes, in float32.

    Raises:
        ModelFileError: another architecture, metadata or tensors that are not supported, or some that do not fit
        each other.
    """
    metadata = Entries(file.path, "metadata", file.metadata)
    tensors = Entries(file.path, "tensor", file.tensors)
    config = gguf_config(metadata, tensors)
    frequencies = _frequencies(file, config, metadata, tensors)
    metadata.finish()

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        stored = stored_name(name, _NAMES, "blk")
        tensors.get(stored)
        value = checked_shape(stored, file.tensor(stored), shape)
        if name.rpartition(".")[2].removesuffix("_bias") in ("query", "key"):
            return unpermute(value, shape[0] // config.head_dimension)
        return value

    lm = assemble_llama(
        config,
        tensor,
        tied=_NAMES["head"] not in tensors,
        stop_tokens=_stop_tokens(file.metadata),
        frequencies=frequencies,
        has=lambda name: stored_name(name, _NAMES, "blk") in tensors,
    )
    tensors.finish()
    return lm


def gguf_config(metadata: Entries, tensors: Entries) -> LlamaConfig:
    """Read the sizes of the model from a GGUF file's metadata."""
    path, architecture = metadata.source, metadata.get("general.architecture")
    if architecture != "llama":
        raise ModelFileError(f"{path} holds a model of architecture {architecture!r}; only 'llama' is supported.")
    metadata.expect(_NEUTRAL)
    metadata.ignore(*_NO_MATTER)

    def whole(name: str, default: int | None = None) -> int:
        value = metadata[f"llama.{name}"] if default is None else metadata.get(f"llama.{name}", default)
        if np.ndim(value):
            if len(set(np.asarray(value).tolist())) != 1:
                raise ModelFileError(f"{path}: layers that differ in 'llama.{name}' are not supported.")
            value = value[0]
        return int(value)

    heads, width = whole("attention.head_count"), whole("embedding_length")
    head = whole("attention.key_length", width // heads)
    rows = tensors[_NAMES["embedding"]].shape[0]
    if whole("rope.dimension_count", head) != head:
        raise ModelFileError(f"{path} rotates only part of each head, which is not supported.")
    if whole("attention.value_length", head) != head:
        raise ModelFileError(f"{path} has values of another width than keys, which is not supported.")
    if whole("vocab_size", rows) != rows:
        raise ModelFileError(f"{path} has {rows} rows of embedding, but its 'llama.vocab_size' is another number.")
    return LlamaConfig(
        vocabulary_size=rows,
        dimension=width,
        layers=whole("block_count"),
        heads=heads,
        key_value_heads=whole("attention.head_count_kv", heads),
        head_dimension=head,
        hidden_dimension=whole("feed_forward_length"),
        context_length=whole("context_length"),
        rope_base=float(metadata.get("llama.rope.freq_base", 10000.0)),
        norm_epsilon=float(metadata["llama.attention.layer_norm_rms_epsilon"]),
    )


def _frequencies(file: GGUFFile, config: LlamaConfig, metadata: Entries, tensors: Entries) -> np.ndarray:
    """The rotary frequencies: divided by the tensor `rope_freqs.weight`, and by a linear factor.

    A factor without a type means linear scaling, and an absent factor is looked for under its old name, as in
    llama.cpp.
    """
    frequencies = rotary_frequencies(config.rope_base, config.head_dimension)
    if "rope_freqs.weight" in tensors:
        tensors.get("rope_freqs.weight")
        frequencies = frequencies / checked_shape(
            "rope_freqs.weight", file.tensor("rope_freqs.weight"), frequencies.shape
        )
    kind = metadata.get("llama.rope.scaling.type", "linear")
    if kind not in ("none", "linear"):
        raise ModelFileError(f"{file.path} uses rotary scaling of type {kind!r}, which is not supported.")
    old = float(metadata.get("llama.rope.scale_linear", 0.0))
    factor = float(metadata.get("llama.rope.scaling.factor", old))
    return frequencies if kind == "none" or factor == 0 else frequencies / factor


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorder the rows of a query or key matrix, or its bias, from interleaved to half-rotation order."""
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _stop_tokens(metadata: dict[str, Any]) -> tuple[int, ...]:
    names = (f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))
    return tuple(sorted({int(metadata[name]) for name in names if name in metadata}))
