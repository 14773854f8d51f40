"""A finite hidden Markov model whose value is the path so far, so that every factor can be read on any later
value."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count, whole
from probinf._choice import choice
from probinf._measure import Distribution, Factor
from probinf.distributions._table import as_log_table, check_symbols, log_entry


class Path(NamedTuple):
    """States up to now: `states[:t]` are drawn, the rest is zero."""

    states: Int[Array, " steps"]
    t: Int[Array, ""]


class Observation(NamedTuple):
    """One row of data: what was seen at time t (from 0)."""

    t: Int[Array, "..."]
    y: Int[Array, "..."]


class HiddenMarkovModel(eqx.Module):
    """A Markov chain over S states for `steps` times, seen through symbols.

    Tables are unnormalized log-probabilities: initial [S]; transition [S, S], row to column; emission [S, Y],
    state to symbol. `initial`, `step` and `emission` give the model's factors; the last two take a row of
    `rows(observations)`.

    Law: p(states) = initial * prod_t step(t), and p(states, symbols) multiplies prod_t emission(t, y_t).

    Raises: ValueError where the tables' shapes disagree or `steps` is below one.
    """

    log_initial: Float[Array, " S"] = eqx.field(converter=as_log_table)
    log_transition: Float[Array, "S S"] = eqx.field(converter=as_log_table)
    log_emission: Float[Array, "S Y"] = eqx.field(converter=as_log_table)
    steps: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects tables that do not fit together."""
        states = self.log_initial.shape[0]
        if self.log_transition.shape != (states, states) or self.log_emission.shape[:-1] != (states,):
            raise ValueError(
                f"with {states} initial probabilities the transition must be [{states}, {states}] and the "
                f"emission [{states}, symbols], got {self.log_transition.shape} and {self.log_emission.shape}"
            )
        if not is_count(self.steps):
            raise ValueError(f"a hidden Markov model needs steps >= 1, got {self.steps}")

    def initial(self) -> InitialState:
        """The law of the first state."""
        return InitialState(self)

    def step(self, row: Observation) -> Step:
        """The law of the state at `row.t` given the one before."""
        return Step(self, row.t)

    def emission(self, row: Observation) -> Emission:
        """The likelihood of the symbol seen at `row.t`."""
        return Emission(self, row.t, row.y)

    def rows(self, observations: Any) -> Observation:
        """Observations with their times, to scan over.

        Raises: ValueError for what is not [seen] whole numbers of symbols, or for more of them than steps. A symbol
        that was not seen is not supported here: use `FiniteStateModel`.
        """
        observations = jnp.asarray(observations)
        if not jnp.issubdtype(observations.dtype, jnp.integer):
            raise ValueError(
                f"the symbols of a HiddenMarkovModel must be integers, got {observations.dtype}: where some were not "
                "seen (NaN) use FiniteStateModel"
            )
        check_symbols(observations, self.log_emission.shape[-1])
        if observations.shape[0] > self.steps:
            raise ValueError(f"a model of {self.steps} steps got {observations.shape[0]} observations: raise steps")
        return Observation(jnp.arange(observations.shape[0]), observations)

    def log_likelihood(self, observations: Int[Array, " seen"]) -> Float[Array, ""]:
        """Exact log-probability of the symbols, by the forward algorithm.

        Source: Rabiner, Proceedings of the IEEE 77 (1989), equations 18 to 21.
        """
        observations = self.rows(observations).y
        log_transition = jax.nn.log_softmax(self.log_transition)
        log_emission = jax.nn.log_softmax(self.log_emission)
        log_seen = jnp.take(log_emission, observations, axis=1, mode="fill", fill_value=-jnp.inf)

        def forward(log_alpha: Array, log_y: Array) -> tuple[Array, None]:
            return log_y + jax.nn.logsumexp(log_alpha[:, None] + log_transition, axis=0), None

        first = jax.nn.log_softmax(self.log_initial) + log_seen[:, 0]
        return jax.nn.logsumexp(jax.lax.scan(forward, first, log_seen[:, 1:].T)[0])


class InitialState(Distribution):
    """The first state of the path.

    Law: density `initial[states[0]]`, at any later value too.
    """

    hmm: HiddenMarkovModel
    name: str = eqx.field(static=True, default="initial")

    def sample(self, key: PRNGKeyArray, x: Any) -> Path:
        """A path of length one."""
        del x
        state = choice(key, self.hmm.log_initial)
        return Path(jnp.zeros(self.hmm.steps, jnp.int32).at[0].set(state), jnp.int32(1))

    def log_density(self, x: Path) -> Float[Array, ""]:
        """Log-probability of the first state."""
        return log_entry(jax.nn.log_softmax(self.hmm.log_initial), x.states[0])

    def prefix(self, final: Path) -> Path:
        """The first state of a longer path."""
        return _truncate(final, jnp.int32(1))


class Step(Distribution):
    """The state at time t, given the one before.

    Law: density `transition[states[t-1], states[t]]`, at any later value too.

    Raises: ValueError for a time outside [1, steps).
    """

    hmm: HiddenMarkovModel
    t: Int[Array, ""] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        """Rejects a time without a state before it."""
        _check_time("Step", self.t, 1, self.hmm.steps)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The step and its time."""
        return _at("step", self.t)

    def sample(self, key: PRNGKeyArray, x: Path) -> Path:
        """The path with one more state."""
        state = choice(key, self.hmm.log_transition[x.states[self.t - 1]])
        return Path(x.states.at[self.t].set(state), (self.t + 1).astype(jnp.int32))

    def log_density(self, x: Path) -> Float[Array, ""]:
        """Log-probability of the transition into time t."""
        row = self.hmm.log_transition[x.states[self.t - 1]]
        return log_entry(jax.nn.log_softmax(row), x.states[self.t])

    def prefix(self, final: Path) -> Path:
        """The path up to and including time t."""
        return _truncate(final, (self.t + 1).astype(jnp.int32))


class Emission(Factor):
    """The likelihood of symbol y seen at time t.

    Law: density `emission[states[t], y]`, at any later value too.

    Raises: ValueError for a time outside [0, steps).
    """

    hmm: HiddenMarkovModel
    t: Int[Array, ""] = eqx.field(converter=jnp.asarray)
    y: Int[Array, ""] = eqx.field(converter=partial(whole, "y"))

    def __check_init__(self):
        """Rejects a time that the path does not have."""
        _check_time("Emission", self.t, 0, self.hmm.steps)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The emission and its time."""
        return _at("emission", self.t)

    def log_density(self, x: Path) -> Float[Array, ""]:
        """Log-probability of the symbol in the state at time t."""
        return log_entry(jax.nn.log_softmax(self.hmm.log_emission[x.states[self.t]]), self.y)


def _truncate(path: Path, t: Int[Array, ""]) -> Path:
    return Path(jnp.where(jnp.arange(path.states.shape[0]) < t, path.states, 0), t)


def _check_time(who: str, t: Array, first: int, steps: int) -> None:
    if not isinstance(t, Tracer) and not first <= int(t) < steps:
        raise ValueError(f"{who} needs a time from {first} to {steps - 1} in a model of {steps} steps, got {int(t)}")


def _at(what: str, t: Array) -> str:
    return f"{what} {'t' if isinstance(t, Tracer) else int(t)}"
