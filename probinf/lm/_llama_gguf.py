"""A Llama decoder and its tokenizer from a GGUF file."""

from typing import Any

import numpy as np

from probinf.lm._errors import ModelFileError
from probinf.lm._gguf import GGUFFile
from probinf.lm._llama import Llama
from probinf.lm._llama_config import LlamaConfig
from probinf.lm._weights import assemble_llama, checked_shape

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


def llama_from_gguf(file: GGUFFile) -> Llama:
    """Build the decoder that a GGUF file of architecture `llama` describes, in float32.

    Raises:
        ModelFileError: another architecture, or metadata and tensors that do not fit each other.
    """
    config = gguf_config(file)

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        prefix, _, last = name.rpartition(".")
        stored = prefix.replace("layer", "blk") + "." + _NAMES[last] if prefix else _NAMES[last]
        value = checked_shape(stored, file.tensor(stored), shape)
        if last in ("query", "key"):
            return unpermute(value, shape[0] // config.head_dimension)
        return value

    divisors = file.tensor("rope_freqs.weight") if "rope_freqs.weight" in file.tensors else None
    return assemble_llama(
        config,
        tensor,
        tied="output.weight" not in file.tensors,
        stop_tokens=_stop_tokens(file.metadata),
        frequency_divisors=divisors,
    )


def gguf_config(file: GGUFFile) -> LlamaConfig:
    """Read the sizes of the model from a GGUF file's metadata."""
    metadata = file.metadata
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise ModelFileError(f"{file.path} holds a model of architecture {architecture!r}; only 'llama' is supported.")
    if metadata.get("llama.rope.scaling.type", "none") != "none":
        raise ModelFileError(f"{file.path} uses rotary scaling, which is not supported.")
    try:
        heads, width = int(metadata["llama.attention.head_count"]), int(metadata["llama.embedding_length"])
        head = int(metadata.get("llama.attention.key_length", width // heads))
        if int(metadata.get("llama.rope.dimension_count", head)) != head:
            raise ModelFileError(f"{file.path} rotates only part of each head, which is not supported.")
        return LlamaConfig(
            vocabulary_size=file.tensors["token_embd.weight"].shape[0],
            dimension=width,
            layers=int(metadata["llama.block_count"]),
            heads=heads,
            key_value_heads=int(metadata.get("llama.attention.head_count_kv", heads)),
            head_dimension=head,
            hidden_dimension=int(metadata["llama.feed_forward_length"]),
            context_length=int(metadata["llama.context_length"]),
            rope_base=float(metadata.get("llama.rope.freq_base", 10000.0)),
            norm_epsilon=float(metadata.get("llama.attention.layer_norm_rms_epsilon", 1e-5)),
        )
    except KeyError as missing:
        raise ModelFileError(f"{file.path} lacks the entry {missing}.") from None


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorder the rows of a query or key matrix from interleaved to half-rotation order."""
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows, -1)


def _stop_tokens(metadata: dict[str, Any]) -> tuple[int, ...]:
    names = ("eos_token_id", "eot_token_id")
    found = {int(metadata[f"tokenizer.ggml.{name}"]) for name in names if f"tokenizer.ggml.{name}" in metadata}
    return tuple(sorted(found))
