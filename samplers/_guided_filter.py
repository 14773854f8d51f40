"""The guided particle filter: states are drawn from a proposal that may look at the data.

Law: from nothing to initial * prod_t transition_t * observation_t (PROPER), for every number of particles and every
proposal that is positive wherever the target is: Z-hat is unbiased for the likelihood of the data. Guaranteed by the
laws of Draw, Reweight and Resample; the proposal's density cancels.

Source: Doucet, Godsill and Andrieu, Statistics and Computing 10 (2000), equation 11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Factor, Measure
from probinf._particles import Particles
from probinf._primitives import Draw, Resample, Reweight, Scan, Twist
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.distributions import Dynamics, Pair, Row, StateSpaceModel
from probinf.samplers._bootstrap_filter import split_rows

# Systematic resampling at every row.
_SYSTEMATIC = Resample()


class GuidedStage(eqx.Module):
    """One row of data: resample (by the look-ahead, if there is one), move by the proposal, weigh by the ratio."""

    model: StateSpaceModel
    proposal: Dynamics
    look_ahead: Callable[[Row], Factor] | None
    resample: Sampler

    def __call__(self, row: Row) -> Sampler:
        """The stage for this row."""
        model, proposed = self.model, self.proposal.transition(row)
        resample = self.resample if self.look_ahead is None else Twist(self.look_ahead(row)) >> self.resample
        return resample >> Draw(proposed) >> Reweight(model.transition(row) * model.observation(row) / proposed)


def guided_filter(
    model: StateSpaceModel,
    proposal: Dynamics,
    rows: Row,
    *,
    look_ahead: Callable[[Row], Factor] | None = None,
    resample: Sampler = _SYSTEMATIC,
) -> Sampler:
    """Filters `rows`, as made by `model.rows`, with draws from `proposal`; a value is a `Pair` of states.

    With `look_ahead` this is the auxiliary filter with a proposal of its own: it maps a row to a factor of the `Pair`
    before that row, by which resampling favors lanes; it is divided out again (see `auxiliary_filter`).

    Law: m -> m * initial * observation(0) * prod_t transition(t) * observation(t) (PROPER).

    Raises: ValueError for no rows.
    """
    first, later = split_rows(rows, "guided_filter")
    proposed = proposal.initial(first)
    start = Draw(proposed) >> Reweight(model.initial() * model.observation(first) / proposed) >> Remember()
    if later is None:
        return start
    return start >> Scan(GuidedStage(model, proposal, look_ahead, resample), later, started=True)


class RememberInfo(NamedTuple):
    """Remembering always succeeds."""

    status: Int[Array, ""]


class Remember(Sampler):
    """From now on each lane also keeps the state before: x becomes `Pair(0, x, x)`.

    Law: m -> m (EXACT), as a measure on trajectories.
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, RememberInfo]:
        """The same cloud of pairs; the key is not used."""
        check_key(key)
        pairs = Pair(jnp.zeros(cloud.n, jnp.int32), cloud.values, jax.tree.map(jnp.copy, cloud.values))
        return cloud.replace(values=pairs), RememberInfo(status_if(False, Status.OK))

    def meaning(self, m: Measure) -> Measure:
        """The same measure."""
        return m


def latest(values: Any) -> Any:
    """The current states: `now` of pairs, and what is no pair as it is."""
    return values.now if isinstance(values, Pair) else values
