"""Closed questions to a language model whose answers have a known distribution: name a letter of a word."""

from __future__ import annotations

import string
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

LETTERS = string.ascii_lowercase
_FILE = "data/pairs_lm_smollm2.npz"
PREFIX = (
    "Name a letter of the word bird: d\nName a letter of the word house: u\nName a letter of the word plant: n\n"
    "Name a letter of the word grocery: c\nName a letter of the word"
)
SHORTEST, LONGEST = 4, 8


class Questions(NamedTuple):
    """Words, the model's last activation after the question, and its log-probabilities of the 26 letters.

    `truth` is the answer's distribution over annotators who each pick a place in the word at random.
    """

    words: tuple[str, ...]
    hidden: Float[np.ndarray, "words dimension"]
    log_choice: Float[np.ndarray, "words letters"]

    @property
    def truth(self) -> Float[np.ndarray, "words letters"]:
        """p(letter | word)."""
        return letter_distributions(self.words)


def letter_distributions(words: Sequence[str]) -> Float[np.ndarray, "words letters"]:
    """The share of each letter in each word."""
    return np.array([[word.count(letter) / len(word) for letter in LETTERS] for word in words])


def single_token_words(token_bytes: Sequence[bytes], count: int, skip: int = 0) -> list[tuple[int, str]]:
    """Tokens that are a space and a lower-case word or its beginning, in the vocabulary's order, that of frequency.

    A model never sees the letters of such a token: its spelling is a fact that it knows or does not know.
    """
    shown = {line.split()[6].rstrip(":") for line in PREFIX.splitlines()[:-1]}
    found = [
        (i, text.decode()[1:])
        for i, text in enumerate(token_bytes)
        if text[:1] == b" " and SHORTEST < len(text) <= LONGEST + 1 and all(chr(c) in LETTERS for c in text[1:])
    ]
    return [(i, word) for i, word in found if word not in shown][skip : skip + count]


def questions_path() -> Path:
    """Where the shipped activations are."""
    return Path(str(resources.files("probinf.figures"))) / _FILE


def read_questions(path: Path | None = None) -> Questions:
    """The shipped questions, or those of another file.

    Raises: FileNotFoundError where there is no file; ValueError where it is damaged or something else.
    """
    path = questions_path() if path is None else path
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            words, steps, scale, log_choice = (file[name] for name in ("words", "steps", "scale", "log_choice"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: python -m probinf.figures._pairs_lm_extract makes it") from None
    except Exception as problem:  # zipfile, zlib and NumPy each have their own
        raise ValueError(f"{path} is no readable file of questions ({type(problem).__name__}: {problem})") from None
    return Questions(tuple(words.tolist()), steps.astype(np.float32) * scale, log_choice.astype(np.float32))


def pack(words: Sequence[str], hidden: Float[np.ndarray, "words dimension"], log_choice: np.ndarray) -> dict:
    """The arrays of the file: activations in steps of a 127th of each feature's largest size."""
    scale = (np.abs(hidden).max(0) / 127).astype(np.float32)
    return {
        "words": np.array(words),
        "steps": np.rint(hidden / scale).astype(np.int8),
        "scale": scale,
        "log_choice": np.asarray(log_choice, np.float16),
    }
