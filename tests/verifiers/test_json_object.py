"""JsonObject against the standard library's parser, and what its prefixes are worth."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probinf.verifiers import JsonObject

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


def reference(text: str, keys: tuple[str, ...]) -> bool:
    """The same constraint by `json.loads`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("repeated key")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except ValueError:
        return False
    return isinstance(value, dict) and set(keys) <= set(value)


@settings(max_examples=100, deadline=None)
@given(
    value=st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
    edit=st.none() | st.tuples(st.integers(0, 60), st.integers(0, 2), st.sampled_from([*'{}[],:"\\ 0-.eE+tn\x01', ""])),
)
def test_agrees_with_the_standard_library(value, ascii_only, indent, edit):
    text = json.dumps({**value, "name": 1}, ensure_ascii=ascii_only, indent=indent)
    if edit is not None:
        at, removed, added = edit
        text = text[:at] + added + text[at + removed :]
    verifier = JsonObject(("name",))
    assert verifier.accepts(text) == reference(text, ("name",))
    if verifier.accepts(text):
        assert all(verifier.alive(text[:end]) for end in range(len(text)))


@pytest.mark.parametrize(
    "text",
    [
        ' {"name": "A", "age": 3}\n',
        '{"name": {"name": [1, -0.5e+3, true, null, {}]}, "age": ""}',
        '{"\\u006eame": 1, "age": "\\ud83d\\ude00 \\" \\\\"}',
    ],
)
def test_accepts_objects_with_the_keys(text):
    assert JsonObject(("name", "age")).accepts(text) and reference(text, ("name", "age"))


@pytest.mark.parametrize(
    "prefix",
    [
        "Sure",
        "[",
        '{"a" 1',
        "{'",
        '{"a": 01',
        '{"a": 1.e',
        '{"a": +',
        '{"a": NaN',
        '{"a": Tr',
        '{"a": "\t',
        '{"a": "\\x',
        '{"a": "\\u00g',
        '{"a": 1,}',
        '{"a": [1,]',
        '{"a": [1}',
        "{,",
        '{"a": 1 "b"',
        '{"a": 1, "a"',
        '{"name": {"b": 1, "b"',
        '{"name": 1, "\\u006eame"',
        '{"a": 1}',
        '{"name": 1} x',
        "\ufeff{",
    ],
)
def test_dead_prefixes(prefix):
    assert JsonObject(("name",)).log_potential(prefix, False) == -math.inf


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        " ",
        "{",
        '{"',
        '{"na',
        '{"a\\',
        '{"a\\u00',
        '{"a":',
        '{"a": -',
        '{"a": 1.',
        '{"a": 1e+',
        '{"a": tr',
        '{"a": [[{',
    ],
)
def test_living_prefixes(prefix):
    assert JsonObject(("name",)).log_potential(prefix, False) == 0.0


def test_progress_counts_outermost_keys_that_are_written():
    verifier = JsonObject(("name", "age"), strength=1.0)
    assert verifier.log_potential('{"name', False) == 0.0
    assert verifier.log_potential('{"name"', False) == 1.0
    assert verifier.log_potential('{"name": {"age": 1', False) == 1.0
    assert verifier.log_potential('{"name": 1, "age": 2}', False) == 2.0
    assert verifier.log_potential('{"name": 1, "age": 2}', True) == 2.0
    assert verifier.log_potential('{"name": 1, "age": 2', True) == -math.inf


def test_deep_nesting_is_read_without_recursion():
    deep = '{"name": ' + "[" * 5000 + "]" * 5000 + "}"
    assert JsonObject(("name",)).accepts(deep)


def test_an_incomplete_character_kills_nothing():
    assert JsonObject(("name",)).log_potential('{"name": "Zo\ufffd', False) == 1.5


@pytest.mark.parametrize(
    ("build", "error", "fix"),
    [
        (lambda: JsonObject(()), ValueError, "needs keys"),
        (lambda: JsonObject(("",)), ValueError, "not empty"),
        (lambda: JsonObject("name"), TypeError, r"\('name',\)"),
        (lambda: JsonObject(("a", "a")), ValueError, "once"),
    ],
)
def test_bad_keys_are_refused(build, error, fix):
    with pytest.raises(error, match=fix):
        build()
