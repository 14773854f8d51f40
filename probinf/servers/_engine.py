"""Completions of several prompts at once by a language model of `probinf.lm`, as a server needs them."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from probinf._choice import choice
from probinf.lm import LanguageModel

_SMALLEST = 8  # positions: lengths are rounded up to powers of two, so that few programs are compiled


@runtime_checkable
class Codec(Protocol):
    """What an engine needs of a tokenizer."""

    @property
    def special_tokens(self) -> frozenset[int]:
        """The identifiers that stand for structure and not for text."""
        ...

    @property
    def token_bytes(self) -> Any:
        """The bytes that each identifier stands for, a sequence."""
        ...

    def encode(self, text: str) -> np.ndarray:
        """The identifiers of a text."""
        ...


@dataclasses.dataclass(frozen=True)
class Written:
    """One completion. text: without the stop string. stop: the string that ended it. ended: whether the model did.

    tokens, log_probs: all that was drawn, that of the stop string too, in nats at temperature one.
    """

    text: str
    stop: str | None
    ended: bool
    tokens: tuple[str, ...]
    log_probs: tuple[float, ...]


class Engine:
    """Completes the prompts of one request together, one request at a time.

    Prompts are read as far as they agree in one pass, and from there token by token, each in its lane: a cloud of
    solutions shares its problem. Prompts that differ in their first token are taken in turn.

    Law: the texts of one request are independent, each with the model's law at the temperature (0: the most probable
    token); the same seed and prompts give the same texts.
    """

    def __init__(self, lm: LanguageModel, tokenizer: Codec, name: str, *, most_lanes: int = 256) -> None:
        self.lm, self.tokenizer, self.name, self.most_lanes = lm, tokenizer, name, most_lanes
        self._lock = threading.Lock()

    def complete(
        self, prompts: Sequence[str], *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> list[Written]:
        """A completion of each prompt, in order.

        Raises: ValueError for too many prompts, and for one that is empty or does not fit in the context.
        """
        if not 0 < len(prompts) <= self.most_lanes:
            raise ValueError(f"a request takes 1 to {self.most_lanes} texts, got {len(prompts)}: send several requests")
        encoded = [self._encoded(prompt, max_tokens) for prompt in prompts]
        keys = jax.random.split(jax.random.key(seed), len(prompts))
        groups: dict[int, list[int]] = {}
        for i, ids in enumerate(encoded):
            groups.setdefault(int(ids[0]), []).append(i)
        results: dict[int, Written] = {}
        with self._lock:
            for lanes in groups.values():
                texts = self._together(
                    [encoded[i] for i in lanes], keys[np.array(lanes)], max_tokens, temperature, stop
                )
                results |= dict(zip(lanes, texts, strict=True))
        return [results[i] for i in range(len(prompts))]

    def _encoded(self, prompt: str, max_tokens: int) -> np.ndarray:
        ids = np.asarray(self.tokenizer.encode(prompt), np.int32)
        if ids.size == 0:
            raise ValueError("a prompt is empty: a completion needs at least one token to go on from")
        limit = self.lm.context_length
        if limit is not None and ids.size + max_tokens > limit:
            raise ValueError(
                f"a prompt has {ids.size} tokens and max_tokens is {max_tokens}, over the context length {limit}"
            )
        return ids

    def _together(
        self,
        prompts: list[np.ndarray],
        keys: Key[Array, " n"],
        max_tokens: int,
        temperature: float,
        stop: Sequence[str],
    ) -> list[Written]:
        """Prompts that begin alike, one lane each; lanes are padded to a power of two."""
        n, shared = len(prompts), _shared_length(prompts)
        lanes = 1 << (n - 1).bit_length()
        rest = np.zeros((lanes, _rounded(max(map(len, prompts)) - shared)), np.int32)
        lengths = np.zeros(lanes, np.int32)
        for i, ids in enumerate(prompts):
            lengths[i] = len(ids) - shared
            rest[i, : lengths[i]] = ids[shared:]
        prefix = np.zeros(_rounded(shared), np.int32)
        prefix[:shared] = prompts[0][:shared]
        slots = rest.shape[1] + _rounded(max_tokens)
        state = _read(self.lm, jnp.asarray(prefix), jnp.asarray(shared), jnp.asarray(rest), jnp.asarray(lengths), slots)
        writers = [_Lane(self.tokenizer.token_bytes, self.tokenizer.special_tokens, stop) for _ in prompts]
        keys = jnp.concatenate([keys, jnp.broadcast_to(keys[:1], (lanes - n,))])
        going = np.arange(lanes) < n
        for t in range(max_tokens):
            row = (keys, jnp.asarray(t), jnp.asarray(temperature, jnp.float32), jnp.asarray(going))
            tokens, log_probs, state = _draw((self.lm, row), state)
            for i, (token, log_prob) in enumerate(zip(np.asarray(tokens)[:n], np.asarray(log_probs)[:n], strict=True)):
                if going[i]:
                    going[i] = writers[i].goes_on(int(token), float(log_prob), int(token) in self.lm.stop_tokens)
            if not going.any():
                break
        return [writer.written() for writer in writers]


class _Lane:
    """The bytes of one text as they come, and whether a stop string is among them."""

    def __init__(self, token_bytes: Sequence[bytes], special: frozenset[int], stop: Sequence[str]) -> None:
        self.token_bytes, self.special = token_bytes, special
        self.stops = [(text, text.encode()) for text in stop]
        self.data, self.pieces, self.log_probs = bytearray(), [], []
        self.stop, self.ended = None, False

    def goes_on(self, token: int, log_prob: float, ends: bool) -> bool:
        """Takes one token more; whether another one is to be drawn."""
        piece = b"" if ends or token in self.special else self.token_bytes[token]
        longest = max((len(data) for _, data in self.stops), default=1)
        begin = max(0, len(self.data) - longest + 1)
        self.data += piece
        self.pieces.append(piece.decode("utf-8", errors="replace"))
        self.log_probs.append(log_prob)
        found = [(at, text) for text, data in self.stops if (at := self.data.find(data, begin)) >= 0]
        if found:
            at, self.stop = min(found, key=lambda hit: hit[0])
            del self.data[at:]
        self.ended = ends
        return not (found or ends)

    def written(self) -> Written:
        text = self.data.decode("utf-8", errors="replace")
        return Written(text, self.stop, self.ended, tuple(self.pieces), tuple(self.log_probs))


@eqx.filter_jit
def _read(
    lm: LanguageModel,
    prefix: Int[Array, " prefix"],
    shared: Int[Array, ""],
    rest: Int[Array, "n suffix"],
    lengths: Int[Array, " n"],
    slots: int,
) -> Any:
    """The model's state after the shared prefix and each lane's own suffix."""

    def step(state: Any, column: tuple) -> tuple[Any, None]:
        at, tokens = column
        return lm.advance(state, tokens, at < lengths), None

    state = lm.start(prefix, rest.shape[0], slots, shared)
    return jax.lax.scan(step, state, (jnp.arange(rest.shape[1]), rest.T))[0]


@eqx.filter_jit(donate="all-except-first")
def _draw(
    fixed: tuple[LanguageModel, tuple[Key[Array, " n"], Int[Array, ""], Float[Array, ""], Bool[Array, " n"]]],
    state: Any,
) -> tuple[Int[Array, " n"], Float[Array, " n"], Any]:
    """The next token of each lane, with its log-probability at temperature one."""
    lm, (keys, t, temperature, going) = fixed
    log_probs = lm.log_probs(state)
    tempered = log_probs / jnp.where(temperature > 0, temperature, 1.0).astype(log_probs.dtype)
    drawn = jax.vmap(choice)(jax.vmap(lambda key: jax.random.fold_in(key, t))(keys), tempered)
    tokens = jnp.where(temperature > 0, drawn, jnp.argmax(log_probs, axis=-1).astype(drawn.dtype))
    chosen = jnp.take_along_axis(log_probs, tokens[:, None], axis=1)[:, 0]
    return tokens, chosen, lm.advance(state, tokens, going)


def _shared_length(prompts: Sequence[np.ndarray]) -> int:
    """How many first tokens all prompts have in common."""
    size = min(map(len, prompts))
    agree = np.all(np.stack([ids[:size] for ids in prompts]) == prompts[0][:size], axis=0)
    return size if agree.all() else int(agree.argmin())


def _rounded(length: int) -> int:
    """Zero, or the next power of two that is not too small."""
    return 0 if length == 0 else max(_SMALLEST, 1 << (length - 1).bit_length())
