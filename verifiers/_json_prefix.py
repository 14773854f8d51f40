"""Reads the start of a JSON object and says whether it can still become one."""

import json
import re
from typing import NamedTuple

_NOT_SPACE = re.compile(r"[^ \t\n\r]")
_CHARACTER = r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))'
_STRING = re.compile(rf'"{_CHARACTER}*"')
_STRING_START = re.compile(rf'"{_CHARACTER}*(?:\\(?:u[0-9a-fA-F]{{0,3}})?)?\Z')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_START = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?:\.[0-9]+)?[eE][+-]?[0-9]*)?)?\Z")
_CONSTANTS = ("true", "false", "null")


class JsonPrefix(NamedTuple):
    """What a text that may become one JSON object holds so far."""

    keys: frozenset[str]  # complete keys of the outermost object
    closed: bool  # the outermost object is complete


def _read_string(text: str, at: int) -> int | None:
    """Where the string at `at` ends: past the text while it is unfinished, None if it is not one."""
    if match := _STRING.match(text, at):
        return match.end()
    return len(text) + 1 if _STRING_START.match(text, at) else None


def _read_scalar(text: str, at: int) -> int | None:
    """As `_read_string`, for a string, a number or a constant."""
    if text[at] == '"':
        return _read_string(text, at)
    if text[at] in "-0123456789":
        if _NUMBER_START.match(text, at):
            return len(text) + 1
        match = _NUMBER.match(text, at)
        return match.end() if match else None
    for constant in _CONSTANTS:
        if text.startswith(constant, at):
            return at + len(constant)
        if constant.startswith(text[at:]):
            return len(text) + 1
    return None


def read_json_object(text: str) -> JsonPrefix | None:
    """Read `text` as the start of one JSON object (RFC 8259) in which no object repeats a key.

    Law: None if and only if no continuation of `text` is such an object; white space may surround it.
    """
    stack: list[set[str] | None] = []  # the keys of each open object, None for an open array
    outermost: set[str] = set()
    awaited = "start"
    at = 0
    while found := _NOT_SPACE.search(text, at):
        at, character = found.start(), found.group()
        closer = "]" if stack and stack[-1] is None else "}"
        end: int | None = at + 1
        if awaited == "start" and character == "{":
            awaited = "first key"
            stack.append(outermost)
        elif awaited in ("first key", "first value", "comma") and character == closer:
            stack.pop()
            awaited = "comma" if stack else "nothing"
        elif awaited == "comma" and character == ",":
            awaited = "value" if stack[-1] is None else "key"
        elif awaited == "colon" and character == ":":
            awaited = "value"
        elif awaited in ("first key", "key"):
            end, awaited = _read_string(text, at), "colon"
            if end is not None and end <= len(text):
                key, keys = json.loads(text[at:end]), stack[-1]
                if keys is None or key in keys:
                    return None
                keys.add(key)
        elif awaited in ("first value", "value"):
            if character in "{[":
                stack.append(set() if character == "{" else None)
                awaited = "first key" if character == "{" else "first value"
            else:
                end, awaited = _read_scalar(text, at), "comma"
        else:
            return None
        if end is None:
            return None
        at = end
    return JsonPrefix(frozenset(outermost), awaited == "nothing")
