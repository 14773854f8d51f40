"""A language model of six words, for figures in seconds."""

import jax.numpy as jnp
import numpy as np
import pytest

from probinf.lm import TableLM, stop_table
from probinf.verifiers import Task, Words

WORDS = (" dog", " river", " moon", " the", "\n", "<end>")
END = 5


class ToyTokenizer:
    """One token a word."""

    special_tokens = frozenset({END})

    def encode(self, text, add_special_tokens=True):
        del text, add_special_tokens
        return np.array([3], np.int32)

    def chat(self, messages):
        return messages

    def decode(self, ids):
        return "".join(WORDS[i] for i in ids if i != END)

    def stop(self, *strings):
        return stop_table([*(w.encode() for w in WORDS[:END]), b""], [s.encode() for s in strings])


class ToyModel:
    """What a loaded model offers."""

    def __init__(self):
        table = jnp.tile(jnp.asarray([0.2, -0.4, 0.1, 0.9, -0.7, -0.6]), (6, 1))
        self.lm = TableLM(table=table, stop_tokens=(END,))  # pyright: ignore[reportCallIssue]
        self.tokenizer = ToyTokenizer()
        self.name = "toy"


@pytest.fixture(scope="session")
def toy_model():
    return ToyModel()


@pytest.fixture(scope="session")
def toy_tasks():
    def task(kind, *words):
        return Task(f"{kind}/{'-'.join(words)}", kind, "Write.", True, Words(words, max_words=4), 5, "\n")

    return [task("words", "dog", "river"), task("words", "moon", "river"), task("count", "dog")]
