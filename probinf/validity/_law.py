"""The exact law of a program, read off all outcomes of its discrete draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray, PyTree

from probinf._maps import release_programs
from probinf.validity._atoms import atom_codes
from probinf.validity._errors import NotANumber
from probinf.validity._keys import KeyAudit, check_randomness
from probinf.validity._program import Program, Runs
from probinf.validity._replay import BranchUse
from probinf.validity._sites import Site


class Branch(NamedTuple):
    """One `jax.lax.cond` of the program: which of its branches some possible world takes."""

    source: str
    taken: frozenset[int]
    branches: int


class EnumeratedLaw(eqx.Module):
    """Every possible world of a program with its probability and its output, in float64 on the host.

    Law: `sum(exp(log_prob)) == 1`, and the output of world w has probability `exp(log_prob[w])`.

    `worlds` counts the scripts tried; the impossible ones are dropped from `log_prob` and `outputs`. `branches` tells
    which branches of each cond were taken: what no world reaches is not checked.
    """

    log_prob: Float[np.ndarray, " possible"]
    outputs: PyTree
    worlds: int
    sites: tuple[Site, ...]
    branches: tuple[Branch, ...] = ()

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
        """The law of the output: one row for each distinct output (see `atom_codes`)."""
        (codes,) = atom_codes([x for x in jax.tree.leaves(self.outputs) if isinstance(x, np.ndarray)])
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        probability = np.bincount(group.reshape(-1), weights=self.probability, minlength=len(first))[order]
        kept = first[order]
        outputs = jax.tree.map(lambda x: x[kept] if isinstance(x, np.ndarray) else x, self.outputs)
        return EnumeratedLaw(np.log(probability), outputs, self.worlds, self.sites, self.branches)


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

    Raises: NotEnumerable for continuous randomness, for draws inside a while loop, for NaN logits, and where the
    outcome depends on the key otherwise than by its draws; TooManyWorlds above `limit`; KeyReuseError where two draws
    share a key in any world, or a key does not come from the one that was passed.
    """
    release_programs()
    with jax.enable_x64(True):
        return read_law(Program.of(f, key, args, limit, grid), position)


def read_law(
    program: Program, position: float = 0.5, *, rounding: int | None = None, audit: bool = True
) -> EnumeratedLaw:
    """The law of a program that was built before, under the precision it was built in.

    Args:
        program: what to run on all of its scripts.
        position: as in `enumerate_law`.
        rounding: moves the numbers of float32 tables, as in `Program.run`.
        audit: whether its keys are looked at.
    """
    kept = []
    keys = KeyAudit(program)
    taken: dict[tuple[int, str, int], set[int]] = {}
    for worlds, runs in program.batches(position, rounding=rounding):
        log_prob = runs.log_prob
        if np.any(np.isnan(log_prob)):
            raise NotANumber(f"a draw has a probability that is not a number: {_undefined(program)}")
        possible = log_prob > -np.inf
        kept.append((log_prob[possible], [x[possible] for x in runs.outputs]))
        if audit:
            keys.see(worlds, runs, possible)
            _note_branches(taken, runs, possible)
    log_probs, outputs = zip(*kept, strict=True)
    log_prob = np.concatenate(log_probs)
    leaves = [np.concatenate(leaf) for leaf in zip(*outputs, strict=True)]
    if audit:
        keys.check()
        check_randomness(program, log_prob)
    reached = [Branch(source, frozenset(found), count) for (_, source, count), found in taken.items()]
    return EnumeratedLaw(log_prob, program.unflatten(leaves), program.worlds, program.sites, tuple(reached))


def _note_branches(taken: dict[tuple[int, str, int], set[int]], runs: Runs, possible: np.ndarray) -> None:
    """Adds the branches that the possible worlds of a batch take."""
    uses = [record for record in runs.records if isinstance(record, BranchUse)]
    for number, use in enumerate(uses):
        active = np.asarray(use.active)[possible]
        found = np.unique(np.asarray(use.taken)[possible][active])
        taken.setdefault((number, use.source, use.branches), set()).update(found.tolist())


def _undefined(program: Program) -> str:
    sources = " or ".join(site.source for site in program.sites)
    return f"keep NaN and +inf out of the logits and breaks at {sources}"
