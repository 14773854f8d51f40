"""The second reading of a jaxpr: every draw takes its outcome from a script and reports its log-probability.

The replay is a pure function of the script, so one `jit(vmap(...))` evaluates a program on all outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal
from jax.extend.core.primitives import cond_p, random_bits_p, random_split_p, scan_p
from jaxtyping import Array, Bool, Int, UInt

from probinf._choice import choice_p
from probinf.validity._forms import branches, inlined_body, open_jaxpr, output_size, scan_form
from probinf.validity._sites import KEY_FORKS, SITES, arities, holds, shared_keys, site_arity
from probinf.validity._source import UNKNOWN_LINE, source_line

# Equations whose outcome the replay records, wherever they stand.
_FOLLOWED = (*SITES, *KEY_FORKS, cond_p)


class Script(eqx.Module):
    """The outcome of every scalar draw, and where each stands in the whole script."""

    outcomes: Int[Array, "*repeats slots"]
    slots: Int[Array, "*repeats slots"]
    # Points of the grid that stands for random bits; 0 where there are none.
    grid: int = eqx.field(static=True)
    caller: str = eqx.field(static=True, default=UNKNOWN_LINE)

    def called_by(self, equation: JaxprEqn) -> Script:
        """The same draws, made in the body of this equation."""
        return Script(self.outcomes, self.slots, self.grid, source_line(equation, self.caller))

    def part(self, start: int, size: int) -> Script:
        """The next `size` draws."""
        return jax.tree.map(lambda x: x[start : start + size], self)

    def rows(self, turns: int, size: int) -> Script:
        """One row of `size` draws for each turn of a loop."""
        return jax.tree.map(lambda x: x.reshape(turns, size), self)


class KeyUse(eqx.Module):
    """Keys that a site drew from, and the draws it made with each."""

    keys: UInt[Array, "*batch words"]
    slots: Int[Array, "*batch draws"]
    active: Bool[Array, "*batch"]
    source: str = eqx.field(static=True)


class KeyFork(eqx.Module):
    """Keys that were split or folded, and the keys this made."""

    parents: UInt[Array, "*batch words"]
    children: UInt[Array, "*batch children words"]
    active: Bool[Array, "*batch"]


class BranchUse(eqx.Module):
    """Which branch a cond took."""

    taken: Int[Array, "*batch"]
    active: Bool[Array, "*batch"]
    source: str = eqx.field(static=True)
    branches: int = eqx.field(static=True)


Record = KeyUse | KeyFork | BranchUse


def replay(
    jaxpr: Any, arguments: list, script: Script, position: Array, constants: Sequence[Any] | None = None
) -> tuple[list, Array, list]:
    """Evaluates a jaxpr on one script; `position` is that of uniforms in their cells, and in those of a grid.

    Law: over all scripts, the outputs weighted by `exp(sum(log_weights))` are the law of the program.

    Returns the outputs, the log-probability of each slot given the earlier ones, and the records of keys and branches.
    A slot that this path does not read has the single outcome 0; one that does not exist has weight -inf.
    """
    body, own_constants = open_jaxpr(jaxpr)
    constants = own_constants if constants is None else constants
    values: dict[Any, Any] = dict(zip(body.constvars, constants, strict=True))
    values |= dict(zip(body.invars, arguments, strict=True))
    log_weights: list[Array] = []
    records: list[Record] = []
    shared = shared_keys(body)
    start = 0
    for equation in body.eqns:
        inputs = [atom.val if isinstance(atom, Literal) else values[atom] for atom in equation.invars]
        size = _slots(equation, script.grid, shared)
        part = script.part(start, size)
        start += size
        outputs, part_weights, part_records = _step(equation, inputs, part, position, shared)
        values |= dict(zip(equation.outvars, outputs, strict=True))
        log_weights.append(part_weights)
        records += part_records
    outputs = [atom.val if isinstance(atom, Literal) else values[atom] for atom in body.outvars]
    empty = jnp.zeros((0,))
    return outputs, jnp.concatenate([empty, *log_weights]), records


def _slots(equation: JaxprEqn, grid: int, shared: dict[Any, int]) -> int:
    """How many slots of the script an equation reads."""
    primitive = equation.primitive
    if primitive in SITES:
        return output_size(equation) // shared.get(equation.outvars[0], 1)
    if (body := inlined_body(equation)) is not None:
        return len(arities(body, grid))
    if primitive is scan_p:
        scan = scan_form(equation)
        return len(arities(scan.body, grid)) * scan.length
    if primitive is cond_p:
        return max(len(arities(branch, grid)) for branch in branches(equation))
    return 0


def _step(
    equation: JaxprEqn, inputs: list, script: Script, position: Array, shared: dict[Any, int]
) -> tuple[list, Array, list]:
    primitive = equation.primitive
    if primitive in SITES:
        copies = shared.get(equation.outvars[0], 1)
        if copies > 1:
            return _shared_draw(equation, inputs, script, position, copies)
        return _draw(equation, inputs, script, position)
    body = inlined_body(equation)
    if body is not None and holds(body, _FOLLOWED):
        return replay(body, inputs, script.called_by(equation), position)
    if primitive is scan_p and holds(scan_form(equation).body, _FOLLOWED):
        return _replay_scan(equation, inputs, script.called_by(equation), position)
    if primitive is cond_p and any(holds(branch, _FOLLOWED) for branch in branches(equation)):
        return _replay_cond(equation, inputs, script.called_by(equation), position)
    outputs = [_forked(equation, inputs)] if _labelled(equation) else _bind(equation, inputs)
    records = [_branch_use(equation, inputs[0], script)] if primitive is cond_p else _forks(equation, inputs, outputs)
    return outputs, jnp.zeros((0,)), records


def _bind(equation: JaxprEqn, inputs: list) -> list:
    params = equation.primitive.get_bind_params(equation.params)
    outputs = equation.primitive.bind(*inputs, **params)
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def _labelled(equation: JaxprEqn) -> bool:
    """Whether an equation forks keys of Threefry with its counter as a part of `split` and `fold_in` alike."""
    if equation.primitive not in KEY_FORKS or not jax.config.values["jax_threefry_partitionable"]:
        return False
    aval: Any = equation.invars[0].aval
    return str(aval.dtype) == "key<fry>"


def _forked(equation: JaxprEqn, inputs: list) -> Array:
    """Other bits for the keys that an equation makes, equal where those of Threefry are: a fork is one number.

    Nothing is drawn from these bits, they tell keys apart; Threefry would be most of what is compiled.
    """
    words = jax.random.key_data(inputs[0])
    high, low = words[..., 0], words[..., 1]
    if equation.primitive is random_split_p:
        shape = equation.params["shape"]
        number = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape((1,) * high.ndim + shape)
        high, low = (x.reshape(*x.shape, *(1,) * len(shape)) for x in (high, low))
    else:
        number = inputs[1]
    shape = jnp.broadcast_shapes(high.shape, number.shape)
    high, low, number = (jnp.broadcast_to(x, shape) for x in (high, low, number))
    first = _mixed(high ^ (number * np.uint32(0x9E3779B9) + np.uint32(0x3C6EF372)))
    second = _mixed(low + first + number * np.uint32(0x85EBCA6B))
    return jax.random.wrap_key_data(jnp.stack([first, second], axis=-1), impl="threefry2x32")


def _mixed(x: Array) -> Array:
    """A permutation of 32-bit words without structure."""
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _forks(equation: JaxprEqn, inputs: list, outputs: list) -> list[Record]:
    if equation.primitive not in KEY_FORKS:
        return []
    parents, children = jax.random.key_data(inputs[0]), jax.random.key_data(outputs[0])
    if equation.primitive is random_split_p:
        children = children.reshape(*parents.shape[:-1], -1, parents.shape[-1])
    else:
        children = children[..., None, :]
        parents = jnp.broadcast_to(parents, (*children.shape[:-2], parents.shape[-1]))
    return [KeyFork(parents, children, jnp.ones(parents.shape[:-1], bool))]


def _draw(equation: JaxprEqn, inputs: list, script: Script, position: Array) -> tuple[list, Array, list]:
    key = inputs[0]
    aval: Any = equation.outvars[0].aval
    outcomes = script.outcomes.reshape(aval.shape)
    if equation.primitive is choice_p:
        log_weights, value = _choice_outcome(inputs[1], outcomes, len(equation.params["draws"]))
    elif equation.primitive is random_bits_p:
        log_weights, value = _grid_outcome(script.grid, outcomes, equation.params["bit_width"], position[1])
    else:
        log_weights, value = _cell_outcome(inputs[1], outcomes, position[0])
    # A slot shared with a wider branch of a cond has outcomes that this site does not.
    log_weights = jnp.where(outcomes < site_arity(equation, script.grid), log_weights, -jnp.inf)
    words = jax.random.key_data(key)
    use = KeyUse(
        words,
        script.slots.reshape(*key.shape, -1),
        jnp.ones(key.shape, bool),
        source_line(equation, script.caller),
    )
    return [value.astype(aval.dtype)], log_weights.reshape(-1), [use]


def _choice_outcome(logits: Array, outcomes: Array, draws: int) -> tuple[Array, Array]:
    """Log-probability of each outcome; a row without any possible outcome gives index 0 for certain."""
    k = logits.shape[-1]
    dead = jnp.all(logits == -jnp.inf, axis=-1, keepdims=True)
    certain = jnp.where(jnp.arange(k) == 0, 0.0, -jnp.inf).reshape((1,) * (logits.ndim - 1) + (k,))
    rows = jnp.where(dead, certain, jax.nn.log_softmax(jnp.where(dead, 0.0, logits), axis=-1))
    rows = rows.reshape(*logits.shape[:-1], *(1,) * draws, k)
    index = jnp.minimum(outcomes, k - 1)
    rows = jnp.broadcast_to(rows, (*outcomes.shape, k))
    return jnp.take_along_axis(rows, index[..., None], axis=-1)[..., 0], index


def _cell_outcome(breaks: Array, outcomes: Array, position: Array) -> tuple[Array, Array]:
    """Log-width of each cell between the sorted breaks, and the point of it at the relative position."""
    inner = jnp.sort(jnp.clip(breaks, 0.0, 1.0), axis=-1)
    end = jnp.zeros_like(inner[..., :0], shape=(*inner.shape[:-1], 1))
    edges = jnp.concatenate([end, inner, end + 1.0], axis=-1)
    index = jnp.minimum(outcomes, inner.shape[-1])[..., None]
    low = jnp.take_along_axis(edges, index, axis=-1)[..., 0]
    width = jnp.take_along_axis(edges, index + 1, axis=-1)[..., 0] - low
    return jnp.log(width), low + position * width


def _grid_outcome(grid: int, outcomes: Array, bit_width: int, position: Array) -> tuple[Array, Array]:
    """Equally likely bits that `jax.random.uniform` turns into the points (i + position) / grid."""
    middles = [(2 * i + 1) * 2**bit_width // (2 * grid) for i in range(grid)]
    table = jnp.array(np.array(middles, dtype=f"uint{bit_width}"))
    # The middle is exact in integers; another position is needed only roughly.
    away = (position - 0.5) * (2.0 ** min(bit_width, 32) / grid)
    shift = jnp.abs(away).astype(table.dtype) << max(0, bit_width - 32)
    index = jnp.minimum(outcomes, grid - 1)
    value = jnp.where(away < 0, table[index] - shift, table[index] + shift)
    return jnp.full(outcomes.shape, -math.log(grid)), value


def _shared_draw(
    equation: JaxprEqn, inputs: list, script: Script, position: Array, copies: int
) -> tuple[list, Array, list]:
    """One uniform for all rows that were given the same key: the cells are those between the breaks of all of them."""
    key, breaks = inputs
    words = jax.random.key_data(key).reshape(-1, copies, jax.random.key_data(key).shape[-1])[:, 0]
    joined = breaks.reshape(words.shape[0], -1)
    outcomes = script.outcomes.reshape(words.shape[0])
    log_weights, value = _cell_outcome(joined, outcomes, position[0])
    log_weights = jnp.where(outcomes < joined.shape[-1] + 1, log_weights, -jnp.inf)
    aval: Any = equation.outvars[0].aval
    value = jnp.broadcast_to(value[:, None], (words.shape[0], copies)).reshape(aval.shape)
    line = source_line(equation, script.caller)
    use = KeyUse(words, script.slots.reshape(words.shape[0], 1), jnp.ones(words.shape[0], bool), line)
    return [value.astype(aval.dtype)], log_weights.reshape(-1), [use]


def _replay_scan(equation: JaxprEqn, inputs: list, script: Script, position: Array) -> tuple[list, Array, list]:
    scan = scan_form(equation)
    fixed, carried = scan.constants, scan.carried
    constants, carry, xs = inputs[:fixed], inputs[fixed : fixed + carried], inputs[fixed + carried :]
    rows = script.rows(scan.length, len(arities(scan.body, script.grid)))

    def turn(carry: list, x: tuple[list, Script]) -> tuple[list, tuple]:
        outputs, log_weights, records = replay(scan.body, [*constants, *carry, *x[0]], x[1], position)
        return outputs[:carried], (outputs[carried:], log_weights, records)

    carry, (ys, log_weights, records) = jax.lax.scan(turn, carry, (xs, rows), length=scan.length, reverse=scan.reverse)
    return [*carry, *ys], log_weights.reshape(-1), records


def _replay_cond(equation: JaxprEqn, inputs: list, script: Script, position: Array) -> tuple[list, Array, list]:
    """Reads every branch and selects one, which is what vmap makes of a cond anyway."""
    index, operands = inputs[0], inputs[1:]
    outputs, log_weights, records = [], [], []
    size = script.outcomes.shape[0]
    for number, branch in enumerate(branches(equation)):
        read = len(arities(branch, script.grid))
        branch_outputs, weights, branch_records = replay(branch, operands, script.part(0, read), position)
        idle = jnp.where(script.outcomes[read:size] == 0, 0.0, -jnp.inf)
        outputs.append(branch_outputs)
        log_weights.append(jnp.concatenate([weights, idle]))
        for record in branch_records:
            taken = record.active & (index == number)
            records.append(eqx.tree_at(lambda r: r.active, record, taken))
    records.append(_branch_use(equation, index, script))
    index = index.astype(jnp.int32)
    selected = [jax.lax.select_n(index, *cases) for cases in zip(*outputs, strict=True)]
    return selected, jax.lax.select_n(index, *log_weights), records


def _branch_use(equation: JaxprEqn, index: Array, script: Script) -> BranchUse:
    count = len(branches(equation))
    taken = jnp.clip(index.astype(jnp.int32), 0, count - 1)
    return BranchUse(taken, jnp.ones(taken.shape, bool), source_line(equation, script.caller), count)
