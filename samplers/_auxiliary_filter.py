"""The auxiliary particle filter: lanes that the next observation will favor are copied before it arrives.

Law: from nothing to initial * prod_t transition_t * potential_t (PROPER), for every number of particles and every
look-ahead that is positive wherever the next potential can be: it steers, and is divided out. Guaranteed by the laws of
Draw, Reweight, Twist and Resample.

Source: Pitt and Shephard, Journal of the American Statistical Association 94 (1999); as twisted targets: Whiteley and
Lee, Annals of Statistics 42 (2014), arXiv 1210.0220.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx

from probinf._measure import Distribution, Factor
from probinf._primitives import Draw, Resample, Reweight, Scan, Twist
from probinf._sampler import Sampler
from probinf.samplers._bootstrap_filter import split_rows

# Systematic resampling at every row.
_SYSTEMATIC = Resample()


class AuxiliaryStage(eqx.Module):
    """One row of data: look ahead, resample by it, move by the model, weigh by the observation."""

    transition: Callable[[Any], Distribution]
    potential: Callable[[Any], Factor]
    look_ahead: Callable[[Any], Factor]
    resample: Sampler

    def __call__(self, row: Any) -> Sampler:
        """The stage for this row."""
        move = Draw(self.transition(row)) >> Reweight(self.potential(row))
        return Twist(self.look_ahead(row)) >> self.resample >> move


def auxiliary_filter(
    initial: Any,
    transition: Callable[[Any], Distribution],
    potential: Callable[[Any], Factor],
    look_ahead: Callable[[Any], Factor],
    xs: Any,
    *,
    resample: Sampler = _SYSTEMATIC,
) -> Sampler:
    """Filters the rows of `xs` as `bootstrap_filter` does, but resamples by weight times `look_ahead(row)`.

    `look_ahead` maps a row to a factor of the value *before* that row: an approximation of p(y_t | x_{t-1}), such as
    `LinearGaussianModel.look_ahead`, or the density of y_t at the mean of the transition. For another proposal than the
    transition see `guided_filter(..., look_ahead=...)`.

    Law: m -> m * initial * potential(xs[0]) * prod_t transition(xs[t]) * potential(xs[t]) (PROPER).

    Raises: ValueError for no rows.
    """
    first, later = split_rows(xs, "auxiliary_filter")
    start = Draw(initial) >> Reweight(potential(first))
    if later is None:
        return start
    return start >> Scan(AuxiliaryStage(transition, potential, look_ahead, resample), later, started=True)
