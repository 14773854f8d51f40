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

_CHUNK = 128  # prompt positions that are read together


def piece_size(positions: int) -> int:
    """How many positions of a prompt are read together."""
    return min(_CHUNK, positions)


class LlamaLayer(eqx.Module):
    """The weights of one layer, as [out, in] matrices; products that share an input are fused.

    A bias is None where no matrix of its product has one.
    """

    attention_norm: Float[Array, " dimension"]
    query_key_value: Float[Array, "projections dimension"]
    attention_output: Float[Array, "dimension features"]
    feed_forward_norm: Float[Array, " dimension"]
    gate_up: Float[Array, "two_hidden dimension"]
    down: Float[Array, "dimension hidden"]
    query_key_value_bias: Float[Array, " projections"] | None = None
    attention_output_bias: Float[Array, " dimension"] | None = None
    gate_up_bias: Float[Array, " two_hidden"] | None = None
    down_bias: Float[Array, " dimension"] | None = None


class PromptReading(eqx.Module):
    """Each layer's keys and values of the prompt as far as it is read, and the activation after its last token.

    The shapes are those of `LayerCache`; the activation is zero until the last token is read.
    """

    caches: tuple[tuple[Array, Array], ...]
    hidden: Float[Array, " dimension"]

    @property
    def slots(self) -> int:
        """Positions that there is room for."""
        return self.caches[0][0].shape[2]


class Llama(LanguageModel):
    """A decoder with RMS norms, rotary positions, grouped-query attention and SwiGLU layers.

    Every weight is a field, so that new weights of the same shapes do not re-trace. Layers are unrolled: a
    scan over stacked weights would copy each layer's slice at each step. Tokens that are not `drawable` (rows of
    the embedding that no token of the tokenizer stands behind) have logit -inf; None: all are.

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
    drawable: Bool[Array, " vocabulary"] | None = None

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
        reading = self.open_prompt(positions)
        padded = jnp.pad(prompt_ids, (0, reading.slots - positions))

        def step(reading: PromptReading, offset: Int[Array, ""]) -> tuple[PromptReading, None]:
            piece = lax.dynamic_slice_in_dim(padded, offset, size)
            return self.read_piece(reading, piece, offset, length), None

        size = piece_size(positions)
        reading, _ = lax.scan(step, reading, jnp.arange(0, reading.slots, size))
        return self.begin(reading, length, lanes, max_new_tokens)

    def open_prompt(self, positions: int) -> PromptReading:
        """Room for a prompt of so many positions, rounded up to whole pieces, of which nothing is read."""
        cfg, dtype = self.config, self.embedding.dtype
        slots = positions + -positions % piece_size(positions)
        keys = (cfg.key_value_heads, cfg.head_dimension, slots)
        values = (cfg.key_value_heads, slots, cfg.head_dimension)
        # An array for each layer: what is donated must not be shared.
        caches = tuple((jnp.zeros(keys, dtype), jnp.zeros(values, dtype)) for _ in self.layers)
        return PromptReading(caches, jnp.zeros(cfg.dimension, dtype))

    def read_piece(
        self, reading: PromptReading, piece: Int[Array, " piece"], offset: Int[Array, ""], length: Int[Array, ""]
    ) -> PromptReading:
        """Read the identifiers at `offset` of a prompt of `length` tokens, all before them being read."""
        cfg, size = self.config, piece.shape[0]
        positions = offset + jnp.arange(size)
        x = self.embedding[piece].T
        caches = []
        for weights, (keys, values) in zip(self.layers, reading.caches, strict=True):
            q, k, v = split_heads(cfg, self._project(weights, x), positions, self.frequencies)
            keys = lax.dynamic_update_slice_in_dim(keys, k, offset, axis=2)
            values = lax.dynamic_update_slice_in_dim(values, v.transpose(0, 2, 1), offset, axis=1)
            mixed = prefill_attention(cfg, q, positions, keys, values)
            x = x + _plus(weights.attention_output @ mixed, weights.attention_output_bias)
            x = x + self._feed_forward(weights, x)
            caches.append((keys, values))
        inside = (offset < length) & (length <= offset + size)
        column = jnp.clip(length - 1 - offset, 0, size - 1)
        return PromptReading(tuple(caches), jnp.where(inside, self._rms(x, self.norm)[:, column], reading.hidden))

    def begin(self, reading: PromptReading, length: Int[Array, ""], lanes: int, max_new_tokens: int) -> LlamaState:
        """The state of lanes that have read the prompt and written nothing."""
        cfg, dtype = self.config, self.embedding.dtype
        own = (lanes, cfg.key_value_heads, max_new_tokens, cfg.head_dimension)
        return LlamaState(
            layers=tuple(LayerCache(k, v, jnp.zeros(own, dtype), jnp.zeros(own, dtype)) for k, v in reading.caches),
            prompt_length=length,
            row_of_lane=jnp.arange(lanes),
            length=jnp.zeros(lanes, jnp.int32),
            hidden=jnp.broadcast_to(reading.hidden, (lanes, cfg.dimension)),
        )

    def logits(self, state: LlamaState) -> Float[Array, "n vocabulary"]:
        head = self.embedding if self.head is None else self.head
        logits = (head @ state.hidden.T).T
        return logits if self.drawable is None else jnp.where(self.drawable, logits, -jnp.inf)

    def advance(
        self, state: LlamaState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> LlamaState:
        lane_of_row = jnp.argsort(state.row_of_lane)
        length = state.length[lane_of_row]
        frequencies = lax.stop_gradient(self.frequencies)
        x = self.embedding[tokens[lane_of_row]].T
        new = []
        for weights, cache in zip(self.layers, state.layers, strict=True):
            q, k, v = split_heads(self.config, self._project(weights, x), state.prompt_length + length, frequencies)
            prompt = (cache.prompt_keys, cache.prompt_values)
            own = (cache.keys, cache.values)
            mixed = decode_attention(self.config, q, prompt, state.prompt_length, own, length, (k, v))
            x = x + _plus(weights.attention_output @ mixed, weights.attention_output_bias)
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

    def _rms(self, x: Float[Array, "dimension columns"], scale: Float[Array, " dimension"]) -> Array:
        mean_square = jnp.mean(x * x, axis=0, keepdims=True)
        return x * lax.rsqrt(mean_square + self.config.norm_epsilon) * scale[:, None]

    def _project(self, weights: LlamaLayer, x: Float[Array, "dimension columns"]) -> Array:
        return _plus(weights.query_key_value @ self._rms(x, weights.attention_norm), weights.query_key_value_bias)

    def _feed_forward(self, weights: LlamaLayer, x: Float[Array, "dimension columns"]) -> Array:
        both = _plus(weights.gate_up @ self._rms(x, weights.feed_forward_norm), weights.gate_up_bias)
        gate, up = jnp.split(both, 2)
        return _plus(weights.down @ (jax.nn.silu(gate) * up), weights.down_bias)


def _plus(x: Float[Array, "rows columns"], bias: Float[Array, " rows"] | None) -> Float[Array, "rows columns"]:
    return x if bias is None else x + bias[:, None]


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
