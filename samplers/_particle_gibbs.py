"""Particle Gibbs on the trajectories of a state-space model, with or without ancestor sampling.

Law: keeps p(trajectory | data) exactly, for every n >= 2. A conditional filter carries the current trajectory in lane
0, and a trajectory is drawn from it by weight. Ancestor sampling gives the carried trajectory a new past at every step,
in proportion to weight times transition density, which mixes far better where the data are long.

Source: Andrieu, Doucet and Holenstein, Journal of the Royal Statistical Society B 72 (2010), section 2.4.3; ancestor
sampling: Lindsten, Jordan and Schon, Journal of Machine Learning Research 15 (2014), algorithm 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key, choice
from probinf._measure import Guarantee, Measure
from probinf._particles import add_log, log_mean_exp, take_lanes
from probinf._sampler import Kernel
from probinf._status import Status, status_if
from probinf.distributions import Row, StateSpaceModel, Trajectory
from probinf.distributions._state_space import check_trajectory
from probinf.resampling import Multinomial, Scheme

_MULTINOMIAL = Multinomial()


class ParticleGibbsInfo(NamedTuple):
    """`log_z`: log-mass of the conditional run (not unbiased); `renewed`: at which times the trajectory left the old
    one's lane, or, with ancestor sampling, its past; `status`: INVALID where the model gave NaN or +inf."""

    log_z: Float[Array, ""]
    renewed: Bool[Array, " T"]
    status: Int[Array, ""]


class ParticleGibbs(Kernel):
    """One sweep: a conditional filter on n lanes, then one of their trajectories by weight.

    Law: keeps `model.joint(rows)` as a measure on trajectories.

    Raises: ValueError for n < 2, for no rows, and for ancestor sampling with another scheme than `Multinomial`, whose
    slots are the only ones that are independent of the retained one.
    """

    model: StateSpaceModel
    rows: Row
    scheme: Scheme
    n: int = eqx.field(static=True)
    ancestor_sampling: bool = eqx.field(static=True)

    def __check_init__(self):
        """Rejects what keeps no law, or stands still."""
        if not is_count(self.n, 2):
            raise ValueError(f"particle_gibbs needs n >= 2 particles, got {self.n}")
        if not self.rows.t.shape[0]:
            raise ValueError("particle_gibbs needs rows, got none")
        if self.ancestor_sampling and not isinstance(self.scheme, Multinomial):
            raise ValueError(
                f"ancestor sampling needs independent slots, but the scheme is {type(self.scheme).__name__}: use "
                "Multinomial()"
            )

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Trajectory, ParticleGibbsInfo]:
        """A new trajectory, given the current one."""
        check_key(key)
        check_trajectory(x, self.rows, "particle_gibbs")
        start_key, scan_key, pick_key = jax.random.split(key, 3)
        at = lambda t, tree: jax.tree.map(lambda leaf: leaf[t], tree)  # noqa: E731
        rows, held = self.rows, x.states
        first = _hold(self.model.draw_initial_lanes(start_key, at(0, rows), self.n), at(0, held))
        log_w, wrong = self._log_observation(first, at(0, rows))
        start = (first, log_w, wrong)
        later = at(slice(1, None), (rows, held))
        keys = jax.random.split(scan_key, rows.t.shape[0] - 1)
        (_, log_w, wrong), (states, ancestors, log_ws) = jax.lax.scan(
            lambda c, row: self._step(c, row), start, (keys, *later)
        )
        states = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, states)
        lanes = _trace(ancestors, choice(pick_key, log_w))
        path = jax.tree.map(lambda leaf: leaf[jnp.arange(lanes.shape[0]), lanes], states)
        log_z = jnp.sum(jax.vmap(log_mean_exp)(log_ws)) + log_mean_exp(log_w)
        return Trajectory(path), ParticleGibbsInfo(log_z, lanes != 0, status_if(wrong, Status.INVALID))

    def _step(self, carry: tuple[Any, Array, Array], inputs: tuple[PRNGKeyArray, Row, Any]) -> tuple[Any, Any]:
        """One row: ancestors given that lane 0 is retained, new states, lane 0 held again."""
        (states, log_w, wrong), (key, row, held) = carry, inputs
        slot_key, ancestor_key, draw_key = jax.random.split(key, 3)
        ancestors = self.scheme.conditional(slot_key, log_w)
        if self.ancestor_sampling:
            past = self.log_past(states, log_w, held, row)
            wrong = wrong | jnp.any(_is_wrong(past))
            ancestors = ancestors.at[0].set(choice(ancestor_key, jnp.where(_is_wrong(past), -jnp.inf, past)))
        parents = take_lanes(states, ancestors)
        after = _hold(self.model.draw_next_lanes(draw_key, parents, row, self.n), held)
        log_after, wrong_after = self._log_observation(after, row)
        return (after, log_after, wrong | wrong_after), (after, ancestors, log_w)

    def log_past(self, states: Any, log_w: Float[Array, " N"], held: Any, row: Row) -> Float[Array, " N"]:
        """How well each lane serves as the past of the held state: weight times transition density."""
        return add_log(log_w, jax.vmap(lambda x: self.model.log_transition(x, held, row))(states))

    def _log_observation(self, states: Any, row: Row) -> tuple[Float[Array, " N"], Bool[Array, ""]]:
        """Each lane's likelihood, zero where it is not a number, and whether it is not anywhere."""
        log_g = self.model.observation(row).log_density_lanes(states, self.n)
        return jnp.where(_is_wrong(log_g), -jnp.inf, log_g), jnp.any(_is_wrong(log_g))

    @property
    def invariant(self) -> Measure:
        """The joint of trajectory and data, as a measure of the trajectory."""
        return self.model.joint(self.rows).claiming(Guarantee.PROPER)


def particle_gibbs(
    model: StateSpaceModel,
    rows: Row,
    n: int,
    *,
    scheme: Scheme = _MULTINOMIAL,
    ancestor_sampling: bool = False,
) -> ParticleGibbs:
    """A kernel on `Trajectory`s given the data: see `ParticleGibbs`. Start it from a run of `backward_simulation`.

    `scheme` is any resampling scheme; its conditional twin keeps the law. Ancestor sampling needs
    `model.log_transition`, and mixes well already for a handful of particles.

    With unknown parameters it is a block of `gibbs` on a `ParametersAndPath`:
    `("path", lambda law: particle_gibbs(law.model, law.rows, n))`.
    """
    return ParticleGibbs(model, rows, scheme, n, ancestor_sampling)


def _is_wrong(log_density: Array) -> Array:
    return jnp.isnan(log_density) | (log_density == jnp.inf)


def _hold(states: Any, held: Any) -> Any:
    return jax.tree.map(lambda lanes, value: lanes.at[0].set(value), states, held)


def _trace(ancestors: Int[Array, "later N"], last: Int[Array, ""]) -> Int[Array, " T"]:
    """The lane of a trajectory at each time, from its last lane back."""

    def back(lane: Array, row: Array) -> tuple[Array, Array]:
        return row[lane], row[lane]

    _, lanes = jax.lax.scan(back, last, ancestors, reverse=True)
    return jnp.concatenate([lanes, last[None]])
