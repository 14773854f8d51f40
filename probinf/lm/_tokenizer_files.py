"""Tokenizers from the metadata of a GGUF file, and from the files of a folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probinf.lm._chat import ChatTemplate
from probinf.lm._entries import Entries
from probinf.lm._errors import ModelFileError
from probinf.lm._optional import optional_module
from probinf.lm._safetensors import read_json
from probinf.lm._tokenizer import Tokenizer

_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5
_SPLIT_DIGITS = {"smollm": True, "gpt-2": False, "gpt2": False}
_TEMPLATE = "tokenizer.chat_template"

# The values of settings that leave byte-level BPE as it is.
_NEUTRAL = {
    "tokenizer.ggml.add_sep_token": (False,),
    "tokenizer.ggml.add_space_prefix": (False,),
    "tokenizer.ggml.remove_extra_whitespaces": (False,),
}
_NO_MATTER = (
    "tokenizer.ggml.*_token_id", "tokenizer.ggml.scores", "tokenizer.ggml.token_type_count",
    "tokenizer.huggingface.json", "tokenizer.chat_templates", f"{_TEMPLATE}*",
)  # fmt: skip


def tokenizer_from_gguf(path: Path, metadata: Mapping[str, Any], rows: int) -> Tokenizer:
    """Build the tokenizer that GGUF metadata describes (byte-level BPE, kinds `gpt-2` and `smollm`).

    Args:
        path: The file, for messages.
        metadata: The file's metadata.
        rows: Number of tokens of the model.

    Raises:
        ModelFileError: the metadata describe another kind of tokenizer.
    """
    tk = optional_module("tokenizers")
    settings = Entries(path, "metadata", {k: v for k, v in metadata.items() if k.startswith("tokenizer.")})
    model, kind = settings.get("tokenizer.ggml.model"), settings.get("tokenizer.ggml.pre", "gpt-2")
    if model != "gpt2" or kind not in _SPLIT_DIGITS:
        raise ModelFileError(f"The tokenizer {model!r} with pre-tokenizer {kind!r} is not supported.")
    settings.expect(_NEUTRAL)
    settings.ignore(*_NO_MATTER)
    tokens = settings["tokenizer.ggml.tokens"]
    merges = [tuple(line.split(" ", 1)) for line in settings["tokenizer.ggml.merges"]]
    core = tk.Tokenizer(tk.models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    byte_level = tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = [tk.pre_tokenizers.Digits(individual_digits=True)] if _SPLIT_DIGITS[kind] else []
    core.pre_tokenizer = tk.pre_tokenizers.Sequence([*digits, byte_level])
    core.decoder = tk.decoders.ByteLevel()
    kinds = np.asarray(settings.get("tokenizer.ggml.token_type", np.ones(len(tokens))))
    special = np.flatnonzero(kinds == _CONTROL)
    core.add_special_tokens([tk.AddedToken(tokens[i], special=True, normalized=False) for i in special])
    own = np.flatnonzero(kinds == _USER_DEFINED)
    core.add_tokens([tk.AddedToken(tokens[i], normalized=False) for i in own])
    named = {
        name.removeprefix("tokenizer.ggml.").removesuffix("_id"): int(i)
        for name, i in metadata.items()
        if name.startswith("tokenizer.ggml.") and name.endswith("_token_id") and 0 <= int(i) < len(tokens)
    }
    around = [named[f"{end}_token"] if _adds(settings, named, end) else None for end in ("bos", "eos")]
    if any(i is not None for i in around):
        first, last = ([] if i is None else [(tokens[i], i)] for i in around)
        core.post_processor = tk.processors.TemplateProcessing(
            single=[*(text for text, _ in first), "$A", *(text for text, _ in last)], special_tokens=[*first, *last]
        )
    templates = {
        name.removeprefix(_TEMPLATE).removeprefix(".") or "default": text
        for name, text in metadata.items()
        if name == _TEMPLATE or name.startswith(f"{_TEMPLATE}.")
    }
    settings.finish()
    return Tokenizer(
        core,
        special_tokens=special.tolist(),
        chat_template=ChatTemplate(templates, {name: tokens[i] for name, i in named.items()}),
        rows=rows,
        unused=np.flatnonzero(kinds == _UNUSED).tolist(),
    )


def _adds(settings: Entries, named: Mapping[str, int], end: str) -> bool:
    """Whether texts get a token at their begin or end; byte-level BPE adds none unless the file says so."""
    adds = bool(settings.get(f"tokenizer.ggml.add_{end}_token", False))
    if adds and f"{end}_token" not in named:
        raise ModelFileError(
            f"{settings.source} adds a token to texts but lacks the entry 'tokenizer.ggml.{end}_token_id'."
        )
    return adds


def tokenizer_from_folder(folder: Path, rows: int) -> Tokenizer:
    """Load `tokenizer.json`, with the chat templates and names of tokens that lie beside it.

    Raises:
        ModelFileError: a file is absent or cannot be read.
    """
    tk, path = optional_module("tokenizers"), folder / "tokenizer.json"
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist; a model folder needs its tokenizer.json.")
    try:
        core = tk.Tokenizer.from_file(str(path))
        added = json.loads(path.read_text(encoding="utf-8")).get("added_tokens", [])
    except Exception as problem:  # the package raises bare Exception
        raise ModelFileError(f"{path} is not a readable tokenizer file: {problem}") from None
    settings = tokenizer_settings(folder)
    for i, token in (settings.get("added_tokens_decoder") or {}).items():
        if core.token_to_id(token["content"]) != int(i):
            raise ModelFileError(
                f"{folder / 'tokenizer_config.json'} adds the token {token['content']!r}, which tokenizer.json lacks."
            )
    return Tokenizer(
        core,
        special_tokens=[token["id"] for token in added if token.get("special")],
        chat_template=ChatTemplate(_templates(folder, settings), _named_tokens(settings)),
        rows=rows,
    )


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    """The content of `tokenizer_config.json`, and of `special_tokens_map.json` where that says more."""
    files = [folder / name for name in ("special_tokens_map.json", "tokenizer_config.json")]
    return {name: value for file in files if file.is_file() for name, value in read_json(file).items()}


def stop_tokens_of_folder(folder: Path, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens that end a text: those of `generation_config.json`, or else of the other files together.

    As `generate` of transformers, which lets `generation_config.json` decide.
    """
    generation = folder / "generation_config.json"
    found = _listed(read_json(generation).get("eos_token_id") if generation.is_file() else None)
    if not found:
        found = _listed(read_json(folder / "config.json").get("eos_token_id"))
        written = _named_tokens(tokenizer_settings(folder)).get("eos_token")
        if written is not None:
            found += [i for i in (tokenizer.token_id(written),) if i is not None]
    return tuple(sorted(set(found)))


def _listed(ids: int | list[int] | None) -> list[int]:
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def _named_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens by name (`bos_token`), each written as text or as a record of it."""
    named = {name: value for name, value in settings.items() if name.endswith("_token") and value is not None}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in named.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _templates(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Chat templates by name: files come before settings."""
    others = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    files = {"default": folder / "chat_template.jinja"} | {path.stem: path for path in others}
    found = {name: path.read_text(encoding="utf-8") for name, path in files.items() if path.is_file()}
    older = folder / "chat_template.json"
    given = (
        found or settings.get("chat_template") or (read_json(older).get("chat_template") if older.is_file() else None)
    )
    if isinstance(given, list):
        return {entry["name"]: entry["template"] for entry in given}
    return {"default": given} if isinstance(given, str) else dict(given or {})
