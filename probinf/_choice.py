"""The only source of discrete randomness: primitives that a second reading of the same code can enumerate.

Every discrete decision of a sampler (a token, an ancestor, an accept bit) is one `choice`, and every uniform that
matters only through a step function is one `uniform_cells`. Both are JAX primitives, so they stay visible in the
jaxpr that runs; `probinf.validity` finds them there and replays the program on every outcome.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

# What `choice` returns where the logits say nothing; no program draws it otherwise.
NO_INDEX = -(2**31)
# Above this many outcomes a flat prefix sum costs more than a block-wise one.
_FLAT_LIMIT = 1024
# Up to this many entries a running sum by groups is not worth its many small operations.
_FEW = 32
# Entries of a group: fewer groups mean fewer passes over memory, longer groups more arithmetic in each.
_GROUP = 4


def check_key(key: PRNGKeyArray) -> None:
    """Refuses anything that is not a single typed PRNG key.

    Raises: TypeError for a legacy `uint32` key, for an array of keys, and for anything else.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(f"expected a typed PRNG key, got {dtype or type(key).__name__}: use jax.random.key(seed)")
    if key.shape != ():
        raise TypeError(f"expected one PRNG key, got an array of keys of shape {key.shape}: pass one, or use jax.vmap")


def choice(key: PRNGKeyArray, logits: Float[Array, "..."], draws: Sequence[int] = ()) -> Int[Array, "..."]:
    """Draws indices of the last axis of `logits`, with probability proportional to `exp(logits)`.

    Law: independent over `logits.shape[:-1] + draws`, P(index = k) = softmax(logits)[k]; an entry of -inf is never
    drawn (in float32 too). A row that is -inf throughout gives index 0. A row with NaN or +inf has no law: it gives
    the smallest int32, which is the index of nothing, and a `Draw` or `Move` that leaves it in a value ends as INVALID.

    Survives jit, vmap, scan and cond; `probinf.validity` enumerates its outcomes exactly.

    Raises: TypeError for a legacy key; ValueError where there is nothing to choose from.
    """
    check_key(key)
    logits = jnp.asarray(logits)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"choice needs at least one outcome on the last axis, got logits of shape {logits.shape}")
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"choice needs floating-point logits, got {logits.dtype}")
    # An index is discrete: no derivative flows through it.
    return choice_p.bind(key, jax.lax.stop_gradient(logits), draws=tuple(draws))


