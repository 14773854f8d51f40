"""Text to token identifiers and back, by the `tokenizers` package, built without any network."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from probinf.lm._errors import ModelFileError
from probinf.lm._optional import optional_module
from probinf.lm._stop import StopTable, stop_table

_CONTROL, _USER_DEFINED = 3, 4
_SPLIT_DIGITS = {"smollm": True, "gpt-2": False, "gpt2": False}
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Tokenizer:
    """A byte-level tokenizer and its chat format.

    `special_tokens` are identifiers that stand for structure and not for text.
    """

    def __init__(self, core: Any, *, special_tokens: Sequence[int] = (), system_text: str | None = None) -> None:
        self._core = core
        self.special_tokens = frozenset(int(token) for token in special_tokens)
        self.system_text = system_text

    @property
    def vocabulary_size(self) -> int:
        return self._core.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> np.ndarray:
        """Return the identifiers of a text, int32; special tokens written in it (`<|im_end|>`) are parsed."""
        return np.asarray(self._core.encode(text, add_special_tokens=False).ids, np.int32)

    def decode(self, ids: Sequence[int] | np.ndarray, *, skip_special: bool = True) -> str:
        """Return the text of identifiers; bytes that are not UTF-8 show as the replacement character."""
        kept = (int(i) for i in ids if not (skip_special and int(i) in self.special_tokens))
        return b"".join(self.token_bytes[i] for i in kept).decode("utf-8", errors="replace")

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each identifier stands for (a special token: its written form)."""
        added = {int(i): token.content for i, token in self._core.get_added_tokens_decoder().items()}
        table = [b""] * self.vocabulary_size
        for piece, i in self._core.get_vocab(with_added_tokens=True).items():
            table[i] = added[i].encode() if i in added else _piece_bytes(piece)
        return tuple(table)

    def chat(self, messages: str | Sequence[Mapping[str, str]]) -> str:
        """Return the prompt text of a conversation, up to the start of the assistant's reply.

        A string is one user message. The format is ChatML (`<|im_start|>role`, text, `<|im_end|>`), with the
        model's own default system message when the conversation brings none.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if self.system_text is not None and (not messages or messages[0]["role"] != "system"):
            messages = [{"role": "system", "content": self.system_text}, *messages]
        turns = (f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages)
        return "".join(turns) + "<|im_start|>assistant\n"

    def stop(self, *strings: str) -> StopTable:
        """Return the table that stops a `Continue` at the first of these strings, wherever token borders
        fall.
        """
        special = self.special_tokens
        table = [b"" if i in special else text for i, text in enumerate(self.token_bytes)]
        return stop_table(table, [string.encode() for string in strings])


def tokenizer_from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """Build the tokenizer that GGUF metadata describes (byte-level BPE, kinds `gpt-2` and `smollm`).

    Raises:
        ModelFileError: the metadata describe another kind of tokenizer.
    """
    tk = optional_module("tokenizers")
    model, kind = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "gpt-2")
    if model != "gpt2" or kind not in _SPLIT_DIGITS:
        raise ModelFileError(f"The tokenizer {model!r} with pre-tokenizer {kind!r} is not supported.")
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(line.split(" ", 1)) for line in metadata["tokenizer.ggml.merges"]]
    core = tk.Tokenizer(tk.models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    byte_level = tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = [tk.pre_tokenizers.Digits(individual_digits=True)] if _SPLIT_DIGITS[kind] else []
    core.pre_tokenizer = tk.pre_tokenizers.Sequence([*digits, byte_level])
    core.decoder = tk.decoders.ByteLevel()
    kinds = np.asarray(metadata.get("tokenizer.ggml.token_type", np.ones(len(tokens))))
    special = np.flatnonzero(kinds == _CONTROL)
    core.add_special_tokens([tk.AddedToken(tokens[i], special=True, normalized=False) for i in special])
    own = np.flatnonzero(kinds == _USER_DEFINED)
    core.add_tokens([tk.AddedToken(tokens[i], normalized=False) for i in own])
    return Tokenizer(
        core,
        special_tokens=special.tolist(),
        system_text=_system_text(metadata.get("tokenizer.chat_template")),
    )


def tokenizer_from_json(path: Path, chat_template: str | None = None) -> Tokenizer:
    """Load a `tokenizer.json`.

    Raises:
        ModelFileError: the file is absent or cannot be read.
    """
    tk = optional_module("tokenizers")
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist; a model folder needs its tokenizer.json.")
    try:
        core = tk.Tokenizer.from_file(str(path))
        added = json.loads(path.read_text(encoding="utf-8")).get("added_tokens", [])
    except Exception as problem:  # the package raises bare Exception
        raise ModelFileError(f"{path} is not a readable tokenizer file: {problem}") from None
    special = [token["id"] for token in added if token.get("special")]
    return Tokenizer(core, special_tokens=special, system_text=_system_text(chat_template))


def _system_text(template: str | None) -> str | None:
    """The default system message written into a ChatML template, if there is one."""
    found = re.search(r"<\|im_start\|>system\\?n?\s*(.*?)<\|im_end\|>", template or "", re.DOTALL)
    return found.group(1).removeprefix("\\n") if found and "{" not in found.group(1) else None


def _byte_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte in byte-level BPE, inverted."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_alphabet()


def _piece_bytes(piece: str) -> bytes:
    """The bytes of a vocabulary entry, in byte-level spelling, or with `▁` for a space and `<0x0A>` for a
    byte.
    """
    if match := _BYTE_TOKEN.fullmatch(piece):
        return bytes([int(match.group(1), 16)])
    if all(character in _BYTES for character in piece):
        return bytes(_BYTES[character] for character in piece)
    return piece.replace("\u2581", " ").encode()
