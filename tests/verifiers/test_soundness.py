"""The law of every verifier: a dead prefix has no accepted continuation."""

import math
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probinf.verifiers import Answer, JsonObject, Verifier, WordCount, Words, parse_verifier

WORDS = "dog|Dog|DOG's|dogs|do|moon|mo| | | |-|'|.|a|_|\n|ß|\ufffd".split("|")
JSON = '{"|"|{|}|[|]|,|:| |name|"name"|"name": 1|"age": 2|\\u006e|\\|1|-|0|.|e|tr|ue|null|\n|é|\ufffd'.split("|")
ANSWER = "the answer is |The answer is|: | |$|-|1|2|12|5|0|,|.|.0|x|\n|/|e|^|%|or| million|\\boxed{|}|**|\u2212".split(
    "|"
)
CASES = {
    "words:dog,moon": WORDS,
    "words:dog,moon;max=3": WORDS,
    "words:dog;max=1": WORDS,
    "words:do-moon;max=1": WORDS,
    "count:2": WORDS,
    "json:name": JSON,
    "json:name,age": JSON,
    "answer:12": ANSWER,
    "answer:-12;intermediate=5": ANSWER,
    "answer:0": ANSWER,
}
# Short ends that could still save a prefix: with them `alive` is shown to be exact, and not only sound.
WORD_ENDS = ["", *("g|og|on|oon|s|-a|n|g moon|og moon|on dog|oon dog|n dog| dog| moon| dog moon".split("|"))]
WORD_ENDS += [" a" * size for size in range(1, 5)]
MEMBERS = ["", ":1", "1", "0", '"zz":1', "rue", "ue", "e", "n"]


def fail_unless_sound(verifier: Verifier, text: str) -> None:
    """No prefix of an accepted text is dead, once dead is dead, and the potential says the same."""
    was_alive = True
    for end in range(len(text) + 1):
        prefix = text[:end]
        alive, accepted = verifier.alive(prefix), verifier.accepts(prefix)
        assert was_alive or not alive, f"{prefix!r} came back to life"
        assert alive or not accepted, f"{prefix!r} is accepted and dead"
        assert (verifier.log_potential(prefix, True) > -math.inf) == accepted
        settled = prefix.rstrip("\ufffd")
        assert (verifier.log_potential(prefix, False) > -math.inf) == verifier.alive(settled)
        was_alive = alive


@pytest.mark.parametrize("spec", CASES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_extension_of_a_dead_prefix_is_accepted(spec, data):
    pieces = data.draw(st.lists(st.sampled_from(CASES[spec]), max_size=12))
    fail_unless_sound(parse_verifier(spec), "".join(pieces))


@pytest.mark.parametrize("spec", CASES)
@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=20))
def test_any_characters_are_judged(spec, text):
    fail_unless_sound(parse_verifier(spec), text)


@pytest.mark.parametrize(
    ("verifier", "start", "alphabet", "length"),
    [
        (Words(("a", "ab"), max_words=2), "", "ab -\n", 5),
        (WordCount(2), "", "ab' \n", 5),
        (JsonObject(("a",)), '{"a":', '1{},"a', 5),
        (Answer(10), "The answer is ", "10,.x", 4),
    ],
    ids=lambda case: getattr(case, "name", None),
)
def test_no_prefix_of_an_accepted_short_text_is_dead(verifier, start, alphabet, length):
    """Enumerates all texts over a small alphabet up to a length; some are dead."""
    saved: set[str] = set()
    judged = ["".join(letters) for size in range(length + 1) for letters in product(alphabet, repeat=size)]
    for text in judged:
        if verifier.accepts(start + text):
            saved.update(text[:end] for end in range(len(text) + 1))
    dead = {text for text in judged if not verifier.alive(start + text)}
    assert saved and dead
    assert not saved & dead


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.sampled_from(WORDS[:-1]), max_size=8))
def test_living_word_prefixes_have_an_accepted_end(pieces):
    prefix = "".join(pieces)
    for verifier in (Words(("dog", "moon")), Words(("dog", "moon"), max_words=4), WordCount(4)):
        assert verifier.alive(prefix) == any(verifier.accepts(prefix + end) for end in WORD_ENDS)


