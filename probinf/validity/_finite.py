"""Measures with finitely many atoms: what an exact check compares."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PyTree

from probinf.validity._law import as_rows


class FiniteMeasure(eqx.Module):
    """An unnormalised measure with finitely many atoms, `sum_k exp(log_mass_k) delta(values_k)`, on the host.

    values: any pytree with leading axis K on each leaf; atoms may repeat until `merged`.
    """

    values: PyTree
    log_mass: Float[np.ndarray, " K"]

    @property
    def total(self) -> float:
        """Sum of all masses."""
        return float(np.sum(np.exp(self.log_mass)))

    def merged(self) -> FiniteMeasure:
        """The same measure with each atom once (to nine decimals), and none without mass."""
        alive = np.flatnonzero(self.log_mass > -np.inf)
        names = _names(self.values, len(self.log_mass))[alive]
        _, first, group = np.unique(names, return_index=True, return_inverse=True)
        mass = np.bincount(group, weights=np.exp(self.log_mass[alive]), minlength=len(first))
        kept = alive[first]
        return FiniteMeasure(jax.tree.map(lambda leaf: np.asarray(leaf)[kept], self.values), np.log(mass))

    def masses(self) -> dict[bytes, float]:
        """Mass of each distinct atom, by name."""
        merged = self.merged()
        names = _names(merged.values, len(merged.log_mass))
        return dict(zip((name.tobytes() for name in names), np.exp(merged.log_mass).tolist(), strict=True))


def largest_difference(found: FiniteMeasure, reference: FiniteMeasure) -> float:
    """Largest difference of the two measures over atoms and in total mass, relative to the reference's total mass."""
    mine, theirs = found.masses(), reference.masses()
    gaps = [abs(mine.get(atom, 0.0) - theirs.get(atom, 0.0)) for atom in mine.keys() | theirs.keys()]
    gaps.append(abs(sum(mine.values()) - sum(theirs.values())))
    total = sum(theirs.values())
    return max(gaps) / (total if total > 0 else 1.0)


def _names(values: Any, n: int) -> np.ndarray:
    """One opaque, comparable name per atom."""
    leaves = [as_rows(np.asarray(leaf)) for leaf in jax.tree.leaves(values)]
    rows = np.ascontiguousarray(np.concatenate(leaves, axis=1) if leaves else np.zeros((n, 1)))
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
