"""State-space models whose value in a cloud is the current state alone: N states of memory, however long the data."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import count
from probinf._measure import Distribution, Factor, MeaningError, Measure, as_measure

_NOT_RETRACED = "a cloud of current states has no conditional form: use particle_gibbs, which keeps whole trajectories"


class Row(NamedTuple):
    """One row of data: the time from 0, and what was seen then (any pytree, inputs of the system included)."""

    t: Int[Array, "..."]
    y: Any


class Pair(NamedTuple):
    """The states at times t - 1 and t, for weights that need both; at time 0 both are the first state."""

    t: Int[Array, "..."]
    before: Any
    now: Any


class Trajectory(NamedTuple):
    """All states of one lane: a state whose leaves have a leading time axis."""

    states: Any


class Dynamics(eqx.Module):
    """A first state and a way to move on, both of which may look at the row of data: a model's, or a proposal's.

    Subclasses draw one lane at a time, with the state as any pytree. Keep its numbers in separate leaves, a tuple of D
    scalars rather than one array of D: a cloud then has D long columns, which is several times faster.

    `draw_initial_lanes` and `draw_next_lanes` draw for a whole cloud. Override them where one batched call draws for
    all lanes (see `normal_columns`); a longer cloud must keep the draws of its first lanes.

    Law: `initial(row)` has density `exp(log_initial(x, row))` and `transition(row)` has density
    `exp(log_transition(before, x, row))` in x. A bootstrap filter never evaluates either.
    """

    @abc.abstractmethod
    def draw_initial(self, key: PRNGKeyArray, row: Row | None) -> Any:
        """The first state of one lane."""

    @abc.abstractmethod
    def draw_next(self, key: PRNGKeyArray, before: Any, row: Row) -> Any:
        """The state at `row.t` of one lane, given the one before."""

    def log_initial(self, x: Any, row: Row | None) -> Float[Array, ""]:
        """Log-density of the first state.

        Raises: MeaningError where a subclass does not define it.
        """
        raise MeaningError(f"{type(self).__name__} only draws: define log_initial(x, row) for guided filters")

    def log_transition(self, before: Any, x: Any, row: Row) -> Float[Array, ""]:
        """Log-density of moving from `before` to `x`.

        Raises: MeaningError where a subclass does not define it.
        """
        raise MeaningError(
            f"{type(self).__name__} only draws: define log_transition(before, x, row) for guided filters, backward "
            "simulation and ancestor sampling"
        )

    def draw_initial_lanes(self, key: PRNGKeyArray, row: Row | None, n: int) -> Any:
        """The first state of n lanes."""
        return jax.vmap(lambda k: self.draw_initial(k, row))(jax.random.split(key, n))

    def draw_next_lanes(self, key: PRNGKeyArray, before: Any, row: Row, n: int) -> Any:
        """The state at `row.t` of n lanes."""
        return jax.vmap(lambda k, x: self.draw_next(k, x, row))(jax.random.split(key, n), before)

    def initial(self, row: Row | None = None) -> InitialLaw:
        """The law of the first state; a proposal's looks at the first row."""
        return InitialLaw(self, row)

    def transition(self, row: Row) -> Transition:
        """The law of the state at `row.t` given the one before."""
        return Transition(self, row)

    @property
    def name(self) -> str:
        """What the dynamics are called in a measure."""
        return ""