def can_close_json(prefix: str, verifier: JsonObject) -> bool:
    """Tries short ends: finish the string, the member and the open brackets, add the missing keys."""
    inside, stack, skip = False, [], False
    for letter in prefix:
        if skip or letter == "\\":
            skip = not skip
        elif letter == '"':
            inside = not inside
        elif not inside and letter in "{[":
            stack.append("}" if letter == "{" else "]")
        elif not inside and letter in "}]" and stack:
            stack.pop()
    strings = [e + '"' for e in ("", "n", "zz", "0", "00", "000", "0000", "nzz")] if inside else [""]
    closers = "".join(reversed(stack[1:]))
    starts, last = (["{"], "}") if not stack and not prefix.strip() else ([""], "}" if stack else "")
    needs = [",".join(f'"{key}":1' for key in keys) for r in range(3) for keys in combinations(verifier.keys, r)]
    for string, start, member, need, comma in product(strings, starts, MEMBERS, needs, ["", ","]):
        if verifier.accepts(prefix + string + start + member + closers + comma + need + last):
            return True
    return False


@pytest.mark.parametrize("spec", ["json:name", "json:name,age"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_living_json_prefixes_have_an_accepted_end(spec, data):
    verifier = parse_verifier(spec)
    assert isinstance(verifier, JsonObject)
    prefix = ""
    for _ in range(data.draw(st.integers(0, 12))):  # steered to stay alive, for else almost all would be dead
        prefix += data.draw(st.sampled_from([p for p in JSON if verifier.alive(prefix + p)] or [" "]))
    assert not verifier.alive(prefix) or can_close_json(prefix, verifier)


@pytest.mark.parametrize("spec", ["answer:12", "answer:-12;intermediate=5", "answer:0"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_living_answer_prefixes_have_an_accepted_end(spec, data):
    verifier = parse_verifier(spec)
    # Once the statement has ended: before that a number may become another one.
    prefix = "".join(data.draw(st.lists(st.sampled_from(ANSWER), max_size=8))) + "\n"
    ends = ["", " the answer is -12", " the answer is 12", " the answer is 0"]
    ends += [
        f"{stem}{value}{close}" for stem in ("", "\\boxed{") for value in (12, -12, 0) for close in ("", "}", "}}}}")
    ]
    assert verifier.alive(prefix) == any(verifier.accepts(prefix + end) for end in ends)


class HastyWords(Words):
    """Planted bug: takes the growing word for complete, so "mo" in the last place kills "moon"."""

    def alive(self, prefix: str) -> bool:
        return super().alive(prefix + " ")


class HastyAnswer(Answer):
    """Planted bug: judges a number before it is complete."""

    def alive(self, prefix: str) -> bool:
        return super().alive(prefix + ". ")


class HastyJson(JsonObject):
    """Planted bug: only a parsable text is alive."""

    def alive(self, prefix: str) -> bool:
        return self.accepts(prefix)


class ForgivingAnswer(Answer):
    """Planted bug: the last statement decides, although `alive` goes by the first."""

    def accepts(self, text: str) -> bool:
        return super().accepts(text[max(text.lower().rfind("the answer"), 0) :])


@pytest.mark.parametrize(
    ("verifier", "text"),
    [
        (HastyWords(("dog", "moon"), max_words=2), "dog moon"),
        (HastyAnswer(12), "The answer is 12."),
        (HastyJson(("name",)), '{"name": 1}'),
        (ForgivingAnswer(12), "The answer is 5. The answer is 12."),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, Verifier) else None,
)
def test_planted_bugs_are_seen(verifier, text):
    with pytest.raises(AssertionError):
        fail_unless_sound(verifier, text)
    fail_unless_sound(parse_verifier(verifier.name), text)
