"""What servers do to a model's law by default, and the request fields that switch it off."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

_OPENAI = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
_TRUNCATION = {**_OPENAI, "min_p": 0, "top_k": 0}
# All defaults (`GET /props`) that truncate, penalize or temper; a command line or a GGUF file can set each of them.
_LLAMA_CPP = {
    **_TRUNCATION, "typical_p": 1, "top_n_sigma": -1, "xtc_probability": 0, "dynatemp_range": 0, "repeat_penalty": 1,
    "dry_multiplier": 0, "mirostat": 0, "adaptive_target": -1,
    "samplers": ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"],
}  # fmt: skip
# All that the model's generation_config.json sets there, and the watermark of the engine.
_VLLM = {**_TRUNCATION, "repetition_penalty": 1, "watermarking": False}


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a kind of server is asked for the model's own law.

    neutral: fields that switch off what the server does to the law by default. seeds: whether it is safe to send one
    seed a request. lists: whether the answer to a list of prompts tells as much as the answers to single ones.
    """

    neutral: Mapping[str, Any]
    seeds: bool = True
    lists: bool = True


# Servers ignore fields that they do not know, except for those named here.
DIALECTS = {
    "any": Dialect({**_LLAMA_CPP, **_VLLM}),
    "llama.cpp": Dialect(_LLAMA_CPP, lists=False),
    "vllm": Dialect(_VLLM),
    "vllm-cpu": Dialect(_VLLM, seeds=False),
    "sglang": Dialect({**_TRUNCATION, "top_k": -1, "repetition_penalty": 1}),
    "openai": Dialect(_OPENAI),
}


def dialect_of(name: str) -> Dialect:
    """The dialect of that name.

    Raises: ValueError for an unknown name.
    """
    if name not in DIALECTS:
        raise ValueError(f"dialect must be one of {', '.join(map(repr, DIALECTS))}, got {name!r}")
    return DIALECTS[name]
