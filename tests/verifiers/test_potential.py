"""TextPotential and Accepted on clouds of token sequences."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probinf._measure import as_measure
from probinf.verifiers import Accepted, JsonObject, TextPotential, Verifier, WordCount, Words
from probinf.verifiers._lane_texts import settle

END = 0  # the token that ends a text
SLOTS = 12


class Bytes:
    """A tokenizer with one token a byte; token 0 marks the end and gives no text."""

    def __init__(self) -> None:
        self.calls = 0

    def decode(self, ids: list[int], /) -> str:
        assert all(type(token) is int for token in ids)
        self.calls += 1
        return bytes(token for token in ids if token != END).decode("utf-8", errors="replace")


class Lanes(NamedTuple):
    """The part of a Generation that text factors read."""

    tokens: jax.Array
    length: jax.Array
    finished: jax.Array


def lanes(*texts: str | bytes, finished: bool | list[bool] = False, slots: int = SLOTS) -> Lanes:
    """Each text as a lane; what follows its length is noise that must not be read."""
    rows = [text.encode() if isinstance(text, str) else text for text in texts]
    tokens = np.full((len(rows), slots), ord("?"))
    for row, text in zip(tokens, rows, strict=True):
        row[: len(text)] = list(text)
    done = np.broadcast_to(np.asarray(finished), len(rows))
    return Lanes(jnp.asarray(tokens), jnp.asarray([len(row) for row in rows]), jnp.asarray(done))


def test_potential_of_each_lane():
    cloud = lanes(
        "a dog",
        "a dog ",
        "a dog ",
        "one two three",
        "a dog\n",
        finished=[False, False, True, False, False],
        slots=16,
    )
    values = TextPotential(Words(("dog",), max_words=2), Bytes()).log_density_lanes(cloud, 5)
    np.testing.assert_array_equal(values, [0.0, 1.5, 1.5, -np.inf, 1.5])


def test_only_finished_lanes_are_accepted():
    cloud = lanes("a dog", "a dog", "a cat", "a dog\n", finished=[False, True, True, False])
    verifier, tokenizer = Words(("dog",)), Bytes()
    np.testing.assert_array_equal(
        Accepted(verifier, tokenizer).log_density_lanes(cloud, 4), [-np.inf, 0, -np.inf, -np.inf]
    )
    with_stop = Accepted(verifier, tokenizer, stop="\n").log_density_lanes(cloud, 4)
    np.testing.assert_array_equal(with_stop, [-np.inf, 0, -np.inf, 0])


def test_the_end_token_is_no_text():
    cloud = lanes(b"dog\x00", finished=True)
    assert Accepted(WordCount(1), Bytes()).log_density_lanes(cloud, 1)[0] == 0


def test_text_after_the_stop_string_does_not_count():
    verifier = JsonObject(("a",))
    cloud = lanes('{"a":1}\n\nSo', '{"a":1} So\n\n')
    for factor in (TextPotential(verifier, Bytes(), stop="\n\n"), Accepted(verifier, Bytes(), stop="\n\n")):
        values = factor.log_density_lanes(cloud, 2)
        assert values[0] > -np.inf and values[1] == -np.inf
    assert TextPotential(verifier, Bytes()).log_density_lanes(cloud, 2)[0] == -np.inf


@pytest.mark.parametrize(
    ("text", "finished", "stop", "expected"),
    [
        ("ab##c", False, "##", ("ab", True)),
        ("ab#", False, "##", ("ab", False)),
        ("ab#", True, "##", ("ab#", True)),
        ("ab##-#", False, "##-##", ("ab", False)),
        ("abaab", False, "aabb", ("ab", False)),
        ("ab\ufffd", False, None, ("ab", False)),
        ("ab\ufffd", True, None, ("ab\ufffd", True)),
        ("\ufffdab#\ufffd", False, "##", ("\ufffdab", False)),
    ],
)
def test_only_the_settled_part_is_read(text, finished, stop, expected):
    assert settle(text, finished, stop) == expected


@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(st.sampled_from(["dog", " ", "é", "#", "##", "\n", "a", "\U0001f415"]), max_size=6).map("".join),
    stop=st.sampled_from([None, "\n", "##", "#a#"]),
)
def test_a_dead_lane_is_never_accepted_later(text, stop):
    """Law, byte by byte, so that characters and stop strings are cut at every place."""
    raw = text.encode()
    tokenizer, slots = Bytes(), len(raw) + 1
    prefixes = [raw[:end] for end in range(len(raw) + 1)]
    for verifier in (Words(("dog",), max_words=2), WordCount(2)):
        guide = TextPotential(verifier, tokenizer, stop).log_density_lanes(lanes(*prefixes, slots=slots), len(prefixes))
        done = lanes(*prefixes, finished=True, slots=slots)
        accepted = Accepted(verifier, tokenizer, stop).log_density_lanes(done, len(prefixes))
        dead = np.asarray(guide) == -np.inf
        assert not np.any(np.maximum.accumulate(dead) & (np.asarray(accepted) == 0))


def test_one_lane_and_all_lanes_agree():
    cloud = lanes("a dog ", "one two three", "dog", finished=[False, False, True], slots=16)
    for factor in (TextPotential(Words(("dog",), 2), Bytes()), Accepted(Words(("dog",), 2), Bytes())):
        assert not factor.traceable
        one_by_one = [factor.log_density(Lanes(*(part[i] for part in cloud))) for i in range(3)]
        np.testing.assert_array_equal(factor.log_density_lanes(cloud, 3), np.stack(one_by_one))


class Counting(Verifier):
    """Counts how often it is asked."""

    asked: list[str]

    @property
    def name(self) -> str:
        return "counting"

    def accepts(self, text: str) -> bool:
        return True

    def alive(self, prefix: str) -> bool:
        self.asked.append(prefix)
        return True


def test_each_text_is_judged_once():
    verifier = Counting([])
    potential = TextPotential(verifier, Bytes())
    for _ in range(2):
        values = potential.log_density_lanes(lanes("a", "b", "a"), 3)
        np.testing.assert_array_equal(values, [0.0, 0.0, 0.0])
    assert verifier.asked == ["a", "b"]


def test_the_same_factor_cancels_and_another_does_not():
    tokenizer = Bytes()
    potential = TextPotential(Words(("dog",)), tokenizer)
    potential.log_density_lanes(lanes("dog"), 1)
    again = TextPotential(Words(("dog",)), tokenizer)
    assert as_measure(potential).same_law(as_measure(again))
    for other in (TextPotential(Words(("cat",)), tokenizer), TextPotential(Words(("dog",)), tokenizer, "\n")):
        assert not as_measure(potential).same_law(as_measure(other))
    assert not as_measure(potential).same_law(as_measure(Accepted(Words(("dog",)), tokenizer)))


@pytest.mark.parametrize("factor", [TextPotential, Accepted])
def test_empty_stop_is_refused(factor):
    with pytest.raises(ValueError, match="at least one character"):
        factor(WordCount(1), Bytes(), stop="")
