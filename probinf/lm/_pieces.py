"""The bytes that entries of a vocabulary stand for, by the decoder of their tokenizer."""

import json
import re
from collections.abc import Callable
from typing import Any

from probinf.lm._errors import ModelFileError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# They move or join what single entries stand for.
_NO_MATTER = ("Fuse", "Strip")


def piece_decoder(core: Any) -> tuple[Callable[[str], bytes], bool]:
    """Return the bytes of an entry as a function, and whether texts are written with a space before them.

    Args:
        core: A tokenizer of the package `tokenizers`.

    Raises:
        ModelFileError: the decoder is of an unknown kind.
    """
    steps = _flat(core.decoder, "decoders")
    kinds = [step["type"] for step in steps]
    if not steps and "ByteLevel" in [step["type"] for step in _flat(core.pre_tokenizer, "pretokenizers")]:
        kinds = ["ByteLevel"]
    if unknown := set(kinds) - {"ByteLevel", "ByteFallback", "Metaspace", "Replace", *_NO_MATTER}:
        raise ModelFileError(f"A tokenizer with the decoder {min(unknown)!r} is not supported.")
    replaced = [_replacement(step) for step in steps if step["type"] in ("Replace", "Metaspace")]

    def decode(piece: str) -> bytes:
        if "ByteFallback" in kinds and (match := _BYTE_TOKEN.fullmatch(piece)):
            return bytes([int(match.group(1), 16)])
        if "ByteLevel" in kinds and all(character in _BYTES for character in piece):
            return bytes(_BYTES[character] for character in piece)
        for old, new in replaced:
            piece = piece.replace(old, new)
        return piece.encode()

    return decode, any(_strips_a_space(step) for step in steps)


def _flat(part: Any, field: str) -> list[dict[str, Any]]:
    """The settings of a part of a tokenizer, of each step where it is a sequence."""
    state = {} if part is None else json.loads(part.__getstate__())
    steps = state.get(field, [state] if state else [])
    return [inner for step in steps for inner in (step.get(field) or [step])]


def _replacement(step: dict[str, Any]) -> tuple[str, str]:
    if step["type"] == "Metaspace":
        return step["replacement"], " "
    if "String" not in step["pattern"]:
        raise ModelFileError("A tokenizer whose decoder replaces regular expressions is not supported.")
    return step["pattern"]["String"], step["content"]


def _strips_a_space(step: dict[str, Any]) -> bool:
    if step["type"] == "Metaspace":
        return step.get("prepend_scheme", "always") != "never"
    return step["type"] == "Strip" and step["content"] == " " and step["start"] > 0


def _byte_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte in byte-level BPE, inverted."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_alphabet()
