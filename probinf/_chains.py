"""The driver of Markov chains: many at once, compiled once."""

from __future__ import annotations

import abc
import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from probinf._choice import check_key
from probinf._explain import named
from probinf._measure import Factor, MeaningError, Measure
from probinf._sampler import Info, Kernel, redefines, repeated
from probinf._status import Status, worst_status

# How often a bar is drawn during a run.
_BLOCKS = 20


class CachedKernel(Kernel):
    """A kernel that keeps what it computed at its value, such as a gradient, for the next transition.

    Law: `start(x)` is a function of x alone and `value(start(x))` is x, and `advance` leaves the state that `start`
    would give at the new value. So carrying states changes nothing but the time it takes.
    """

    @abc.abstractmethod
    def start(self, x: Any) -> Any:
        """The state of a chain that stands at x."""

    @abc.abstractmethod
    def advance(self, key: PRNGKeyArray, state: Any) -> tuple[Any, Info]:
        """One transition of the state."""

    @abc.abstractmethod
    def value(self, state: Any) -> Any:
        """Where the chain stands."""

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """One transition from a value, of which nothing is known."""
        state, info = self.advance(key, self.start(x))
        return self.value(state), info

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        """The same for n lanes, which carry their states from one transition to the next."""
        if redefines(self, CachedKernel, "__call__"):
            return super().move_lanes(key, values, n, times)

        def transition(states: Any, key: PRNGKeyArray) -> tuple[Any, Info]:
            return jax.vmap(self.advance)(jax.random.split(key, n), states)

        states, info = repeated(transition, key, jax.vmap(self.start)(values), times)
        return jax.vmap(self.value)(states), info


class ChainDraws(NamedTuple):
    """What Markov chains leave: values and the kernel's info, each with leading axes [chains, draws].

    `invariant` is the measure that the kernel keeps, which the values approach.
    """

    values: Any
    info: Info
    invariant: Measure

    @property
    def status(self) -> Status:
        """The worst status in the infos of all draws: INVALID where a model gave NaN or +inf."""
        return Status(int(worst_status(self.info)))


def sample_chains(
    kernel: Kernel,
    key: PRNGKeyArray,
    initial: PyTree,
    draws: int,
    *,
    thin: int = 1,
    progress: bool = False,
) -> ChainDraws:
    """Runs one Markov chain from each row of `initial`.

    Law: the chains are independent; where the initial values have the law `kernel.invariant`, so has every draw
    (INVARIANT). From elsewhere the law of a draw approaches it if the kernel is ergodic, which nothing here checks.

    initial: a pytree whose leaves have the leading axis of chains; no draw is the initial value itself. thin: how many
    transitions lead to each draw; `info` is that of the last. progress: a bar, with the same keys and the same draws.
    More chains or more draws keep the first ones. Compiled once per structure and shape: other keys, data and step
    sizes run the program that is there.

    Raises: TypeError for a legacy key, or what is no kernel; ValueError for fewer than one draw or transition, for
    values without one common axis of chains, and where a chain starts at a density that is not finite.
    """
    check_key(key)
    if not isinstance(kernel, Kernel):
        raise TypeError(f"sample_chains runs a Kernel, got {type(kernel).__name__}: run a Sampler with probinf.sample")
    _check_count("draws", draws)
    _check_count("thin", thin)
    initial, chains = as_starts(initial)
    measure = kernel.invariant
    check_start(measure, initial)
    keys, states = _begin(kernel, key, initial, (chains, int(draws), int(thin)))
    run = _run_in_blocks if progress else _advance
    _, (values, info) = run(kernel, states, keys)
    result = ChainDraws(values, info, measure)
    if not isinstance(worst_status(info), Tracer) and result.status is Status.INVALID:
        warnings.warn(f"INVALID: {Status.INVALID.explanation} (in {named(kernel)})", stacklevel=2)
    return result