class StateSpaceModel(Dynamics):
    """Dynamics of a hidden state, and the density of what is seen of it.

    `initial()`, `transition` and `observation` are what `bootstrap_filter` takes, with the rows that `rows` makes of
    the data; a cloud then holds current states only. Their product is a measure on whole trajectories: evaluate it on a
    `Trajectory`.

    A row of which all numbers are NaN was not seen: its likelihood is 1, in every filter and smoother. In a row that is
    NaN in part, `log_observation` decides; where it gives NaN the run is INVALID.

    Law: p(states, data) = initial * prod_t transition(t) * prod_t observation(t).
    """

    @abc.abstractmethod
    def log_observation(self, x: Any, row: Row) -> Float[Array, ""]:
        """Log-density of the row given the state at its time."""

    def observation(self, row: Row) -> Likelihood:
        """The likelihood of the row."""
        return Likelihood(self, row)

    def rows(self, y: Any) -> Row:
        """Data (leading axis T on each leaf) with their times, to filter over; a row of NaN is what was not seen.

        Raises:
            ValueError: A leaf without an axis of time (a list of numbers), or leaves of different lengths.
        """
        lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(y)}
        if len(lengths) != 1 or () in lengths:
            found = [jnp.shape(leaf) for leaf in jax.tree.leaves(y)]
            raise ValueError(
                f"rows needs arrays with one leading axis of time on every leaf, got leaves of shapes {found}: pass "
                "jnp.asarray(y) for a list of numbers"
            )
        return Row(jnp.arange(lengths.pop()[0], dtype=jnp.int32), jax.tree.map(jnp.asarray, y))

    def joint(self, rows: Row) -> Measure:
        """The measure p(states, data) of whole trajectories: what every filter over the rows means."""
        return as_measure(JointLaw(self, rows))


