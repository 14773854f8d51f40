"""The exact law of a program, read off all outcomes of its discrete draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray, PyTree

from probinf._maps import release_programs
from probinf.validity._errors import NotEnumerable
from probinf.validity._keys import check_key_reuse
from probinf.validity._program import Program
from probinf.validity._sites import Site

# Outputs that agree to this many decimals are one outcome.
_DECIMALS = 9


class EnumeratedLaw(eqx.Module):
    """Every possible world of a program with its probability and its output, in float64 on the host.

    Law: `sum(exp(log_prob)) == 1`, and the output of world w has probability `exp(log_prob[w])`.

    `worlds` counts the scripts tried; the impossible ones are dropped from `log_prob` and `outputs`.
    """

    log_prob: Float[np.ndarray, " possible"]
    outputs: PyTree
    worlds: int
    sites: tuple[Site, ...]

    @property
    def probability(self) -> Float[np.ndarray, " possible"]:
        """Probability of each possible world."""
        return np.exp(self.log_prob)

    @property
    def total(self) -> float:
        """Sum of all probabilities: one up to rounding."""
        return float(np.sum(self.probability))

    def expectation(self, fn: Callable[[PyTree], PyTree]) -> PyTree:
        """Exact expectation of `fn(output)`, leaf by leaf."""
        with jax.enable_x64(True):
            outputs = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, self.outputs)
            values = eqx.filter_jit(eqx.filter_vmap(lambda x: jax.tree.map(jnp.asarray, fn(x))))(outputs)
            return jax.tree.map(lambda v: np.tensordot(self.probability, np.asarray(v), axes=1), values)

    def grouped(self) -> EnumeratedLaw:
        """The law of the output: one row for each distinct output (to nine decimals)."""
        arrays = [x for x in jax.tree.leaves(self.outputs) if isinstance(x, np.ndarray)]
        rows = np.ascontiguousarray(np.concatenate([as_rows(x) for x in arrays], axis=1))
        names = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
        _, first, group = np.unique(names, return_index=True, return_inverse=True)
        order = np.argsort(first)
        probability = np.bincount(group, weights=self.probability, minlength=len(first))[order]
        kept = first[order]
        outputs = jax.tree.map(lambda x: x[kept] if isinstance(x, np.ndarray) else x, self.outputs)
        return EnumeratedLaw(np.log(probability), outputs, self.worlds, self.sites)


def as_rows(x: np.ndarray) -> np.ndarray:
    """One rounded float64 row a world; zeros and NaNs have one sign each, so equal rows have equal bytes."""
    rows = np.round(x.reshape(len(x), -1).astype(np.float64), _DECIMALS) + 0.0
    return np.where(np.isnan(rows), np.nan, rows)


def enumerate_law(
    f: Callable[..., PyTree],
    key: PRNGKeyArray,
    *args: Any,
    limit: int = 2_000_000,
    position: float = 0.5,
    grid: int = 0,
) -> EnumeratedLaw:
    """Exact law of `f(key, *args)` over all outcomes of its `choice` and `uniform_cells` draws.

    Law: the program that runs on the device, read in float64 (floating-point arrays in `f` and `args` are
    promoted). Works through jit, vmap, scan, cond and their nesting. Draws that no output needs are left out.

    `position` in (0, 1) is the point at which each cell of a `uniform_cells` is evaluated.

    `grid` = B reads code that draws with `jax.random` itself, unmodified: each of its uniforms takes the B
    equally likely values (i + 1/2) / B, which is exact where all of its thresholds are multiples of 1 / B.

    Raises: NotEnumerable for continuous randomness, for draws inside a while loop, and for NaN logits;
    TooManyWorlds above `limit`; KeyReuseError where two draws share a key.
    """
    release_programs()
    with jax.enable_x64(True):
        program = Program(f, key, args, limit, grid)
        worlds, log_prob, outputs = _possible(program, position)
        check_key_reuse(program, worlds, log_prob)
    return EnumeratedLaw(log_prob, program.unflatten(outputs), program.worlds, program.sites)


def _possible(program: Program, position: float) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Numbers, log-probabilities and outputs of the worlds whose probability is not zero."""
    kept = []
    for worlds, runs in program.batches(position):
        log_prob = runs.log_prob
        if np.any(np.isnan(log_prob)):
            raise NotEnumerable(f"a draw has a probability that is not a number: {_undefined(program)}")
        possible = log_prob > -np.inf
        kept.append((worlds[possible], log_prob[possible], [x[possible] for x in runs.outputs]))
    worlds, log_probs, outputs = zip(*kept, strict=True)
    leaves = [np.concatenate(leaf) for leaf in zip(*outputs, strict=True)]
    return np.concatenate(worlds), np.concatenate(log_probs), leaves


def _undefined(program: Program) -> str:
    sources = " or ".join(site.source for site in program.sites)
    return f"keep NaN and +inf out of the logits and breaks at {sources}"