@eqx.filter_jit
def _begin(kernel: Kernel, key: PRNGKeyArray, initial: Any, shape: tuple[int, int, int]) -> tuple[Array, Any]:
    """Keys of shape [chains, draws, thin], and states."""
    chains, draws, thin = shape
    keys = jax.vmap(lambda k: jax.random.split(k, draws * thin))(jax.random.split(key, chains))
    states = jax.vmap(kernel.start)(initial) if isinstance(kernel, CachedKernel) else initial
    return keys.reshape(chains, draws, thin), states


@eqx.filter_jit
def _advance(kernel: Kernel, states: Any, keys: Key[Array, "chains draws thin"]) -> tuple[Any, tuple[Any, Info]]:
    """The states after the last draw, and the values and infos of all draws."""
    return jax.vmap(lambda state, rows: jax.lax.scan(lambda s, row: _draw(kernel, s, row), state, rows))(states, keys)


def _draw(kernel: Kernel, state: Any, keys: Key[Array, " thin"]) -> tuple[Any, tuple[Any, Info]]:
    step, value = (kernel.advance, kernel.value) if isinstance(kernel, CachedKernel) else (kernel, _itself)
    if len(keys) == 1:
        state, info = step(keys[0], state)
    else:
        state, infos = jax.lax.scan(lambda s, key: step(key, s), state, keys)
        info = jax.tree.map(lambda leaf: leaf[-1], infos)
    return state, (value(state), info)


def _itself(state: Any) -> Any:
    return state


def _run_in_blocks(kernel: Kernel, states: Any, keys: Key[Array, "chains draws thin"]) -> tuple[Any, tuple[Any, Info]]:
    """The same draws, block after block, so that a bar can be drawn in between."""
    from rich.progress import Progress

    draws = keys.shape[1]
    # The compiler unrolls a loop of one turn, which may round otherwise than the same turn in a longer loop.
    size = min(draws, max(2, -(-draws // _BLOCKS)))
    blocks = []
    with Progress(transient=True) as bar:
        task = bar.add_task("sampling", total=draws)
        for first in range(0, draws, size):
            # The last block repeats keys to have the size of the others, hence their program; the rest is dropped.
            rows = np.minimum(np.arange(first, first + size), draws - 1)
            states, block = _advance(kernel, states, keys[:, rows])
            blocks.append(jax.block_until_ready(block))
            bar.update(task, completed=min(first + size, draws))
    return states, jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1)[:, :draws], *blocks)


def _check_count(name: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ValueError(f"sample_chains needs {name} >= 1, got {name}={count!r}")


def as_starts(initial: PyTree) -> tuple[PyTree, int]:
    """Initial values as arrays, and how many chains they start.

    Raises: ValueError where the leaves have no common leading axis.
    """
    # A weak type would change in the first transition.
    initial = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), initial)
    shapes = [leaf.shape for leaf in jax.tree.leaves(initial)]
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or sizes <= {(), (0,)}:
        raise ValueError(
            f"initial values need one leading axis of chains, at least one long, on every leaf; got leaves of shapes "
            f"{shapes}: for a single chain use jax.tree.map(lambda leaf: leaf[None], x)"
        )
    return initial, sizes.pop()[0]


def check_start(target: Factor, initial: PyTree) -> None:
    """Refuses chains that start where the density vanishes or is no number, if the target has one.

    Raises: ValueError where a log-density is not finite, or is not one number a chain.
    """
    try:
        log_density = _log_densities(target, initial)
    except MeaningError:
        return
    if log_density.ndim != 1:
        raise ValueError(
            f"'{target.name}' gives log-densities of shape {log_density.shape[1:]} for one chain, not a number: does "
            "`initial` have its leading axis of chains?"
        )
    if isinstance(log_density, Tracer):
        return
    bad = np.flatnonzero(~np.isfinite(np.asarray(log_density)))
    if bad.size:
        raise ValueError(
            f"chain {bad[0]} starts where '{target.name}' has log-density {float(log_density[bad[0]])} "
            f"({bad.size} of {len(log_density)} chains do): start where the density is positive"
        )


@eqx.filter_jit
def _log_densities(target: Factor, initial: PyTree) -> Float[Array, "chains ..."]:
    return jax.vmap(target.log_density)(initial)
