"""Dequantize GGUF tensors to float32, bit for bit as the `gguf` package does."""

import numpy as np

from probinf.lm._errors import ModelFileError
from probinf.lm._optional import optional_module

F32, F16, Q4_0, Q4_1, Q8_0, BF16 = 0, 1, 2, 3, 8, 30
_SIZES = {F32: (1, 4), F16: (1, 2), BF16: (1, 2), Q4_0: (32, 18), Q4_1: (32, 20), Q8_0: (32, 34)}


def quantization(kind: int) -> tuple[int, int]:
    """Return (elements per block, bytes per block) of one GGUF tensor kind.

    Raises:
        ModelFileError: the kind is unknown.
    """
    if kind in _SIZES:
        return _SIZES[kind]
    gguf = optional_module("gguf")
    try:
        return gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
    except (ValueError, KeyError):
        raise ModelFileError(f"GGUF tensor kind {kind} is unknown; update the gguf package.") from None


def dequantize(data: np.ndarray, kind: int) -> np.ndarray:
    """Return the flat float32 values of the raw bytes `data` of one tensor.

    The common kinds are decoded here; the others go through the `gguf` package.
    """
    if kind == F32:
        return data.view("<f4").astype(np.float32)
    if kind == F16:
        return data.view("<f2").astype(np.float32)
    if kind == BF16:
        return (data.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if kind == Q8_0:
        blocks = data.reshape(-1, 34)
        return (blocks[:, 2:].view(np.int8).astype(np.float32) * _half(blocks, 0)).reshape(-1)
    if kind == Q4_0:
        values = _nibbles(data.reshape(-1, 18)[:, 2:])
        values -= 8.0
        values *= _half(data.reshape(-1, 18), 0)
        return values.reshape(-1)
    if kind == Q4_1:
        values = _nibbles(data.reshape(-1, 20)[:, 4:])
        values *= _half(data.reshape(-1, 20), 0)
        values += _half(data.reshape(-1, 20), 2)
        return values.reshape(-1)
    gguf = optional_module("gguf")
    quants = optional_module("gguf.quants")
    _, size = quantization(kind)
    try:
        return quants.dequantize(data.reshape(-1, size), gguf.GGMLQuantizationType(kind)).reshape(-1)
    except NotImplementedError:
        raise ModelFileError(f"GGUF tensor kind {kind} cannot be dequantized by the gguf package.") from None


def _half(blocks: np.ndarray, offset: int) -> np.ndarray:
    return np.ascontiguousarray(blocks[:, offset : offset + 2]).view("<f2").astype(np.float32)


def _nibbles(packed: np.ndarray) -> np.ndarray:
    """Unpack 4-bit values: the low halves of all bytes of a block first, then the high halves."""
    values = np.empty((packed.shape[0], 32), np.float32)
    values[:, :16] = packed & 0x0F
    values[:, 16:] = packed >> 4
    return values
