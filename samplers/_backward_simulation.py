"""Backward simulation: whole trajectories from the clouds that a filter left behind.

Law: from nothing to initial * prod_t transition_t * observation_t as a measure on trajectories (PROPER): Z-hat times
the average of any function over the trajectories is unbiased, for every number of particles and trajectories, every
resampling scheme and also for resampling on demand.

Derivation: write m_t for the cloud at time t and its evidence as a measure. Every step of a filter is properly weighted
given the clouds so far: E[m_{t+1} | clouds to t] = sum_k m_t(k) transition(. | x_t^k) observation(.). The backward
draw from a new particle x picks k in proportion to m_t(k) transition(x | x_t^k) and looks at nothing else of it, so
its normalizer is the density that the expectation puts there, and the two cancel; what is left is the same statement
one step earlier. Nothing was asked of the ancestors beyond their expected number, hence every scheme will do.

Source: Godsill, Doucet and West, Journal of the American Statistical Association 99 (2004), algorithm 1.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key, choice
from probinf._measure import Measure
from probinf._particles import Particles, add_log, take_lanes
from probinf._primitives import Resample, Scan
from probinf._sampler import Chain, Info, Sampler
from probinf._status import Status, status_if
from probinf.distributions import Dynamics, Row, StateSpaceModel, Trajectory
from probinf.samplers._bootstrap_filter import bootstrap_filter
from probinf.samplers._guided_filter import guided_filter, latest

_SYSTEMATIC = Resample()


class BackwardInfo(NamedTuple):
    """`forward`: the filter's info; `status`: INVALID where a transition density is NaN or +inf."""

    status: Int[Array, ""]
    forward: Info


class BackwardSimulation(Sampler):
    """Runs a filter forward, keeps all its clouds, and draws trajectories backward through them.

    Law: the filter's, on trajectories.
    """

    model: StateSpaceModel
    rows: Row
    forward: Sampler
    draws: int | None = eqx.field(static=True, default=None)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, BackwardInfo]:
        """A cloud of trajectories, all of the same weight."""
        check_key(key)
        forward_key, last_key, back_key = jax.random.split(key, 3)
        final, states, log_weights, info = self._filter(forward_key, cloud)
        draws = cloud.n if self.draws is None else self.draws
        ends = take_lanes(latest(final.values), choice(last_key, final.log_weights, (draws,)))
        path, wrong = self._trace(back_key, states, log_weights, ends)
        log_z = final.log_z
        alive = log_z > -jnp.inf
        equal = jnp.full(draws, jnp.where(alive, 0.0, -jnp.inf), log_z.dtype)
        cloud = Particles(Trajectory(path), equal, jnp.where(alive, log_z, 0.0), jnp.zeros(draws, log_z.dtype))
        return cloud, BackwardInfo(status_if(wrong, Status.INVALID), info)

    def _filter(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any, Float[Array, "past N"], Info]:
        """The last cloud, and states and weights of the earlier ones."""
        if not isinstance(self.forward, Chain) or not isinstance(self.forward.stages[-1], Scan):
            final, info = self.forward(key, cloud)
            return final, None, jnp.zeros((0, cloud.n)), info
        start_key, later_key = jax.random.split(key)
        start, scan = Chain(self.forward.stages[:-1]), self.forward.stages[-1]
        first, first_info = start(start_key, cloud)
        final, later_info = dataclasses.replace(scan, record=_kept)(later_key, first)
        earlier = jax.tree.map(lambda leaf: leaf[:-1], later_info.record)
        return final, *earlier, (first_info, later_info)

    def _trace(self, key: PRNGKeyArray, states: Any, log_weights: Float[Array, "past N"], ends: Any) -> tuple[Any, Any]:
        """From each end, one state of every earlier cloud, the latest first (time comes second); and what was NaN."""
        if states is None:
            return jax.tree.map(lambda x: x[:, None], ends), False
        later = jax.tree.map(lambda leaf: leaf[1:], self.rows)

        def back(after: Any, step: tuple[PRNGKeyArray, Any, Array, Row]) -> tuple[Any, Any]:
            step_key, cloud, log_w, row = step
            moves = self._log_moves(cloud, after, row)
            wrong = (jnp.isnan(moves) | (moves == jnp.inf)) & (log_w > -jnp.inf)[None, :]
            moves = jnp.where(wrong, -jnp.inf, moves)
            logits = jax.vmap(lambda log_move: add_log(log_w, log_move))(moves)
            now = take_lanes(cloud, choice(step_key, logits))
            return now, (now, jnp.any(wrong))

        steps = (jax.random.split(key, log_weights.shape[0]), states, log_weights, later)
        _, (path, wrong) = jax.lax.scan(back, ends, steps, reverse=True)
        whole = jax.tree.map(lambda past, end: jnp.concatenate([past, end[None]]), path, ends)
        return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), whole), wrong

    def _log_moves(self, cloud: Any, after: Any, row: Row) -> Float[Array, "M N"]:
        """Log-density of moving from each lane of a cloud to each state after it."""
        from_each = jax.vmap(lambda x, y: self.model.log_transition(x, y, row), in_axes=(0, None))
        return jax.vmap(from_each, in_axes=(None, 0))(cloud, after)

    def meaning(self, m: Measure) -> Measure:
        """What the filter means."""
        return self.forward.meaning(m)

    @property
    def lanewise(self) -> bool:
        """False: every trajectory looks at all lanes."""
        return False


def backward_simulation(
    model: StateSpaceModel,
    rows: Row,
    draws: int | None = None,
    *,
    proposal: Dynamics | None = None,
    resample: Sampler = _SYSTEMATIC,
) -> BackwardSimulation:
    """Smooths: `draws` trajectories (as many as particles, if None) from a bootstrap filter, or a guided one.

    A value is a `Trajectory`. Needs `model.log_transition`; memory for all clouds, O(particles * rows), and time
    O(particles * draws * rows).

    Law: m -> m * p(states, rows) (PROPER), on trajectories.

    Raises: ValueError for no rows, or fewer than one trajectory.
    """
    if draws is not None and not is_count(draws):
        raise ValueError(f"backward_simulation needs draws >= 1, got {draws}")
    if proposal is None:
        forward = bootstrap_filter(model.initial(), model.transition, model.observation, rows, resample=resample)
    else:
        forward = guided_filter(model, proposal, rows, resample=resample)
    return BackwardSimulation(model, rows, forward, draws)


def _kept(cloud: Particles, info: Info) -> tuple[Any, Float[Array, " N"]]:
    del info
    return latest(cloud.values), cloud.log_weights
