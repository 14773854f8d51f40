"""An exact, enumerable toy language model: the next token depends on the one before."""

import itertools
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import count, floating, real, whole
from probinf.lm._protocol import LanguageModel


class TableLM(LanguageModel):
    """A first-order Markov chain over tokens.

    `table[v]` are the logits (unnormalized, -inf allowed) of the token after token v; the prompt counts by
    its last token only. The state of N lanes is their last tokens.

    Law: P(next = w | last = v) = softmax(table[v])[w].

    Raises:
        ValueError: the table is not square, or a stop token is outside it.
    """

    table: Float[Array, "vocabulary vocabulary"] = eqx.field(converter=partial(floating, "table"))
    stop_tokens: tuple[int, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        shape = self.table.shape
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"The table must be square, one row of logits per token, got shape {shape}.")
        if any(not 0 <= token < shape[0] for token in self.stop_tokens):
            raise ValueError(f"The stop tokens {self.stop_tokens} must lie in [0, {shape[0]}).")

    @property
    def vocabulary_size(self) -> int:
        return self.table.shape[0]

    @property
    def context_length(self) -> None:
        return None

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> Int[Array, " lanes"]:
        del max_new_tokens
        length = prompt_ids.shape[0] if prompt_length is None else prompt_length
        return jnp.broadcast_to(prompt_ids[length - 1], (lanes,))

    def logits(self, state: Int[Array, " n"]) -> Float[Array, "n vocabulary"]:
        return self.table[state]

    def advance(
        self, state: Int[Array, " n"], tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> Int[Array, " n"]:
        return tokens if active is None else jnp.where(active, tokens, state)


def random_table_lm(
    key: PRNGKeyArray, vocabulary_size: int, *, stop_tokens: tuple[int, ...] = (), scale: float = 1.0
) -> TableLM:
    """Draw a table with independent normal logits of standard deviation `scale`.

    Raises:
        ValueError: a vocabulary of less than one token, or a scale that is negative or not finite.
    """
    count("vocabulary_size", vocabulary_size)
    table = real("scale", scale, "", low=0, finite=True) * jax.random.normal(key, (vocabulary_size, vocabulary_size))
    return TableLM(table=table, stop_tokens=stop_tokens)


def enumerate_sequences(
    lm: LanguageModel,
    prompt_ids: Int[np.ndarray, " positions"] | Int[Array, " positions"],
    max_new_tokens: int,
) -> tuple[list[tuple[int, ...]], Float[np.ndarray, " sequences"]]:
    """List every text of at most `max_new_tokens` tokens with its exact log-probability.

    A text ends at its first stop token or at `max_new_tokens` tokens. All vocabulary_size ** max_new_tokens
    token strings are evaluated together, so this is for small vocabularies.

    Returns:
        The texts of positive probability, sorted, and their log-probabilities in nats, which sum to one after
        exp.

    Raises:
        ValueError: there would be more than a million strings.
    """
    prompt_ids = whole("prompt_ids", prompt_ids, "positions", low=0, high=lm.vocabulary_size - 1)
    if not prompt_ids.size:
        raise ValueError("The prompt must hold at least one token.")
    count("max_new_tokens", max_new_tokens, least=0)
    size = lm.vocabulary_size
    if size**max_new_tokens > 10**6:
        raise ValueError(f"{size} ** {max_new_tokens} token strings are too many to enumerate: lower one of them.")
    strings = np.array(list(itertools.product(range(size), repeat=max_new_tokens)), np.int32)
    lanes = np.arange(len(strings))
    state = lm.start(jnp.asarray(prompt_ids), len(strings), max_new_tokens)
    log_prob = np.zeros(len(strings))
    ended = np.zeros(len(strings), bool)
    length = np.zeros(len(strings), int)
    for tokens in strings.T:
        log_prob += np.where(ended, 0.0, np.asarray(lm.log_probs(state))[lanes, tokens])
        length += ~ended
        ended |= np.isin(tokens, lm.stop_tokens)
        state = lm.advance(state, jnp.asarray(tokens))
    texts = {
        tuple(row[:end].tolist()): value
        for row, end, value in zip(strings, length, log_prob, strict=True)
        if value > -np.inf
    }
    ordered = sorted(texts)
    return ordered, np.array([texts[text] for text in ordered])
