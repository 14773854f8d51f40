"""State-space models whose observations depend on the state before as well as on the one now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf.distributions._state_space import Dynamics, Row, StateSpaceModel


class Lag(NamedTuple):
    """The state before and the state now, as one state; at time 0 both are the first."""

    before: Any
    now: Any


class Lagged(StateSpaceModel):
    """A model whose observation at time t depends on the states at t - 1 and t.

    The state is a `Lag` of two states of the dynamics, of which the first is a copy: everything that takes a
    `StateSpaceModel` takes this one. For a continuous state the copy ties a lane to its own past, so that backward
    simulation and ancestor sampling find no other.

    Args:
        dynamics: the first state and the moves.
        log_observed: `(lag, row) -> log-density` of the row, in nats.
        label: what the model is called in a measure.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from probinf import sample
        >>> from probinf.distributions import FiniteDynamics, Lagged
        >>> from probinf.samplers import bootstrap_filter
        >>> moves = FiniteDynamics(np.log([0.5, 0.5]), np.log([[0.9, 0.1], [0.2, 0.8]]))
        >>> jumped = lambda lag, row: jnp.where((lag.now != lag.before) == row.y, jnp.log(0.9), jnp.log(0.1))
        >>> model = Lagged(moves, jumped)
        >>> rows = model.rows(jnp.array([False, True, False]))
        >>> filter_ = bootstrap_filter(model.initial(), model.transition, model.observation, rows)
        >>> bool(abs(sample(filter_, jax.random.key(0), n=20_000).particles.log_z + 1.856) < 0.1)
        True

    Law: the first state has density `exp(dynamics.log_initial)`, at a `Lag` of two equal states; a move from `x` to `y`
    has density `exp(dynamics.log_transition(x.now, y.now))` where `y.before` is `x.now`, and zero elsewhere.

    Source: Kitagawa, Journal of Computational and Graphical Statistics 5 (1996): filters on an augmented state.
    """

    dynamics: Dynamics
    log_observed: Callable[[Lag, Row], Float[Array, ""]]
    label: str = eqx.field(static=True, default="lagged")

    @property
    def name(self) -> str:
        """Its label."""
        return self.label

    def draw_initial(self, key: PRNGKeyArray, row: Row | None) -> Lag:
        """The first state, twice."""
        return _twice(self.dynamics.draw_initial(key, row))

    def draw_next(self, key: PRNGKeyArray, before: Lag, row: Row) -> Lag:
        """The state now becomes the one before."""
        return Lag(before.now, self.dynamics.draw_next(key, before.now, row))

    def draw_initial_lanes(self, key: PRNGKeyArray, row: Row | None, n: int) -> Lag:
        """First states, in one batch of the dynamics."""
        return _twice(self.dynamics.draw_initial_lanes(key, row, n))

    def draw_next_lanes(self, key: PRNGKeyArray, before: Lag, row: Row, n: int) -> Lag:
        """Next states, in one batch of the dynamics."""
        return Lag(before.now, self.dynamics.draw_next_lanes(key, before.now, row, n))

    def log_initial(self, x: Lag, row: Row | None) -> Float[Array, ""]:
        """Log-density of the first state; -inf for two that differ."""
        return jnp.where(_same(x.before, x.now), self.dynamics.log_initial(x.now, row), -jnp.inf)

    def log_transition(self, before: Lag, x: Lag, row: Row) -> Float[Array, ""]:
        """Log-density of a move; -inf where the copy is not the state that was left."""
        log_density = self.dynamics.log_transition(before.now, x.now, row)
        return jnp.where(_same(before.now, x.before), log_density, -jnp.inf)

    def log_observation(self, x: Lag, row: Row) -> Float[Array, ""]:
        """Log-density of the row given both states."""
        return self.log_observed(x, row)


def _twice(x: Any) -> Lag:
    # Copies, because a filter may overwrite one of them in place.
    return Lag(x, jax.tree.map(jnp.copy, x))


def _same(x: Any, y: Any) -> Bool[Array, ""]:
    equal = [jnp.all(a == b) for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)]
    return jnp.all(jnp.stack(equal))
