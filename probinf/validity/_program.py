"""A program traced once in float64 and compiled once, to be run on any of its scripts."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from probinf._choice import check_key
from probinf.validity._errors import TooManyWorlds
from probinf.validity._forms import open_jaxpr, sub_jaxprs, without_unused
from probinf.validity._replay import Script, replay
from probinf.validity._sites import Site, arities, refuse_raw_draws, sites

# Bytes of intermediate results that one compiled call may hold, and the most scripts it reads.
_MEMORY = 2**28
_MOST_ROWS = 2**14
# Programs that are kept, so that the same model with other numbers is traced and compiled once.
_MOST_PROGRAMS = 64
_PROGRAMS: dict[Any, Program] = {}


class Runs(NamedTuple):
    """What a batch of scripts did: one row a script."""

    outputs: list[np.ndarray]
    log_weights: np.ndarray  # [rows, slots]
    records: Any

    @property
    def log_prob(self) -> np.ndarray:
        """Log-probability of each script; an impossible draw makes it -inf whatever the later ones say."""
        impossible = np.any(self.log_weights == -np.inf, axis=1)
        return np.where(impossible, -np.inf, np.sum(np.where(impossible[:, None], 0.0, self.log_weights), axis=1))


def is_key(x: Any) -> bool:
    """Whether a leaf is an array of typed PRNG keys."""
    return eqx.is_array(x) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def promote(tree: PyTree) -> PyTree:
    """The same tree with its floating-point arrays in double precision; call it where float64 is enabled."""

    def leaf(x: Any) -> Any:
        if not eqx.is_array(x) and not isinstance(x, np.ndarray | np.generic) or is_key(x):
            return x
        x = jnp.asarray(x)
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            return x.astype(jnp.complex128)
        return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(leaf, tree)


class Program:
    """`f(key, *arguments)` as a function of a script; build and run it where float64 is enabled.

    Draws that no output depends on are removed: they integrate to one. With `double=False` it is the program in
    production precision: build and run it where float64 is not enabled.
    """

    arities: tuple[int, ...]
    sites: tuple[Site, ...]
    worlds: int
    # Which outputs are keys, whose bits stand for nothing but themselves.
    key_outputs: set[int]

    def __init__(
        self,
        f: Callable[..., PyTree],
        key: PRNGKeyArray,
        arguments: tuple,
        limit: int,
        grid: int,
        *,
        double: bool = True,
    ):
        """Traces `f` once; `limit` bounds the number of scripts.

        Raises: NotEnumerable, TooManyWorlds.
        """
        check_key(key)
        self.key, self.grid = key, grid
        tree = (f, arguments)
        dynamic, static = eqx.partition(promote(tree) if double else tree, eqx.is_array)
        self._leaves, structure = jax.tree.flatten(dynamic)
        self._single = _singles(tree)
        kept: list[Any] = []

        def flat(leaves: list, key: PRNGKeyArray) -> PyTree:
            function, arguments = eqx.combine(jax.tree.unflatten(structure, leaves), static)
            result = function(key, *arguments)
            result = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array_like(x) and not is_key(x) else x, result)
            arrays, rest = eqx.partition(result, eqx.is_array)
            kept.append(rest)
            return arrays

        closed, shape = jax.make_jaxpr(flat, return_shape=True)(self._leaves, key)
        self._static = kept[-1]
        self._structure = jax.tree.structure(shape)
        self.key_outputs = {
            i for i, leaf in enumerate(jax.tree.leaves(shape)) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        }
        jaxpr = without_unused(closed)
        refuse_raw_draws(jaxpr, grid)
        self._constants = list(open_jaxpr(jaxpr)[1])
        self.arities = tuple(arities(jaxpr, grid))
        self.sites = tuple(sites(jaxpr, grid))
        self._check_size(limit)
        self.worlds = math.prod(self.arities)
        most = min(_MOST_ROWS, max(1, _MEMORY // (1 + _bytes(jaxpr))))
        batches = -(-self.worlds // most)
        self.rows = -(-self.worlds // batches)
        self._run = jax.jit(_batched(jaxpr, len(self.arities), grid))

    @classmethod
    def of(
        cls,
        f: Callable[..., PyTree],
        key: PRNGKeyArray,
        arguments: tuple,
        limit: int,
        grid: int = 0,
        *,
        double: bool = True,
    ) -> Program:
        """The program of `f(key, *arguments)`; one of the same shape that was built before is taken with other numbers.

        Raises: NotEnumerable, TooManyWorlds.
        """
        tree = (f, arguments)
        dynamic, static = eqx.partition(promote(tree) if double else tree, eqx.is_array)
        leaves, structure = jax.tree.flatten(dynamic)
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        try:
            name = (structure, tuple(jax.tree.leaves(static)), jax.tree.structure(static), shapes, grid, double)
            known = _PROGRAMS.get(name)
        except TypeError:
            # Something in it cannot be compared.
            return cls(f, key, arguments, limit, grid, double=double)
        if known is None:
            if len(_PROGRAMS) >= _MOST_PROGRAMS:
                _PROGRAMS.clear()
            known = _PROGRAMS[name] = cls(f, key, arguments, limit, grid, double=double)
        return known._with(tree, leaves, key, limit)

    def _with(self, tree: PyTree, leaves: list, key: PRNGKeyArray, limit: int) -> Program:
        """The same compiled program on other arrays."""
        other = copy.copy(self)
        other.key, other._leaves, other._single = key, leaves, _singles(tree)
        other._check_size(limit)
        return other

    def _check_size(self, limit: int) -> None:
        if sum(math.log(arity) for arity in self.arities if arity) > math.log(limit) + 1e-9:
            detail = "; ".join(f"{s.count} draws of {s.arity} outcomes at {s.source}" for s in self.sites)
            raise TooManyWorlds(self.arities, limit, detail)

    @property
    def holds_single(self) -> bool:
        """Whether the program reads tables in float32."""
        return any(self._single) or any(_is_single(x) for x in self._constants)

    def outcomes(self, worlds: np.ndarray) -> np.ndarray:
        """The scripts with these numbers, in mixed radix: int32 [rows, slots]."""
        strides = np.cumprod(np.array([1, *self.arities[::-1]], dtype=np.int64))[-2::-1]
        return ((worlds[:, None] // strides) % np.array(self.arities, dtype=np.int64)).astype(np.int32)

    def run(
        self,
        outcomes: np.ndarray,
        position: float = 0.5,
        *,
        on_grid: float = 0.5,
        key: PRNGKeyArray | None = None,
        rounding: int | None = None,
    ) -> Runs:
        """Runs at most `self.rows` scripts, padded to that size so that everything compiles once.

        Args:
            outcomes: the scripts.
            position: where in its cell each uniform lies.
            on_grid: the same for the cells around the points of a grid.
            key: another base key than that of the trace.
            rounding: a seed; every number of a float32 table is moved by half a unit of its rounding, up or down.
        """
        count = len(outcomes)
        padded = outcomes[np.minimum(np.arange(self.rows), count - 1)]
        leaves, constants = self._leaves, self._constants
        if rounding is not None:
            signs = np.random.default_rng(rounding)
            leaves = [_moved(x, signs) if single else x for x, single in zip(leaves, self._single, strict=True)]
            constants = [_moved(x, signs) if _is_single(x) else x for x in constants]
        key = self.key if key is None else key
        outputs, log_weights, records = self._run(padded, leaves, constants, key, jnp.array([position, on_grid]))
        return jax.tree.map(lambda x: np.asarray(x)[:count], Runs(outputs, log_weights, records))

    def batches(self, position: float = 0.5, **how: Any) -> Iterator[tuple[np.ndarray, Runs]]:
        """All scripts in numerical order, batch by batch: their numbers, and what they did."""
        for start in range(0, self.worlds, self.rows):
            worlds = np.arange(start, min(start + self.rows, self.worlds))
            yield worlds, self.run(self.outcomes(worlds), position, **how)

    def unflatten(self, outputs: list[np.ndarray]) -> PyTree:
        """The output as the program returned it, with a leading axis on every array."""
        return eqx.combine(jax.tree.unflatten(self._structure, outputs), self._static)


def _batched(jaxpr: Any, slots: int, grid: int) -> Callable:
    def one(outcomes: Any, leaves: list, constants: list, key: Any, position: Any) -> tuple[list, Any, list]:
        script = Script(outcomes, jnp.arange(slots), grid)
        outputs, log_weights, records = replay(jaxpr, [*leaves, key], script, position, constants)
        return [jax.random.key_data(x) if is_key(x) else x for x in outputs], log_weights, records

    return jax.vmap(one, in_axes=(0, None, None, None, None))


def _singles(tree: PyTree) -> list[bool]:
    """Which arrays of a tree are in float32, in the order of its leaves."""
    arrays = eqx.filter(tree, lambda x: eqx.is_array(x) or isinstance(x, np.ndarray | np.generic))
    return [_is_single(leaf) for leaf in jax.tree.leaves(arrays)]


def _is_single(x: Any) -> bool:
    return getattr(x, "dtype", None) == np.float32


def _moved(x: Any, signs: np.random.Generator) -> Any:
    """Each number half a unit of float32's rounding up or down."""
    up = signs.choice([-1.0, 1.0], np.shape(x)) * 2.0**-24
    moved = np.asarray(x, np.float64) * (1.0 + up)
    return jnp.asarray(
        moved if x.dtype == np.float64 else np.nextafter(np.asarray(x), np.sign(up) * np.inf, dtype=x.dtype)
    )


def _bytes(jaxpr: Any) -> int:
    """Bytes of all intermediate results of one script, loop bodies counted once: a bound on what is alive."""
    total = 0
    for equation in open_jaxpr(jaxpr)[0].eqns:
        total += sum(8 * math.prod(getattr(var.aval, "shape", ())) for var in equation.outvars)
        total += sum(_bytes(sub) for sub in sub_jaxprs(equation))
    return total
