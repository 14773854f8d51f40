"""Messages between processes that do not trust each other: length, then JSON; values as plain Python literals."""

import json
import os
import struct
from typing import Any

HEADER = struct.Struct("!I")
# Within what every JSON reader, and Python's limit on the digits of an integer, takes.
_PLAIN_INTEGER = 2**53
_CONTAINERS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class TooLarge(Exception):
    """A message is longer than its receiver allows."""


class Malformed(Exception):
    """Bytes that no honest sender writes."""


class Unsendable(TypeError):
    """A value that is not made of plain Python types."""


def encode(value: Any) -> Any:
    """A value as JSON; an instance of a subclass counts as its plain base, because behavior is not sent.

    Raises: Unsendable for anything but numbers, text, bytes, None and the built-in containers of such.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        plain = int.__index__(value)
        return plain if abs(plain) < _PLAIN_INTEGER else {"int": hex(plain)}
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    for name, kind in _CONTAINERS.items():
        if isinstance(value, kind):
            return {name: [encode(item) for item in kind.__iter__(value)]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in dict.items(value)]}
    raise Unsendable(f"a value of type {type(value).__name__} cannot leave the sandbox")


def decode(message: Any) -> Any:
    """The value of a message; whatever the message, only plain built-in types are made.

    Raises: Malformed.
    """
    if not isinstance(message, dict):
        if isinstance(message, list):
            raise Malformed("a list without its type")
        return message
    try:
        ((name, content),) = message.items()
        if name in _CONTAINERS:
            return _CONTAINERS[name](decode(item) for item in content)
        if name == "dict":
            return {decode(key): decode(item) for key, item in content}
        if name == "int":
            return int(content, 16)
        if name == "bytes":
            return bytes.fromhex(content)
        if name == "complex":
            return complex(*content)
    except (TypeError, ValueError) as error:
        raise Malformed(str(error)) from None
    raise Malformed(f"no type is called {name!r}"[:80])


def send(descriptor: int, message: Any, limit: int) -> None:
    """Write one message.

    Raises: TooLarge; OSError where the other end is gone.
    """
    data = json.dumps(message).encode()
    if len(data) > limit:
        raise TooLarge(f"a message of {len(data)} bytes, where {limit} are allowed")
    data = memoryview(HEADER.pack(len(data)) + data)
    while data:
        data = data[os.write(descriptor, data) :]


def receive(descriptor: int, limit: int) -> Any:
    """Read one message.

    Raises: EOFError where the other end is gone; TooLarge; Malformed.
    """
    (size,) = HEADER.unpack(_exactly(descriptor, HEADER.size))
    if size > limit:
        raise TooLarge(f"a message of {size} bytes, where {limit} are allowed")
    return parse(_exactly(descriptor, size))


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
