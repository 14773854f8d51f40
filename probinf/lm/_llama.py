"""A Llama-architecture decoder for many lanes that share one prompt."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from probinf.lm._attention import decode_attention, prefill_attention, split_heads
from probinf.lm._llama_config import LlamaConfig
from probinf.lm._llama_state import LayerCache, LlamaState
from probinf.lm._protocol import LanguageModel

_CHUNK = 128  # prompt positions per prefill step


class LlamaLayer(eqx.Module):
    """The weights of one layer, as [out, in] matrices; products that share an input are fused."""

    attention_norm: Float[Array, " dimension"]
    query_key_value: Float[Array, "projections dimension"]
    attention_output: Float[Array, "dimension features"]
    feed_forward_norm: Float[Array, " dimension"]
    gate_up: Float[Array, "two_hidden dimension"]
    down: Float[Array, "dimension hidden"]


class Llama(LanguageModel):
    """A decoder with RMS norms, rotary positions, grouped-query attention and SwiGLU layers.

    Every weight is a field, so that new weights of the same shapes do not re-trace. Layers are unrolled: a
    scan over stacked weights would copy each layer's slice at each step.

    Law: `log_probs` after `start` and any sequence of `advance` is the network's conditional law of the next
    token.

    Source: LLaMA, arXiv:2302.13971, section 2.2; grouped queries, arXiv:2305.13245.
    """

    config: LlamaConfig = eqx.field(static=True)
    embedding: Float[Array, "vocabulary dimension"]
    layers: tuple[LlamaLayer, ...]
    norm: Float[Array, " dimension"]
    head: Float[Array, "vocabulary dimension"] | None
    frequencies: Float[Array, " half"]
    stop_tokens: tuple[int, ...] = eqx.field(static=True)

    @property
    def vocabulary_size(self) -> int:
        return self.config.vocabulary_size

    @property
    def context_length(self) -> int:
        return self.config.context_length

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> LlamaState:
        positions = prompt_ids.shape[0]
        length = jnp.asarray(positions if prompt_length is None else prompt_length, jnp.int32)
        caches, hidden = self._prefill(prompt_ids, length)
        cfg, dtype = self.config, self.embedding.dtype
        own = (lanes, cfg.key_value_heads, max_new_tokens, cfg.head_dimension)
        return LlamaState(
            layers=tuple(LayerCache(k, v, jnp.zeros(own, dtype), jnp.zeros(own, dtype)) for k, v in caches),
            prompt_length=length,
            row_of_lane=jnp.arange(lanes),
            length=jnp.zeros(lanes, jnp.int32),
            hidden=jnp.broadcast_to(hidden, (lanes, cfg.dimension)),
        )

    def logits(self, state: LlamaState) -> Float[Array, "n vocabulary"]:
        head = self.embedding if self.head is None else self.head
        return (head @ state.hidden.T).T

    def advance(
        self, state: LlamaState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> LlamaState:
        lane_of_row = jnp.argsort(state.row_of_lane)
        length = state.length[lane_of_row]
        frequencies = lax.stop_gradient(self.frequencies)
        x = self.embedding[tokens[lane_of_row]].T
        new = []
        for weights, cache in zip(self.layers, state.layers, strict=True):
            projected = weights.query_key_value @ self._rms(x, weights.attention_norm)
            q, k, v = split_heads(self.config, projected, state.prompt_length + length, frequencies)
            prompt = (cache.prompt_keys, cache.prompt_values)
            own = (cache.keys, cache.values)
            mixed = decode_attention(self.config, q, prompt, state.prompt_length, own, length, (k, v))
            x = x + weights.attention_output @ mixed
            x = x + self._feed_forward(weights, x)
            new.append((k.transpose(2, 0, 1), v.transpose(2, 0, 1)))
        hidden = self._rms(x, self.norm).T[state.row_of_lane]
        caches = _write([(c.keys, c.values) for c in state.layers], new, length)
        if active is None:
            active = jnp.ones_like(state.length, bool)
        return LlamaState(
            layers=tuple(
                LayerCache(old.prompt_keys, old.prompt_values, k, v)
                for old, (k, v) in zip(state.layers, caches, strict=True)
            ),
            prompt_length=state.prompt_length,
            row_of_lane=state.row_of_lane,
            length=state.length + active,
            hidden=jnp.where(active[:, None], hidden, state.hidden),
        )

    def _prefill(
        self, prompt_ids: Int[Array, " positions"], length: Int[Array, ""]
    ) -> tuple[list[tuple[Array, Array]], Float[Array, " dimension"]]:
        """Return each layer's (keys, values) of the prompt and the last position's normed activation."""
        cfg, dtype = self.config, self.embedding.dtype
        chunk = min(_CHUNK, prompt_ids.shape[0])
        padded = jnp.pad(prompt_ids, (0, -prompt_ids.shape[0] % chunk))
        slots = padded.shape[0]
        empty = (
            jnp.zeros((cfg.key_value_heads, cfg.head_dimension, slots), dtype),
            jnp.zeros((cfg.key_value_heads, slots, cfg.head_dimension), dtype),
        )

        def step(carry: tuple, offset: Int[Array, ""]) -> tuple:
            caches, last = carry
            positions = offset + jnp.arange(chunk)
            x = self.embedding[lax.dynamic_slice_in_dim(padded, offset, chunk)].T
            new = []
            for weights, (keys, values) in zip(self.layers, caches, strict=True):
                projected = weights.query_key_value @ self._rms(x, weights.attention_norm)
                q, k, v = split_heads(cfg, projected, positions, self.frequencies)
                keys = lax.dynamic_update_slice_in_dim(keys, k, offset, axis=2)
                values = lax.dynamic_update_slice_in_dim(values, v.transpose(0, 2, 1), offset, axis=1)
                mixed = prefill_attention(cfg, q, positions, keys, values)
                x = x + weights.attention_output @ mixed
                x = x + self._feed_forward(weights, x)
                new.append((keys, values))
            inside = (offset < length) & (length <= offset + chunk)
            column = jnp.clip(length - 1 - offset, 0, chunk - 1)
            return (new, jnp.where(inside, self._rms(x, self.norm)[:, column], last)), None

        start = ([empty] * cfg.layers, jnp.zeros(cfg.dimension, dtype))
        (caches, last), _ = lax.scan(step, start, jnp.arange(0, slots, chunk))
        return caches, last

    def _rms(self, x: Float[Array, "dimension columns"], scale: Float[Array, " dimension"]) -> Array:
        mean_square = jnp.mean(x * x, axis=0, keepdims=True)
        return x * lax.rsqrt(mean_square + self.config.norm_epsilon) * scale[:, None]

    def _feed_forward(self, weights: LlamaLayer, x: Float[Array, "dimension columns"]) -> Array:
        gate, up = jnp.split(weights.gate_up @ self._rms(x, weights.feed_forward_norm), 2)
        return weights.down @ (jax.nn.silu(gate) * up)


def _write(caches: list, new: list, length: Int[Array, " rows"]) -> list:
    """Write each row's new key and value at its own length, all layers of one row together and in place."""

    def write_row(row: Int[Array, ""] | int, caches: list) -> list:
        place = (row, 0, length[row], 0)
        return [
            (
                lax.dynamic_update_slice(keys, key[row][None, :, None, :], place),
                lax.dynamic_update_slice(values, value[row][None, :, None, :], place),
            )
            for (keys, values), (key, value) in zip(caches, new, strict=True)
        ]

    return lax.fori_loop(0, length.shape[0], write_row, caches)
