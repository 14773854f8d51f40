"""The bootstrap particle filter.

Law: from nothing to initial * prod_t transition_t * potential_t (PROPER), for every number of particles:
Z-hat is unbiased for the likelihood of the data. Guaranteed by the laws of Draw, Reweight and Resample.

Source: Gordon, Salmond and Smith, IEE Proceedings F 140 (1993); unbiasedness: Del Moral, Feynman-Kac Formulae
(2004), chapter 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from probinf._measure import Distribution, Factor
from probinf._primitives import Draw, Resample, Reweight, Scan
from probinf._sampler import Sampler

# Systematic resampling at every row.
_SYSTEMATIC = Resample()


class FilterStage(eqx.Module):
    """One row of data: resample, move by the model, weigh by the observation."""

    transition: Callable[[Any], Distribution]
    potential: Callable[[Any], Factor]
    resample: Sampler

    def __call__(self, row: Any) -> Sampler:
        """The stage for this row."""
        return self.resample >> Draw(self.transition(row)) >> Reweight(self.potential(row))


def bootstrap_filter(
    initial: Any,
    transition: Callable[[Any], Distribution],
    potential: Callable[[Any], Factor],
    xs: Any,
    *,
    resample: Sampler = _SYSTEMATIC,
) -> Sampler:
    """Filters the rows of `xs` with the model itself as proposal.

    The first row is met by the initial law, each later one by a transition; weights of the last row are kept,
    not resampled. `transition` and `potential` build a factor from a row: make them Modules, or methods of
    one, such as `HiddenMarkovModel.step` and `.emission`.

    Law: m -> m * initial * potential(xs[0]) * prod_t transition(xs[t]) * potential(xs[t]) (PROPER).

    Raises: ValueError for no rows.
    """
    first, later = split_rows(xs, "bootstrap_filter")
    start = Draw(initial) >> Reweight(potential(first))
    if later is None:
        return start
    return start >> Scan(FilterStage(transition, potential, resample), later, started=True)


def split_rows(xs: Any, who: str) -> tuple[Any, Any]:
    """The first row, and the later ones, or None where there are none.

    Raises: ValueError for no rows, or leaves of different lengths.
    """
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in map(jnp.asarray, jax.tree.leaves(xs))}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"{who} needs rows, the same number in all leaves of xs; got {lengths}")
    first, later = (jax.tree.map(lambda leaf, at=at: leaf[at], xs) for at in (0, slice(1, None)))
    return first, None if lengths == {1} else later