def flip(key: PRNGKeyArray, log_p: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Tosses independent coins that show True with probability `min(1, exp(log_p))`.

    Law: Bernoulli(min(1, exp(log_p))), elementwise. This is the accept bit of Metropolis-Hastings; NaN shows False.
    """
    log_p = jnp.minimum(jnp.asarray(log_p), 0.0)
    # log(1 - p), with the certain coin kept away from log(0) so that no derivative is NaN.
    certain = log_p >= 0.0
    log_q = jnp.where(certain, -jnp.inf, jnp.log(-jnp.expm1(jnp.where(certain, -1.0, log_p))))
    return choice(key, jnp.stack([log_q, log_p], axis=-1)) == 1


def uniform_cells(key: PRNGKeyArray, breaks: Float[Array, "*batch cells"]) -> Float[Array, "*batch"]:
    """Draws `u ~ Uniform[0, 1)` of shape `breaks.shape[:-1]`, to be used as a step function of `u` only.

    Law: independent uniforms. The caller promises that what follows is constant in `u` between consecutive entries of
    `breaks[..., :]` (any order, values outside [0, 1] ignored); the promise is what makes systematic and stratified
    resampling exactly enumerable, and `probinf.validity` tests it by evaluating two points of every cell.
    """
    check_key(key)
    return uniform_cells_p.bind(key, jax.lax.stop_gradient(jnp.asarray(breaks)))


def prefix_sum(x: Shaped[Array, "*batch n"]) -> Shaped[Array, "*batch n"]:
    """Running sum over the last axis, of floats or integers; several times faster than `jnp.cumsum` on CPU."""
    return _running_sum(x, monotone=False)


def safe_cdf(weights: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """Cumulative weights that never fall, nor rise at an entry of weight zero, whatever the rounding.

    A parallel prefix sum in floating point is not monotone, so an entry of weight zero can get a positive increment;
    here it equals its predecessor to the last bit. Leading zeros give zero.
    """
    return _running_sum(weights, monotone=True)


def _running_sum(x: Array, *, monotone: bool) -> Array:
    """The ends of groups by recursion, then the entries within each group from the end of the group before.

    Monotone by induction: adding what is not negative never lowers a float and adding zero keeps it, an entry is
    capped by the end of its group, and one after which its group has only zeros is set to that end.
    """
    n = x.shape[-1]
    if n <= _FEW:
        total = jnp.cumsum(x, axis=-1, dtype=x.dtype)
        return jax.lax.cummax(jnp.where(x > 0, total, 0), axis=x.ndim - 1) if monotone else total
    keep = [(0, 0)] * (x.ndim - 1)
    padded = jnp.pad(x, [*keep, (0, -n % _GROUP)])
    columns = [padded[..., j::_GROUP] for j in range(_GROUP)]
    ends = _running_sum(functools.reduce(jnp.add, columns), monotone=monotone)
    total, totals = jnp.pad(ends[..., :-1], [*keep, (1, 0)]), []
    for j in range(_GROUP - 1):
        total = total + columns[j]
        if monotone:
            rises_later = functools.reduce(jnp.maximum, columns[j + 1 :]) > 0
            total = jnp.where(rises_later, jnp.minimum(total, ends), ends)
        totals.append(total)
    return jnp.stack([*totals, ends], axis=-1).reshape(padded.shape)[..., :n]


def _below(total: Array, fraction: Array) -> Array:
    """`fraction * total`, kept strictly below `total`: the product of floats below one can round up to it."""
    return jnp.minimum(fraction * total, jnp.nextafter(total, jnp.zeros_like(total)))


def _invert_flat(weights: Array, u: Array) -> Array:
    """First index whose cumulative weight exceeds `u * total`; one `u` per row."""
    cdf = safe_cdf(weights)
    total = cdf[..., -1]
    index = jnp.sum((cdf <= _below(total, u)[..., None]).astype(jnp.int32), axis=-1)
    return jnp.where(total > 0, index, 0)


def _invert_blocks(weights: Array, u: Array) -> Array:
    """The same in two levels, block first, so that no prefix sum runs over a whole vocabulary."""
    n = weights.shape[-1]
    block = 1 << math.ceil(math.log2(math.sqrt(n)))
    blocks = -(-n // block)
    pad = [(0, 0)] * (weights.ndim - 1) + [(0, blocks * block - n)]
    grid = jnp.pad(weights, pad).reshape(*weights.shape[:-1], blocks, block)
    cdf = safe_cdf(jnp.sum(grid, axis=-1))
    total = cdf[..., -1]
    target = _below(total, u)
    outer = jnp.where(total > 0, jnp.sum((cdf <= target[..., None]).astype(jnp.int32), axis=-1), 0)
    before = jnp.where(outer > 0, jnp.take_along_axis(cdf, jnp.maximum(outer - 1, 0)[..., None], axis=-1)[..., 0], 0.0)
    row = jnp.take_along_axis(grid, outer[..., None, None], axis=-2)[..., 0, :]
    inner_cdf = safe_cdf(row)
    inner_total = inner_cdf[..., -1]
    # The block total and the block's own prefix sum may differ in the last bit.
    residual = jnp.maximum(target - before, 0.0)
    residual = jnp.minimum(residual, jnp.nextafter(inner_total, jnp.zeros_like(inner_total)))
    inner = jnp.sum((inner_cdf <= residual[..., None]).astype(jnp.int32), axis=-1)
    return jnp.where(total > 0, outer * block + inner, 0)


def _invert_many(weights: Array, u: Array) -> Array:
    """Many draws from one row: one prefix sum, then a binary search per draw."""
    cdf = safe_cdf(weights)
    index = jnp.searchsorted(cdf, _below(cdf[-1], u), side="right").astype(jnp.int32)
    return jnp.where(cdf[-1] > 0, index, 0)


def _sample_choice(key: Array, logits: Array, *, draws: tuple[int, ...]) -> Array:
    for _ in range(key.ndim):
        return jax.vmap(functools.partial(_sample_choice, draws=draws))(key, logits)
    top = jnp.max(logits, axis=-1, keepdims=True)
    weights = jnp.exp(logits - jnp.where(jnp.isfinite(top), top, 0.0))
    u = jax.random.uniform(key, logits.shape[:-1] + draws, logits.dtype)
    if draws:
        invert = _invert_many
        for _ in range(logits.ndim - 1):
            invert = jax.vmap(invert)
    else:
        invert = _invert_flat if logits.shape[-1] <= _FLAT_LIMIT else _invert_blocks
    # In float64 mode a sum of int32 is int64.
    index = invert(weights, u).astype(jnp.int32)
    # NaN is the maximum of whatever holds it.
    undefined = (jnp.isnan(top) | (top == jnp.inf)).reshape(logits.shape[:-1] + (1,) * len(draws))
    return jnp.where(undefined, NO_INDEX, index)


def _sample_uniform_cells(key: Array, breaks: Array) -> Array:
    for _ in range(key.ndim):
        return jax.vmap(_sample_uniform_cells)(key, breaks)
    return jax.random.uniform(key, breaks.shape[:-1], breaks.dtype)


def _batch(primitive, args, dims, **params):
    """Moves every batch axis to the front and repeats what is not batched; a shared key stays visible as repeated."""
    size = next(x.shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    moved = [
        jnp.broadcast_to(x, (size, *x.shape)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in zip(args, dims, strict=True)
    ]
    return primitive.bind(*moved, **params), 0


def _define(name: str, sample, abstract) -> Primitive:
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(sample, static_argnames=("draws",)) if name == "choice" else jax.jit(sample))
    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(sample, multiple_results=False))
    batching.primitive_batchers[primitive] = functools.partial(_batch, primitive)
    return primitive


choice_p = _define(
    "choice",
    _sample_choice,
    lambda key, logits, *, draws: ShapedArray(logits.shape[:-1] + draws, jnp.dtype("int32")),
)
uniform_cells_p = _define(
    "uniform_cells",
    _sample_uniform_cells,
    lambda key, breaks: ShapedArray(breaks.shape[:-1], breaks.dtype),
)
