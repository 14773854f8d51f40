"""Messages between processes that do not trust each other: length, then JSON."""

import json
import os
import struct
from typing import Any

HEADER = struct.Struct("!I")


class TooLarge(Exception):
    """A message is longer than its receiver allows."""


class Malformed(Exception):
    """Bytes that no honest sender writes."""


class Unsendable(TypeError):
    """A value that no message can carry."""


class Endless(Unsendable):
    """A tuple, or another value that cannot be changed, within itself."""


def send(descriptor: int, message: Any, limit: int) -> int:
    """Write one message and return its length.

    Raises: TooLarge; OSError where the other end is gone.
    """
    data = json.dumps(message).encode()
    if len(data) > limit:
        raise TooLarge(f"a message of {len(data)} bytes, where {limit} are allowed")
    rest = memoryview(HEADER.pack(len(data)) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return len(data)


def receive(descriptor: int, limit: int) -> bytes:
    """Read one message, which `parse` takes.

    Raises: EOFError where the other end is gone; TooLarge.
    """
    (size,) = HEADER.unpack(_exactly(descriptor, HEADER.size))
    if size > limit:
        raise TooLarge(f"a message of {size} bytes, where {limit} are allowed")
    return _exactly(descriptor, size)


def parse(data: bytes) -> Any:
    """Bytes as JSON.

    Raises: Malformed.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from None


def read_all(descriptor: int) -> Any:
    """The JSON that a whole file holds, from its start."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return json.loads(file.read())


def _exactly(descriptor: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(descriptor, min(size - len(parts), 2**16))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
