"""Statements about the digits of pi: questions whose every true answer is known, with its probability."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

DIGITS = 2000
SLOTS = 9
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_STYLES = {("it's",): 0.5, ("sure,", "it's"): 0.3, ("that's",): 0.2}
_FACT_WEIGHTS = (0.3, 0.2, 0.15, 0.15, 0.1, 0.1)
# Early digits are asked about more often: P(n) is proportional to 1 / (n - 1 + 20).
_FLAT = 20

_WORDS = ("it's", "sure,", "that's", "number", "spelled", "letters", "long", "even", "odd", "not", "below", "prime")
VOCABULARY = ("<pad>", "<end>", "?", *"0123456789", *sorted(set("".join(_NAMES))), *_WORDS, "three", "four", "five")
PAD, END, ASK = 0, 1, 2
_ID = {word: i for i, word in enumerate(VOCABULARY)}


@functools.cache
def pi_digits(count: int) -> tuple[int, ...]:
    """The first digits of pi, the 3 among them, by Machin's formula in integers."""
    guard = 10
    one = 10 ** (count - 1 + guard)
    pi = 4 * (4 * _arctan_of_inverse(5, one) - _arctan_of_inverse(239, one))
    return tuple(int(digit) for digit in str(pi // 10**guard))


def _arctan_of_inverse(x: int, one: int) -> int:
    """arctan(1 / x) in units of 1 / one, by its series."""
    power, total, n, sign = one // x, one // x, 3, -1
    while power:
        power //= x * x
        total += sign * (power // n)
        n, sign = n + 2, -sign
    return total


def facts(digit: int) -> tuple[tuple[str, ...], ...]:
    """Six true facts about a digit, as words."""
    return (
        ("number", str(digit)),
        ("spelled", *_NAMES[digit]),
        (_NAMES[len(_NAMES[digit])], "letters", "long"),
        ("even",) if digit % 2 == 0 else ("odd",),
        ("below", "five") if digit < 5 else ("not", "below", "five"),
        ("prime",) if digit in (2, 3, 5, 7) else ("not", "prime"),
    )


@functools.cache
def meanings() -> tuple[tuple[str, ...], ...]:
    """All different facts about any digit."""
    return tuple(dict.fromkeys(fact for digit in range(10) for fact in facts(digit)))


@functools.cache
def statements() -> tuple[tuple[str, ...], ...]:
    """All different statements about any digit: every fact in every style, as words; those of a fact are neighbors."""
    return tuple((*style, *fact) for fact in meanings() for style in _STYLES)


@functools.cache
def meaning_of() -> Int[np.ndarray, " statements"]:
    """The fact that each statement states."""
    return np.repeat(np.arange(len(meanings())), len(_STYLES))


@functools.cache
def truth() -> Float[np.ndarray, "10 statements"]:
    """p(statement | digit)."""
    table = np.zeros((10, len(statements())))
    place = {words: i for i, words in enumerate(statements())}
    for digit in range(10):
        for fact, weight in zip(facts(digit), _FACT_WEIGHTS, strict=True):
            for style, chance in _STYLES.items():
                table[digit, place[*style, *fact]] = weight * chance
    return table


@functools.cache
def statement_tokens() -> Int[np.ndarray, "statements slots"]:
    """Every statement with its end, padded."""
    rows = [[*(_ID[word] for word in words), END] for words in statements()]
    return np.array([row + [PAD] * (SLOTS - len(row)) for row in rows], np.int32)


@functools.cache
def prompts() -> Int[np.ndarray, "digits prompt"]:
    """The question about each digit: its place in four numerals, the 3 before the point being 0001."""
    return np.array([[*(_ID[numeral] for numeral in f"{n:04d}"), ASK] for n in range(1, DIGITS + 1)], np.int32)


@functools.cache
def asked() -> Float[np.ndarray, " digits"]:
    """How often each digit is asked about."""
    weight = 1 / (np.arange(DIGITS) + _FLAT)
    return weight / weight.sum()


def draw_pair(key: PRNGKeyArray) -> tuple[Int[Array, " prompt"], Int[Array, "2 slots"]]:
    """A question, and two independent answers to it."""
    place_key, answer_key = jax.random.split(key)
    cumulative = jnp.asarray(np.cumsum(asked()), jnp.float32)
    place = jnp.minimum(jnp.searchsorted(cumulative, jax.random.uniform(place_key), side="right"), DIGITS - 1)
    digit = jnp.asarray(pi_digits(DIGITS))[place]
    said = jnp.asarray(np.cumsum(truth(), axis=1), jnp.float32)[digit]
    found = jnp.searchsorted(said, jax.random.uniform(answer_key, (2,)) * said[-1], side="right")
    return jnp.asarray(prompts())[place], jnp.asarray(statement_tokens())[found]
