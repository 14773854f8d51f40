"""Claims small enough to check: a sampler, a kernel or a distribution, and what each is held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from probinf._measure import Distribution
from probinf._sampler import Kernel, Sampler
from probinf.validity._contract import Contract
from probinf.validity._finite import FiniteMeasure

# Atoms whose masses the statistical check tests one by one.
_TESTED_ATOMS = 16
# Values that are closer than this are one in float32.
_SAME = 1e-5


class SamplerCase(NamedTuple):
    """A sampler small enough to check. `expectations` replaces the exact target where draws are continuous.

    End the sampler with a `Map` where only part of a value should be compared. `grid` = B reads every uniform of
    `jax.random` on B points, as in `enumerate_law`; then `target` is needed, on the same points, and there is no
    statistical check: the compiled sampler draws other values. Values that are whole numbers must not change between
    the points of a cell, or a threshold would be misread; `lattice=True` says that the points are all there is, and the
    target that of the points.

    A sampler that claims nothing (HEURISTIC) is held to `target`, the exact law of its output, if there is one.

    `contract` is what a sampler promises that is only CONSISTENT: its runs are held to it, and the evidence and the
    self-normalized means to `expectations`, at many particles.
    """

    name: str
    sampler: Sampler
    n: int = 2
    expectations: tuple[Callable[[Any], Float[Array, " K"]], Float[np.ndarray, " K"]] | None = None
    target: FiniteMeasure | None = None
    grid: int = 0
    contract: Contract | None = None
    lattice: bool = False


class KernelCase(NamedTuple):
    """A Markov kernel on finitely many states (leading axis S), and the log-density it claims to keep on them.

    It must reach every listed state of positive density from every other one, not periodically, and leave those of zero
    density: else many steps do not forget the start. With `ergodic=False` it claims only to keep the target, as a part
    of a cycle does, and the report says `stationary`.

    `grid` = B reads every uniform of `jax.random` on B points, as in `enumerate_law`; then there is no statistical
    check: the compiled kernel leaves the listed states.
    """

    name: str
    kernel: Kernel
    states: Any
    log_target: Float[np.ndarray, " S"]
    grid: int = 0
    ergodic: bool = True


class DistributionCase(NamedTuple):
    """A distribution, whose draws are compared with its density, and its batched forms with the single ones.

    inputs: values so far at which it draws, with a leading axis on every leaf; `()` is the start. Where its draws are
    discrete all is exact; where they are continuous, its density is tested on boxes that hold most of its mass.
    """

    name: str
    distribution: Distribution
    inputs: Any = ()


Case = SamplerCase | KernelCase | DistributionCase


class Atoms(eqx.Module):
    """The constant one, and the indicator of each of some atoms."""

    atoms: Any
    count: int = eqx.field(static=True)

    def __call__(self, x: Any) -> Float[Array, " K"]:
        return jnp.concatenate([jnp.ones(1), matches(self.atoms, x, self.count).astype(jnp.float32)])


def matches(states: Any, x: Any, count: int) -> Bool[Array, " S"]:
    """Which of the stacked states equals x, to the precision of float32."""
    pairs = zip(jax.tree.leaves(states), jax.tree.leaves(x), strict=True)
    same = [
        jnp.isclose(s.astype(float), v.astype(float)[None], atol=_SAME).reshape(len(s), -1).all(axis=1)
        for s, v in pairs
    ]
    return jnp.all(jnp.stack(same), axis=0) if same else jnp.ones(count, bool)


def atom_tests(target: FiniteMeasure) -> tuple[Atoms, Float[np.ndarray, " K"]]:
    """The constant one and the heaviest atoms as tests, and what each must be, relative to the mass of the target."""
    heaviest = np.argsort(-target.log_mass, kind="stable")[:_TESTED_ATOMS]
    tests = Atoms(jax.tree.map(lambda leaf: jnp.asarray(leaf[heaviest]), target.values), len(heaviest))
    sign = 1.0 if target.sign is None else target.sign
    masses = np.exp(target.log_mass - target.log_total) * sign
    # Atoms that float32 cannot tell apart count together, as `matches` does it; on the host nothing is compiled.
    shown = np.ones((len(masses), len(heaviest)), bool)
    for leaf in map(np.asarray, jax.tree.leaves(target.values)):
        rows = leaf.reshape(len(masses), -1).astype(np.float64)
        shown &= np.isclose(rows[heaviest][None], rows[:, None], atol=_SAME).all(axis=2)
    return tests, np.concatenate([[np.sum(masses)], masses @ shown])
