"""Read GGUF files: a metadata dictionary and memory-mapped tensors.

Metadata is parsed here with `struct` and numpy: a vocabulary of 50,000 strings takes a tenth of a second,
where a reader that builds one array per field takes many.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probinf.lm._errors import ModelFileError
from probinf.lm._gguf_quants import dequantize, quantization

_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies in the file; `shape` is in numpy's order, outermost axis first."""

    shape: tuple[int, ...]
    kind: int
    start: int


@dataclass(frozen=True)
class GGUFFile:
    """An opened GGUF file: its metadata, and its tensors by name."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]
    data: np.ndarray

    def tensor(self, name: str) -> np.ndarray:
        """Return one tensor as float32.

        Raises:
            ModelFileError: the tensor is absent, or the file ends before it does.
        """
        if name not in self.tensors:
            raise ModelFileError(f"{self.path} has no tensor named {name!r}.")
        info = self.tensors[name]
        block, size = quantization(info.kind)
        count = int(np.prod(info.shape, dtype=np.int64))
        if not info.shape or info.shape[-1] % block:
            raise ModelFileError(f"{self.path}: tensor {name!r} of shape {info.shape} has a ragged last block.")
        stop = info.start + count // block * size
        if stop > self.data.size:
            raise ModelFileError(f"{self.path} is truncated: tensor {name!r} ends at byte {stop} of {self.data.size}.")
        return dequantize(self.data[info.start : stop], info.kind).reshape(info.shape)


class _Reader:
    """A cursor over the header's bytes."""

    def __init__(self, data: np.ndarray) -> None:
        self.view = memoryview(data)  # pyright: ignore[reportArgumentType]
        self.position = 0

    def take(self, size: int) -> memoryview:
        if size > len(self.view) - self.position:
            raise EOFError
        self.position += size
        return self.view[self.position - size : self.position]

    def scalar(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        return bytes(self.take(self.scalar("Q"))).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            element, count = self.scalar("I"), self.scalar("Q")
            if element in _SCALARS:
                dtype = np.dtype("<" + _SCALARS[element])
                return np.frombuffer(self.take(count * dtype.itemsize), dtype=dtype)
            return [self.value(element) for _ in range(count)]
        return self.scalar(_SCALARS[kind])


def read_gguf(path: Path) -> GGUFFile:
    """Open a GGUF file: parse its metadata and map its tensors.

    Raises:
        ModelFileError: the file is not GGUF, is of an unknown version, or is truncated.
    """
    if path.stat().st_size == 0:
        raise ModelFileError(f"{path} is empty; delete it and download the model again.")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    reader = _Reader(data)
    try:
        magic = bytes(reader.take(4))
        if magic != b"GGUF":
            raise ModelFileError(f"{path} is not a GGUF file: it starts with {magic!r}, not b'GGUF'.")
        version = reader.scalar("I")
        if version not in _VERSIONS:
            raise ModelFileError(f"{path} is GGUF version {version}; versions {_VERSIONS} can be read.")
        tensor_count, entry_count = reader.scalar("Q"), reader.scalar("Q")
        metadata = {}
        for _ in range(entry_count):
            name = reader.string()
            metadata[name] = reader.value(reader.scalar("I"))
        infos = []
        for _ in range(tensor_count):
            name, rank = reader.string(), reader.scalar("I")
            shape = tuple(reversed([reader.scalar("Q") for _ in range(rank)]))
            infos.append((name, shape, reader.scalar("I"), reader.scalar("Q")))
    except (EOFError, KeyError, struct.error, MemoryError):
        raise ModelFileError(
            f"{path} is truncated or damaged: its header cannot be read to the end; download the model again."
        ) from None
    for kind, names in (("entry", metadata), ("tensor", {info[0] for info in infos})):
        if len(names) != (entry_count if kind == "entry" else tensor_count):
            raise ModelFileError(f"{path} holds some {kind} twice, so that it is unclear which one counts.")
    alignment = int(metadata.get("general.alignment", 32))
    base = -(-reader.position // alignment) * alignment
    tensors = {name: TensorInfo(shape, kind, base + offset) for name, shape, kind, offset in infos}
    return GGUFFile(path, metadata, tensors, data)
