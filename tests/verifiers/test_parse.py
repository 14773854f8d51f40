"""Verifiers from text: each kind, the way back, and every malformed specification."""

import pytest

from probinf.verifiers import Answer, JsonObject, WordCount, Words, parse_verifier


@pytest.mark.parametrize(
    ("spec", "verifier"),
    [
        ("words:lamp,forest,song", Words(("lamp", "forest", "song"))),
        (" words : lamp , Forest ; max = 12 ; strength = 0.5 ", Words(("lamp", "Forest"), 12, 0.5)),
        ("count:8", WordCount(8)),
        ("json:name,age", JsonObject(("name", "age"))),
        ("json:name;strength=2", JsonObject(("name",), strength=2)),
        ("answer:-12", Answer(-12)),
        ("answer:12;intermediate=5,7", Answer(12, intermediate=(5, 7))),
    ],
)
def test_each_kind_and_back(spec, verifier):
    assert parse_verifier(spec) == verifier
    assert parse_verifier(verifier.name) == verifier


def test_different_constraints_are_different():
    assert parse_verifier("count:8") != parse_verifier("count:9")
    assert parse_verifier("words:a") != parse_verifier("words:a;max=3")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("regex:a+", "unknown verifier 'regex': choose one of answer, count, json, words"),
        ("", "unknown verifier ''"),
        ("words", "'words' has no argument: write it like 'words:lamp,forest,song;max=12'"),
        ("count:", "has no argument: write it like 'count:8'"),
        ("count:eight", "'eight' in the verifier 'count:eight' is not a whole number"),
        ("answer:12.5", "'12.5' in the verifier 'answer:12.5' is not a whole number"),
        ("answer:12;intermediate=5,x", "'x' in the verifier"),
        ("words:lamp;max=many", "'many' in the verifier"),
        (
            "words:lamp;strength=strong",
            "'strong' in the verifier 'words:lamp;strength=strong' is not a number",
        ),
        ("words:lamp;most=3", "'most=3' in the verifier .* give each of max, strength at most once"),
        ("words:lamp;max", "'max' in the verifier"),
        ("words:lamp;max=", "'max=' in the verifier"),
        ("words:lamp;max=3;max=4", "'max=4' in the verifier"),
        ("count:8;max=3", "give each of strength at most once"),
        ("words:lamp,,song", "'' is not one word"),
        ("words:two words", "'two words' is not one word"),
        ("json:name,", "keys that are not empty"),
        ("count:0", "at least one word"),
        ("count:8;strength=nan", "strength must be a finite number"),
    ],
)
def test_malformed_specifications_are_refused_in_one_sentence(spec, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_verifier(spec)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