class JointLaw(Factor):
    """The density of a whole trajectory and all rows, as one factor of a `Trajectory`.

    Law: `initial * prod_t transition(t) * prod_t observation(t)`; its cost to build and to compile does not grow with
    the number of rows.
    """

    model: StateSpaceModel
    rows: Row

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's name, and how many rows."""
        return f"{self.model.name} joint of {self.rows.t.shape[0]} rows".strip()

    def factored(self) -> Measure:
        """The product over the rows, as filters build it."""
        row = lambda t: jax.tree.map(lambda leaf: leaf[t], self.rows)  # noqa: E731
        measure = self.model.initial() * self.model.observation(row(0))
        for t in range(1, self.rows.t.shape[0]):
            measure = measure * self.model.transition(row(t)) * self.model.observation(row(t))
        return measure

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-density of a trajectory, all times at once.

        Raises:
            MeaningError: A value that is not a `Trajectory`.
            ValueError: A trajectory of another length.
        """
        check_trajectory(x, self.rows, self.name)
        before, now, first = (
            jax.tree.map(lambda leaf, at=at: leaf[at], x.states) for at in (slice(None, -1), slice(1, None), 0)
        )
        later = jax.tree.map(lambda leaf: leaf[1:], self.rows)
        seen = jax.vmap(lambda state, row: self.model.observation(row).log_density(state))(x.states, self.rows)
        moves = jax.vmap(self.model.log_transition)(before, now, later)
        return jnp.sum(seen) + jnp.sum(moves) + self.model.log_initial(first, None)


def check_trajectory(x: Any, rows: Row, who: str) -> None:
    """Refuse what is not a trajectory with one state for each row.

    Raises:
        MeaningError: Another value.
        ValueError: Another number of states.
    """
    steps = rows.t.shape[0]
    if not isinstance(x, Trajectory):
        raise MeaningError(
            f"{who} needs a Trajectory of {steps} states, got {type(x).__name__}: start from the values of "
            "backward_simulation, or pass Trajectory(states)"
        )
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(x.states)}
    if lengths != {(steps,)}:
        raise ValueError(
            f"{who} needs states with leading axis {steps}, one for each row, got {sorted(lengths)}: several chains "
            "have an axis before it"
        )


class InitialLaw(Distribution):
    """The first state, as a factor of any value at time 0 and of whole trajectories."""

    dynamics: Dynamics
    row: Row | None = None

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whose it is."""
        return f"{self.dynamics.name} initial".strip()

    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """A first state."""
        del x
        return self.dynamics.draw_initial(key, self.row)

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Any:
        """First states, in one batch."""
        del values
        return self.dynamics.draw_initial_lanes(key, self.row, n)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-density of the first state; NaN on a `Pair` of another time."""
        return _at_time(x, jnp.int32(0), lambda now: self.dynamics.log_initial(now, self.row))

    def prefix(self, final: Any) -> Any:
        """Not available.

        Raises: MeaningError always: a current state cannot be retraced.
        """
        raise MeaningError(_NOT_RETRACED)


class Transition(Distribution):
    """The state at time t given the one before, as a factor of a `Pair` at that time and of whole trajectories."""

    dynamics: Dynamics
    row: Row

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whose it is, and its time."""
        return f"{self.dynamics.name} transition {_time(self.row.t)}".strip()

    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """The next state; a `Pair` stays one."""
        if isinstance(x, Pair):
            return Pair(jnp.asarray(self.row.t, jnp.int32), x.now, self.dynamics.draw_next(key, x.now, self.row))
        return self.dynamics.draw_next(key, x, self.row)

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Any:
        """Next states, in one batch."""
        if isinstance(values, Pair):
            times = jnp.broadcast_to(jnp.asarray(self.row.t, jnp.int32), (n,))
            return Pair(times, values.now, self.dynamics.draw_next_lanes(key, values.now, self.row, n))
        return self.dynamics.draw_next_lanes(key, values, self.row, n)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-density of the move into time t; NaN on a `Pair` of another time.

        Raises: MeaningError for a bare state, which does not tell where it came from.
        """
        if isinstance(x, Trajectory):
            before, now = (jax.tree.map(lambda leaf, t=t: leaf[t], x.states) for t in (self.row.t - 1, self.row.t))
            return self.dynamics.log_transition(before, now, self.row)
        if isinstance(x, Pair):
            return _at_time(x, self.row.t, lambda now: self.dynamics.log_transition(x.before, now, self.row))
        raise MeaningError(
            f"'{self.name}' needs two states, but the value is one: evaluate it on a Pair or a Trajectory"
        )

    def prefix(self, final: Any) -> Any:
        """Not available.

        Raises: MeaningError always: a current state cannot be retraced.
        """
        raise MeaningError(_NOT_RETRACED)


class Likelihood(Factor):
    """The density of what was seen at time t, as a factor of the state then and of whole trajectories."""

    model: StateSpaceModel
    row: Row

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The observation and its time."""
        return f"{self.model.name} observation {_time(self.row.t)}".strip()

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-density of the row; a bare state is taken to be the one at its time. NaN on a `Pair` of another time."""
        missing, row = _without_missing(self.row)

        def seen(now: Any) -> Float[Array, ""]:
            log_density = self.model.log_observation(now, row)
            return jnp.where(missing, jnp.zeros_like(log_density), log_density)

        return _at_time(x, self.row.t, seen)


def normal_columns(key: PRNGKeyArray, n: int, dimension: int) -> tuple[Float[Array, " n"], ...]:
    """`dimension` columns of n independent standard normals, in one batch.

    A longer column starts with the same numbers, so a larger cloud keeps the draws of its first lanes.

    Raises: ValueError for a number of columns below one, or of rows below zero.
    """
    keys = jax.random.split(key, count("dimension", dimension))
    n = count("n", n, least=0)
    if dimension == 1:
        return (jax.random.normal(keys[0], (n,)),)
    return tuple(jax.vmap(lambda k: jax.random.normal(k, (n,)))(keys))


def _without_missing(row: Row) -> tuple[Bool[Array, ""], Row]:
    """Whether all numbers of a row are NaN; and the row, with zeros in place of a row of NaN.

    The zeros are never seen: they keep NaN out of what is computed for both cases, gradients included.
    """
    numbers = [leaf for leaf in map(jnp.asarray, jax.tree.leaves(row.y)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if not any(leaf.size for leaf in numbers):
        return jnp.bool_(False), row
    missing = jnp.all(jnp.stack([jnp.all(jnp.isnan(leaf)) for leaf in numbers]))
    hidden = lambda leaf: jnp.where(missing, jnp.zeros_like(leaf), leaf)  # noqa: E731
    return missing, row._replace(y=jax.tree.map(hidden, row.y))


def _at_time(x: Any, t: Int[Array, ""], log_density: Callable[[Any], Float[Array, ""]]) -> Float[Array, ""]:
    """The log-density at the state of time t of any kind of value."""
    if isinstance(x, Trajectory):
        return log_density(jax.tree.map(lambda leaf: leaf[t], x.states))
    if isinstance(x, Pair):
        return jnp.where(x.t == t, log_density(x.now), jnp.nan)
    return log_density(x)


def _time(t: Any) -> str:
    return "t" if isinstance(t, Tracer) else str(int(t))
