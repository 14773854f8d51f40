"""Words and WordCount: what a word is, what a prefix is worth, what the constructor refuses."""

import math

import pytest

from probinf.verifiers import WordCount, Words


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("The dog saw the moon.", True),
        ("DOG, Moon", True),
        ("_dog_ *moon*", True),
        ("The dogs saw the moon.", False),
        ("The dog's moon", False),
        ("A moon-dog and the moon", False),
        ("The dog\nand the moon", False),
        ("dog moon\nanything else at all", True),
        ("\ndog moon", False),
        ("", False),
    ],
)
def test_words_are_whole_and_on_the_first_line(text, accepted):
    assert Words(("dog", "moon")).accepts(text) == accepted


def test_words_may_have_joiners_and_any_script():
    assert Words(("well-known", "don't")).accepts("A WELL-KNOWN saying: don't")
    assert not Words(("known",)).accepts("well-known")
    assert Words(("straße", "ΣΟΦΌΣ")).accepts("STRASSE σοφός")


def test_words_limit_counts_all_words():
    verifier = Words(("dog", "moon"), max_words=3)
    assert verifier.accepts("A dog, moon!") and not verifier.accepts("A dog, a moon!")


@pytest.mark.parametrize(
    ("prefix", "alive"),
    [
        ("", True),
        ("a ", True),
        ("a mo", True),
        ("a b", False),
        ("a d", True),
        ("a dog", True),
        ("a dog-", True),
        ("a dog-d", False),
        ("a dogs", False),
        ("a dog m", True),
        ("a dog n", False),
        ("a dog moon more", False),
        ("a dog moon\n", True),
        ("a dog\n", False),
    ],
)
def test_words_prefix_is_dead_when_the_room_is_gone(prefix, alive):
    verifier = Words(("dog", "moon"), max_words=3)
    assert (verifier.log_potential(prefix, False) > -math.inf) == alive


def test_a_word_with_a_hyphen_is_alive_at_its_hyphen():
    verifier = Words(("moon-dog",), max_words=1)
    assert verifier.alive("moon-") and verifier.alive("moon-d") and not verifier.alive("moon- ")


def test_words_progress_counts_complete_words_once():
    verifier = Words(("dog", "moon"), strength=2.0)
    assert verifier.log_potential("the do", False) == 0.0
    assert verifier.log_potential("the dog", False) == 0.0  # may become "dogs"
    assert verifier.log_potential("the dog-", False) == 0.0  # may become "dog-like"
    assert verifier.log_potential("the dog ", False) == 2.0
    assert verifier.log_potential("the dog, dog ", False) == 2.0
    assert verifier.log_potential("the dog, moon", True) == 4.0
    assert verifier.log_potential("the dog, moon\n", False) == 4.0
    assert verifier.log_potential("the dog", True) == -math.inf


def test_an_incomplete_character_kills_nothing():
    # the character of which half is there may join "dog" to a longer word, or not
    assert Words(("dog",), max_words=1).log_potential("dog\ufffd", False) == 0.0
    assert WordCount(1).log_potential("caf\ufffd\ufffd", False) == 0.0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("one two", 2),
        ("  one,two - three ", 3),
        ("it's well-known", 2),
        ("one\ntwo", 1),
        ("3.5", 2),
        ("...", 0),
    ],
)
def test_word_count(text, count):
    assert [k for k in range(1, 9) if WordCount(k).accepts(text)] == ([count] if count else [])


def test_word_count_prefix():
    verifier = WordCount(3, strength=1.0)
    assert verifier.log_potential("one two", False) == 0.0
    assert verifier.log_potential("one two three", False) == 0.0
    assert verifier.log_potential("one two three. ", False) == 1.0
    assert verifier.log_potential("one two three four", False) == -math.inf
    assert verifier.log_potential("one two\n", False) == -math.inf
    assert verifier.log_potential("one two", True) == -math.inf
    assert verifier.log_potential("one two three", True) == 1.0


@pytest.mark.parametrize(
    ("build", "error", "fix"),
    [
        (lambda: Words(()), ValueError, "at least one word"),
        (lambda: Words("dog"), TypeError, r"\('dog',\)"),
        (lambda: Words(("two words",)), ValueError, "is not one word"),
        (lambda: Words(("dog", "DOG")), ValueError, "once"),
        (lambda: Words(("dog", "moon"), max_words=1), ValueError, "raise max_words"),
        (lambda: Words(("dog",), strength=math.inf), ValueError, "finite"),
        (lambda: WordCount(0), ValueError, "at least one"),
        (lambda: WordCount(2, strength=math.nan), ValueError, "finite"),
    ],
)
def test_bad_constraints_are_refused(build, error, fix):
    with pytest.raises(error, match=fix):
        build()


def test_instructions_name_the_constraint():
    assert Words(("dog", "river", "moon"), max_words=12).instruction() == (
        "Write one sentence of at most 12 words that contains the words dog, river and moon."
    )
    assert WordCount(8).instruction() == "Write one sentence of exactly 8 words."
