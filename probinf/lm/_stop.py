"""Stop strings as a finite automaton over tokens, exact even where a string straddles token borders."""

from collections.abc import Sequence
from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from probinf._arguments import whole


class StopTable(eqx.Module):
    """An automaton that reads tokens and knows when one of its stop strings has been completed.

    `table[state, token]` is the next state; state 0 has read nothing of any stop string, and the last state
    is reached, for good, as soon as one has been read to its end.

    Law: after any tokens from state 0, the state is the last one iff their joined bytes contain a stop
    string.
    """

    table: Int[Array, "states vocabulary"] = eqx.field(converter=partial(whole, "table", low=0))

    def step(self, state: Int[Array, " n"], tokens: Int[Array, " n"]) -> Int[Array, " n"]:
        """Read one token in each lane."""
        return self.table[state, tokens].astype(jnp.int32)

    def found(self, state: Int[Array, " n"]) -> Bool[Array, " n"]:
        """Whether a stop string has been read to its end."""
        return state == self.table.shape[0] - 1


def stop_table(token_bytes: Sequence[bytes], strings: Sequence[bytes]) -> StopTable:
    """Compile stop strings to a table over a vocabulary whose entry i stands for the bytes `token_bytes[i]`.

    Source: Aho and Corasick (1975), the automaton of Knuth, Morris and Pratt (1977) for several strings.

    Raises:
        ValueError: no string is given, or one is empty.
    """
    if not strings or not all(strings):
        raise ValueError("Stop strings must not be empty: give at least one string of at least one character.")
    bytewise = _byte_automaton(strings)
    lengths = np.array([len(text) for text in token_bytes])
    # Tokens in order of falling length: at byte position p, those still being read are the first ones.
    order = np.argsort(-lengths, kind="stable")
    joined = np.frombuffer(b"".join(token_bytes), np.uint8)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    table = np.repeat(np.arange(len(bytewise))[:, None], len(token_bytes), axis=1)
    for position in range(lengths.max(initial=0)):
        reading = order[: np.count_nonzero(lengths > position)]
        table[:, reading] = bytewise[table[:, reading], joined[starts[reading] + position]]
    return StopTable(jnp.asarray(table, jnp.int16 if len(bytewise) < 2**15 else jnp.int32))


def _byte_automaton(strings: Sequence[bytes]) -> np.ndarray:
    """Return next[state, byte]; a state is the longest suffix read that begins some string, the last:
    found.
    """
    prefixes = {string[:end] for string in strings for end in range(len(string))}
    prefixes = {p for p in prefixes if not any(string in p for string in strings)}
    number = {p: i for i, p in enumerate(sorted(prefixes, key=lambda p: (len(p), p)))}
    found = len(number)
    table = np.full((found + 1, 256), found)
    for prefix, state in number.items():
        for byte in range(256):
            read = prefix + bytes([byte])
            if any(read.endswith(string) for string in strings):
                continue
            while read not in number:
                read = read[1:]
            table[state, byte] = number[read]
    return table
