"""The noun: a cloud of weighted particles, which is a random measure."""

from __future__ import annotations

import abc
import html
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, UInt32

from probinf._arguments import whole
from probinf._choice import NO_INDEX

X = TypeVar("X")

# As many copies of each value, on average, are no cloud any more.
COPIES = 10


class LaneState(eqx.Module):
    """A state of N lanes that owns its layout, for lanes that are dear to move or share storage (KV caches)."""

    @abc.abstractmethod
    def take(self, ancestors: Int[Array, " N"]) -> LaneState:
        """The state whose lane i is lane `ancestors[i]` of this one."""


class Particles(eqx.Module, Generic[X]):
    """N weighted values: the random measure `exp(log_evidence) * (1/N) * sum_i exp(log_weights_i) * delta(values_i)`.

    Law: the cloud is *properly weighted* for an unnormalised measure m when the expectation of this random measure is
    m, that is E[exp(log_z) * weighted mean of f] = m(f) for every f. Then `exp(log_z)` is unbiased for the mass of m;
    self-normalised averages are consistent only.

    values: any pytree with leading axis N on each leaf (a `LaneState` keeps its own layout; a list on the host).
    log_weights: unnormalised, in nats; -inf is a dead lane. log_evidence: the mass banked by past resampling.
    log_twist: how much `Resample` should favour each lane beyond its weight (see `Twist`); it is no part of the weight.
    """

    values: X
    log_weights: Float[Array, " N"]
    log_evidence: Float[Array, ""]
    log_twist: Float[Array, " N"]

    @property
    def n(self) -> int:
        """The number of lanes."""
        return self.log_weights.shape[0]

    @property
    def log_z(self) -> Float[Array, ""]:
        """Log of the total mass: `log_evidence + logsumexp(log_weights) - log N`."""
        return self.log_evidence + log_mean_exp(self.log_weights)

    @property
    def normalized_weights(self) -> Float[Array, " N"]:
        """Weights that sum to one; all zero for a dead cloud."""
        top = jnp.max(self.log_weights)
        weights = jnp.exp(self.log_weights - jnp.where(jnp.isfinite(top), top, 0.0))
        total = jnp.sum(weights)
        return weights / jnp.where(total > 0, total, 1.0)

    def _repr_html_(self) -> str:
        if isinstance(self.log_weights, Tracer):
            return f"<p>Particles of {self.n} lanes, being traced</p>"
        weights = self.normalized_weights
        size = float(1 / jnp.sum(weights**2)) if bool(jnp.any(weights > 0)) else 0.0
        kinds = "list" if isinstance(self.values, list) else eqx.tree_pformat(self.values)
        told = {"lanes": self.n, "values": kinds, "log Z": f"{float(self.log_z):.4g}", "effective size": f"{size:.1f}"}
        cells = (
            f'<tr><th>{k}</th><td style="text-align:left">{html.escape(str(v))}</td></tr>' for k, v in told.items()
        )
        return f"<table>{''.join(cells)}</table>"

    def replace(self, **fields: Any) -> Particles:
        """The same cloud with some fields exchanged."""
        current = {name: getattr(self, name) for name in ("values", "log_weights", "log_evidence", "log_twist")}
        return Particles(**{**current, **fields})


