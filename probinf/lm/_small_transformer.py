"""A small decoder made for very many short texts: hundreds of prompts, each with a cloud of lanes, under `jax.vmap`."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._particles import LaneState
from probinf.lm._protocol import LanguageModel

_MASKED = -1e30  # finite, so that a row of masked scores gives zeros and no NaN
_EPSILON = 1e-6


class SmallLayer(eqx.Module):
    """The weights of one layer, as [in, out] matrices; products that share an input are fused."""

    attention_norm: Float[Array, " width"]
    query_key_value: Float[Array, "width projections"]
    output: Float[Array, "width width"]
    feed_forward_norm: Float[Array, " width"]
    gate_up: Float[Array, "width two_hidden"]
    down: Float[Array, "hidden width"]


class SmallCache(eqx.Module):
    """One layer's keys and values: the prompt's once, and those of each lane."""

    prompt_keys: Float[Array, "prompt_slots head"]
    prompt_values: Float[Array, "prompt_slots head"]
    keys: Float[Array, "n slots head"]
    values: Float[Array, "n slots head"]


class SmallState(LaneState):
    """What a small decoder remembers of n lanes that share a prompt; `recent` are
    the tokens just read, the latest first, and `hidden` is the last normed activation."""

    caches: tuple[SmallCache, ...]
    prompt_length: Int[Array, ""]
    length: Int[Array, " n"]
    recent: Int[Array, "n recent"]
    hidden: Float[Array, "n width"]

    def take(self, ancestors: Int[Array, " m"]) -> SmallState:
        """The state whose lane i is lane `ancestors[i]` of this one; the prompt is not touched."""
        return SmallState(
            tuple(
                SmallCache(c.prompt_keys, c.prompt_values, c.keys[ancestors], c.values[ancestors]) for c in self.caches
            ),
            self.prompt_length,
            self.length[ancestors],
            self.recent[ancestors],
            self.hidden[ancestors],
        )


class SmallTransformer(LanguageModel):
    """A decoder with multi-query attention, SwiGLU and learned positions; the continuation has positions of its own.

    A token enters together with the few before it: `recent[j]` embeds the one at distance j + 1, and token 0 stands for
    those before the first.

    All lanes do the same work at every token, with no loop over lanes and no scatter, so that `jax.vmap` over prompts
    gives the same few large products. Weights are fields: new ones of the same shapes do not re-trace.

    Law: `log_probs` after `start` and any sequence of `advance` is the network's conditional law of the next token.

    Source: multi-query attention, arXiv:1911.02150; SwiGLU, arXiv:2002.05202; short convolutions,
    arXiv:2109.08668.
    """

    heads: int = eqx.field(static=True)
    stop_tokens: tuple[int, ...] = eqx.field(static=True)
    embedding: Float[Array, "vocabulary width"]
    recent: tuple[Float[Array, "vocabulary width"], ...]
    prompt_positions: Float[Array, "prompt_slots width"]
    positions: Float[Array, "slots width"]
    layers: tuple[SmallLayer, ...]
    norm: Float[Array, " width"]

    @property
    def vocabulary_size(self) -> int:
        return self.embedding.shape[0]

    @property
    def context_length(self) -> int:
        return self.prompt_positions.shape[0] + self.positions.shape[0]

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> SmallState:
        """Read the prompt once for all lanes; padding beyond the model's prompt slots is cut off.

        Raises: ValueError where more tokens are to be written than the model has positions for, and for a prompt longer
        than its prompt slots, unless the length is traced.
        """
        if max_new_tokens > self.positions.shape[0]:
            raise ValueError(f"the model writes at most {self.positions.shape[0]} tokens, got {max_new_tokens}")
        length = jnp.asarray(prompt_ids.shape[0] if prompt_length is None else prompt_length, jnp.int32)
        ids = prompt_ids[: self.prompt_positions.shape[0]]
        slots = ids.shape[0]
        if not isinstance(length, Tracer) and int(length) > slots:
            raise ValueError(
                f"the model reads prompts of at most {slots} tokens, got {int(length)}: shorten the prompt"
            )
        place = jnp.arange(slots)
        seen = (place[None, :] <= place[:, None]) & (place < length)[None, :]
        # Column j holds the token at distance j + 1; the last row those before the first token to come.
        before = jnp.stack([jnp.pad(ids, (j + 1, 1))[: slots + 1] for j in range(len(self.recent))], axis=1)
        x = self._embedded(ids, before[:slots]) + self.prompt_positions[:slots]
        caches = []
        for layer in self.layers:
            query, key, value = self._project(layer, x)
            scores = jnp.where(seen[:, None, :], jnp.einsum("qhd,kd->qhk", query, key), _MASKED)
            mixed = jnp.einsum("qhk,kd->qhd", jax.nn.softmax(scores, axis=-1), value)
            x = _feed_forward(layer, x + mixed.reshape(x.shape) @ layer.output)
            own = jnp.zeros((lanes, max_new_tokens, key.shape[-1]), x.dtype)
            caches.append(SmallCache(key, value, own, own))
        hidden = jnp.sum(jnp.where((place == length - 1)[:, None], _normed(x, self.norm), 0.0), axis=0)
        recent = jnp.sum(jnp.where((jnp.arange(slots + 1) == length)[:, None], before, 0), axis=0)
        return SmallState(
            caches=tuple(caches),
            prompt_length=length,
            length=jnp.zeros(lanes, jnp.int32),
            recent=jnp.broadcast_to(recent, (lanes, recent.shape[0])),
            hidden=jnp.broadcast_to(hidden, (lanes, hidden.shape[0])),
        )

    def logits(self, state: SmallState) -> Float[Array, "n vocabulary"]:
        return state.hidden @ self.embedding.T

    def advance(
        self, state: SmallState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> SmallState:
        active = jnp.ones_like(state.length, bool) if active is None else active
        slots = state.caches[0].keys.shape[1]
        place = jnp.arange(slots)
        # A lane that is full or idle writes nowhere: its row lies outside, and is dropped.
        rows = jnp.where(active & (state.length < slots), jnp.arange(len(tokens)), len(tokens))
        seen = (place[None, :] <= state.length[:, None])[:, None, :]
        question = (jnp.arange(state.caches[0].prompt_keys.shape[0]) < state.prompt_length)[None, None, :]
        x = self._embedded(tokens, state.recent) + self.positions[jnp.minimum(state.length, slots - 1)]
        caches = []
        for layer, cache in zip(self.layers, state.caches, strict=True):
            query, key, value = self._project(layer, x)
            keys = cache.keys.at[rows, state.length].set(key, mode="drop", unique_indices=True)
            values = cache.values.at[rows, state.length].set(value, mode="drop", unique_indices=True)
            asked = jnp.where(question, jnp.einsum("nhd,kd->nhk", query, cache.prompt_keys), _MASKED)
            # Sums, not products of matrices: those would be one tiny product for each lane.
            own = jnp.where(seen, jnp.sum(query[:, :, None] * keys[:, None], axis=-1), _MASKED)
            top = jnp.maximum(jnp.max(asked, axis=-1), jnp.max(own, axis=-1))[..., None]
            asked, own = jnp.exp(asked - top), jnp.exp(own - top)
            mixed = jnp.einsum("nhk,kd->nhd", asked, cache.prompt_values)
            mixed = mixed + jnp.sum(own[..., None] * values[:, None], axis=2)
            mixed = mixed / (jnp.sum(asked, axis=-1) + jnp.sum(own, axis=-1))[..., None]
            x = _feed_forward(layer, x + mixed.reshape(x.shape) @ layer.output)
            caches.append(SmallCache(cache.prompt_keys, cache.prompt_values, keys, values))
        hidden = jnp.where(active[:, None], _normed(x, self.norm), state.hidden)
        recent = jnp.concatenate([tokens[:, None].astype(state.recent.dtype), state.recent], axis=1)[:, :-1]
        recent = jnp.where(active[:, None], recent, state.recent)
        return SmallState(tuple(caches), state.prompt_length, state.length + active, recent, hidden)

    def _embedded(self, tokens: Int[Array, " rows"], recent: Int[Array, "rows recent"]) -> Float[Array, "rows width"]:
        x = self.embedding[tokens]
        for j, table in enumerate(self.recent):
            x = x + table[recent[:, j]]
        return x

    def _project(self, layer: SmallLayer, x: Float[Array, "rows width"]) -> tuple[Array, Array, Array]:
        """Scaled queries [rows, heads, head], keys and values [rows, head]."""
        width = x.shape[1]
        head = width // self.heads
        joined = _normed(x, layer.attention_norm) @ layer.query_key_value
        query, key, value = jnp.split(joined, [width, width + head], axis=-1)
        return query.reshape(-1, self.heads, head) * head**-0.5, key, value


def _normed(x: Float[Array, "rows width"], scale: Float[Array, " width"]) -> Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + _EPSILON) * scale[None, :]


def _feed_forward(layer: SmallLayer, x: Float[Array, "rows width"]) -> Array:
    gate, up = jnp.split(_normed(x, layer.feed_forward_norm) @ layer.gate_up, 2, axis=-1)
    return x + (jax.nn.silu(gate) * up) @ layer.down
