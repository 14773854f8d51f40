"""Measures with finitely many atoms: what an exact check compares."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PyTree

from probinf.validity._atoms import atom_codes, undefined_rows

# An atom's mass is compared relative to itself, or to this share of the total where it is smaller.
_SHARE = 1e-2


class FiniteMeasure(eqx.Module):
    """An unnormalized measure with finitely many atoms, `sum_k sign_k exp(log_mass_k) delta(values_k)`, on the host.

    values: any pytree with leading axis K on each leaf; atoms may repeat until `merged`. sign: +1 or -1 for each atom;
    None is a measure without negative mass.
    """

    values: PyTree
    log_mass: Float[np.ndarray, " K"]
    sign: Float[np.ndarray, " K"] | None = None

    def __check_init__(self):
        """Rejects what holds no masses; masses that are NaN or infinite make `undefined` true."""
        for name, x in (("log_mass", self.log_mass), ("sign", self.sign)):
            if x is not None and (np.ndim(x) != 1 or np.asarray(x).dtype.kind not in "fiu"):
                raise TypeError(f"{name} must be one row of real numbers, got {np.asarray(x).dtype}{np.shape(x)}")
        if self.sign is not None and np.shape(self.sign) != np.shape(self.log_mass):
            raise ValueError(f"sign must have one entry for each of {len(self.log_mass)} masses")
        sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(self.values)}
        if sizes - {np.shape(self.log_mass)}:
            raise ValueError(
                f"values must have a leading axis of {len(self.log_mass)} on every leaf, one for each mass"
            )

    @property
    def total(self) -> float:
        """Sum of all masses; infinite where that is beyond float64 (see `log_total`)."""
        with np.errstate(over="ignore"):
            return (
                float(np.exp(self.log_total)) if self.sign is None else float(np.sum(_exp(self.log_mass) * self.sign))
            )

    @property
    def log_total(self) -> float:
        """Logarithm of the sum of |masses|; -inf for none, NaN or +inf where a mass is."""
        if not len(self.log_mass):
            return -np.inf
        top = float(np.max(self.log_mass))
        return top + float(np.log(np.sum(np.exp(self.log_mass - top)))) if np.isfinite(top) else top

    @property
    def undefined(self) -> bool:
        """Whether a mass is NaN or infinite, or an atom that has mass holds NaN."""
        alive = ~(self.log_mass == -np.inf)
        bad = np.isnan(self.log_mass) | (self.log_mass == np.inf)
        return bool(np.any(bad | (alive & undefined_rows(self.values, len(self.log_mass)))))

    def merged(self) -> FiniteMeasure:
        """The same measure with each atom once (see `atom_codes`), and none without mass."""
        alive = np.flatnonzero(~(self.log_mass == -np.inf))
        (codes,) = atom_codes(jax.tree.map(lambda leaf: np.asarray(leaf)[alive], self.values))
        codes = np.zeros(len(alive), np.int64) if not jax.tree.leaves(self.values) else codes
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        signs = None if self.sign is None else self.sign[alive]
        log_mass, sign = _sums(self.log_mass[alive], signs, group.reshape(-1), len(first))
        kept = alive[first]
        return FiniteMeasure(jax.tree.map(lambda leaf: np.asarray(leaf)[kept], self.values), log_mass, sign)

    def scaled(self, log_factor: float) -> FiniteMeasure:
        """The measure times exp(log_factor)."""
        return FiniteMeasure(self.values, self.log_mass + log_factor, self.sign)


def largest_difference(found: FiniteMeasure, reference: FiniteMeasure) -> float:
    """Largest difference of the masses of two measures, over all atoms and in total.

    An atom's difference is relative to its mass in the reference, or to a hundredth of the reference's total where that
    is more; the total's to itself. Everything is computed relative to the larger total, so logarithms of a mass may
    have any size.

    Returns: infinity where a mass is NaN or infinite, or an atom with mass holds NaN, in either measure.
    """
    if found.undefined or reference.undefined:
        return np.inf
    scale = max(found.log_total, reference.log_total)
    if scale == -np.inf:
        return 0.0
    mine, theirs = _on_common_atoms(found.scaled(-scale), reference.scaled(-scale))
    total = float(np.sum(np.abs(theirs)))
    if total == 0.0:
        return float(np.max(np.abs(mine)))
    gaps = np.abs(mine - theirs) / np.maximum(np.abs(theirs), _SHARE * total)
    return max(float(np.max(gaps)), abs(float(np.sum(mine) - np.sum(theirs))) / total)


def smallest_ratio(found: FiniteMeasure, reference: FiniteMeasure) -> float:
    """The smallest share of its mass that an atom of the reference has, down to 1e-14 of the total."""
    scale = reference.log_total
    mine, theirs = _on_common_atoms(found.scaled(-scale), reference.scaled(-scale))
    heavy = np.abs(theirs) > 1e-14
    return float(np.min(mine[heavy] / theirs[heavy], initial=1.0))


def _on_common_atoms(a: FiniteMeasure, b: FiniteMeasure) -> tuple[np.ndarray, np.ndarray]:
    if not jax.tree.leaves(a.values):
        return tuple(np.array([np.sum(_masses(m))]) for m in (a, b))  # pyright: ignore[reportReturnType]
    first, second = atom_codes(a.values, b.values)
    size = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
    return (
        np.bincount(first, weights=_masses(a), minlength=size),
        np.bincount(second, weights=_masses(b), minlength=size),
    )


def _masses(measure: FiniteMeasure) -> np.ndarray:
    return _exp(measure.log_mass) * (1.0 if measure.sign is None else measure.sign)


def _exp(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.exp(x)


def _sums(
    log_mass: np.ndarray, sign: np.ndarray | None, group: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Logarithm (and sign) of the sum of each group; NaN and +inf stay what they are."""
    top = np.full(count, -np.inf)
    with np.errstate(invalid="ignore"):
        np.maximum.at(top, group, log_mass)
    shift = np.where(np.isfinite(top), top, 0.0)
    weights = _exp(log_mass - shift[group]) * (1.0 if sign is None else sign)
    # Of no masses at all bincount returns integers.
    mass = np.bincount(group, weights=weights, minlength=count).astype(np.float64)
    with np.errstate(divide="ignore"):
        return shift + np.log(np.abs(mass)), None if sign is None else np.sign(mass)