def spawn(n: int, values: Any = ()) -> Particles:
    """A cloud of n lanes with unit mass, from which every sampler starts.

    Law: unit mass, all weights one. `values` must already have the leading axis n; by default a lane holds nothing.

    Raises: ValueError for fewer than one particle, and for values of another number of lanes.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"a cloud needs at least one particle, got n={n!r}: pass n >= 1")
    _check_lanes(values, int(n))
    return Particles(values, jnp.zeros(int(n)), jnp.zeros(()), jnp.zeros(int(n)))


def log_mean_exp(log_x: Float[Array, " N"]) -> Float[Array, ""]:
    """Log of the mean of exp(log_x); -inf, not NaN, when all are -inf."""
    return jax.nn.logsumexp(log_x) - jnp.log(jnp.asarray(log_x.shape[0], log_x.dtype))


def add_log(a: Float[Array, " N"], b: Float[Array, " N"] | Float[Array, ""]) -> Float[Array, " N"]:
    """`a + b` where -inf is final: a dead lane stays dead whatever is added, so -inf never meets +inf as NaN."""
    dead = (a == -jnp.inf) | (b == -jnp.inf)
    return jnp.where(dead, -jnp.inf, jnp.where(dead, 0.0, a) + jnp.where(dead, 0.0, b))


def take_lanes(values: Any, ancestors: Int[Array, " M"]) -> Any:
    """The values whose lane i is lane `ancestors[i]`: a gather, except where a `LaneState` moves itself.

    Raises: ValueError for ancestors that are no lanes, unless traced.
    """
    if isinstance(values, list):
        return [values[int(i)] for i in ancestors]
    _check_ancestors(values, ancestors)
    move = lambda node: node.take(ancestors) if is_lane_state(node) else jnp.take(node, ancestors, axis=0)  # noqa: E731
    return jax.tree.map(move, values, is_leaf=is_lane_state)


def _check_ancestors(values: Any, ancestors: Int[Array, " M"]) -> None:
    """An index that is no lane would be filled with NaN, or count from the end."""
    sizes = {np.shape(leaf)[0] for leaf in jax.tree.leaves(values, is_leaf=is_lane_state) if not is_lane_state(leaf)}
    if sizes and not isinstance(ancestors, Tracer):
        whole("ancestors", ancestors, low=0, high=min(sizes) - 1)


def lane(values: Any, i: int) -> Any:
    """The value of lane i."""
    return values[i] if isinstance(values, list) else jax.tree.map(lambda leaf: leaf[i], values)


def own(values: Any) -> Any:
    """The values with every `LaneState` copied, so that it may be used up; inside a trace they are as they were."""
    return jax.tree.map(lambda node: copied(node) if is_lane_state(node) else node, values, is_leaf=is_lane_state)


def copied(tree: Any) -> Any:
    """The tree with buffers of its own; inside a trace there are none to copy."""
    concrete = lambda leaf: isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer)  # noqa: E731
    return jax.tree.map(lambda leaf: leaf.copy() if concrete(leaf) else leaf, tree)


def is_lane_state(node: Any) -> bool:
    """Whether a node of a tree of values owns its layout."""
    return isinstance(node, LaneState)


def shows_copies(values: Any) -> bool:
    """Whether equal values are copies: there is a floating-point array, and no object or `LaneState`.

    Draws from a law with a density are never equal. Of values that hold whole numbers only, such as states of a finite
    model, many may be equal by right; so may texts, whose cloud holds a `LaneState`.
    """
    leaves = [values] if isinstance(values, list) else jax.tree.leaves(values, is_leaf=is_lane_state)
    if any(isinstance(leaf, list) or is_lane_state(leaf) for leaf in leaves):
        return False
    return any(jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves)


def lane_codes(values: Any, n: int, seed: int = 0) -> UInt32[Array, " n"]:
    """A number for each lane, the same for equal values, and for two others with chance 2^-32."""
    code = jnp.full(n, seed, jnp.uint32)
    for leaf in jax.tree.leaves(values):
        words = _words(leaf, n)
        place = _mixed(jnp.arange(words.shape[1], dtype=jnp.uint32) * jnp.uint32(0x9E3779B9) + jnp.uint32(seed + 1))
        code = _mixed(code + jnp.sum(_mixed(words ^ place[None, :]), axis=1, dtype=jnp.uint32))
    return code


def distinct_lanes(values: Any, living: Bool[Array, " N"]) -> Int[Array, ""]:
    """How many different values the living lanes hold, to within about 1 %; O(N), without sorting.

    Linear counting: Whang, Vander-Zanden and Taylor, ACM Transactions on Database Systems 15 (1990).
    """
    n = living.shape[0]
    cells = 8 * n
    cell = jnp.where(living, lane_codes(values, n) % cells, cells)
    taken = jnp.sum(jnp.zeros(cells + 1, bool).at[cell].set(True)[:cells])
    count = jnp.round(-cells * jnp.log1p(-taken / cells)).astype(jnp.int32)
    return jnp.minimum(count, jnp.sum(living, dtype=jnp.int32))


def _words(leaf: Any, n: int) -> UInt32[Array, "n words"]:
    """What a leaf holds in each lane, as words of 32 bits."""
    leaf = jnp.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        leaf = jnp.stack([leaf.real, leaf.imag], axis=-1)
    if leaf.dtype.itemsize >= 4:
        leaf = jax.lax.bitcast_convert_type(leaf, jnp.uint32)
    elif jnp.issubdtype(leaf.dtype, jnp.floating):
        leaf = leaf.astype(jnp.float32).view(jnp.uint32)
    return leaf.astype(jnp.uint32).reshape(n, -1)


def _mixed(word: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """A permutation of 32-bit words in which every bit depends on every other (the finalizer of MurmurHash3)."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def undefined_lanes(values: Any, n: int) -> Bool[Array, " n"]:
    """Which of n lanes hold NaN, or the index that `choice` gives where the logits hold NaN.

    Objects of the host and `LaneState`s are not looked into.
    """
    found = jnp.zeros(n, bool)
    for leaf in [] if isinstance(values, list) else jax.tree.leaves(values, is_leaf=is_lane_state):
        if is_lane_state(leaf) or jnp.shape(leaf)[:1] != (n,):
            continue
        kind = jnp.result_type(leaf)
        if jnp.issubdtype(kind, jnp.inexact):
            wrong = jnp.isnan(leaf)
        elif kind == jnp.int32:
            wrong = leaf == NO_INDEX
        else:
            continue
        found = found | jnp.any(wrong.reshape(n, -1), axis=1)
    return found


def _check_lanes(values: Any, n: int) -> None:
    leaves = [] if isinstance(values, list) else jax.tree.leaves(values, is_leaf=is_lane_state)
    sizes = {np.shape(leaf)[:1] for leaf in leaves if not is_lane_state(leaf)}
    sizes |= {(len(values),)} if isinstance(values, list) else set()
    if sizes - {(n,)}:
        raise ValueError(f"a cloud of {n} particles needs values with leading axis {n}, got {sorted(sizes)}")
