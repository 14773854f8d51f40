"""A state-space model with finitely many states: everything a filter does on it can be enumerated."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice
from probinf.distributions._state_space import Dynamics, Row, StateSpaceModel
from probinf.distributions._table import as_log_table, as_symbol, check_symbols, log_entry


class FiniteDynamics(Dynamics):
    """A Markov chain over S states, given by tables of unnormalized log-probabilities: a finite proposal.

    Law: P(x_0 = i) = softmax(log_initial_table)[i], P(x_t = j | x_{t-1} = i) = softmax(log_transition_table[i])[j],
    whatever the row.

    Raises: ValueError where the tables do not fit together.
    """

    log_initial_table: Float[Array, " S"] = eqx.field(converter=as_log_table)
    log_transition_table: Float[Array, "S S"] = eqx.field(converter=as_log_table)

    def __check_init__(self):
        """Rejects tables of different sizes."""
        states = self.log_initial_table.shape[0]
        if self.log_transition_table.shape != (states, states):
            raise ValueError(
                f"with {states} initial probabilities the transition must be [{states}, {states}], got "
                f"{self.log_transition_table.shape}"
            )

    @property
    def name(self) -> str:
        """What the proposal is called in a measure."""
        return "proposed"

    def draw_initial(self, key: PRNGKeyArray, row: Row | None) -> Int[Array, ""]:
        """A first state."""
        del row
        return choice(key, self.log_initial_table)

    def draw_next(self, key: PRNGKeyArray, before: Int[Array, ""], row: Row) -> Int[Array, ""]:
        """A next state."""
        del row
        return choice(key, self.log_transition_table[before])

    def log_initial(self, x: Int[Array, ""], row: Row | None) -> Float[Array, ""]:
        """Log-probability of the first state."""
        del row
        return log_entry(jax.nn.log_softmax(self.log_initial_table), jnp.asarray(x))

    def log_transition(self, before: Int[Array, ""], x: Int[Array, ""], row: Row) -> Float[Array, ""]:
        """Log-probability of the move."""
        del row
        return log_entry(jax.nn.log_softmax(self.log_transition_table[before]), jnp.asarray(x))


class FiniteStateModel(StateSpaceModel):
    """The model of `HiddenMarkovModel` with the current state as its value, instead of the path so far.

    Tables are unnormalized log-probabilities: initial [S]; transition [S, S], row to column; emission [S, Y], state to
    symbol.

    Law: a hidden Markov model.

    Raises: ValueError where the tables do not fit together.
    """

    log_initial_table: Float[Array, " S"] = eqx.field(converter=as_log_table)
    log_transition_table: Float[Array, "S S"] = eqx.field(converter=as_log_table)
    log_emission_table: Float[Array, "S Y"] = eqx.field(converter=as_log_table)

    def __check_init__(self):
        """Rejects tables of different sizes."""
        states = self.chain.log_initial_table.shape[0]
        if self.log_emission_table.shape[:-1] != (states,):
            raise ValueError(
                f"with {states} states the emission must be [{states}, symbols], got {self.log_emission_table.shape}"
            )

    def rows(self, y: Any) -> Row:
        """Symbols [T] with their times, to filter over; among floating-point symbols NaN is what was not seen.

        Raises:
            ValueError: Another shape, or what is not a symbol.
        """
        rows = super().rows(y)
        check_symbols(rows.y, self.log_emission_table.shape[-1])
        return rows

    @property
    def chain(self) -> FiniteDynamics:
        """The hidden chain by itself."""
        return FiniteDynamics(self.log_initial_table, self.log_transition_table)

    def draw_initial(self, key: PRNGKeyArray, row: Row | None) -> Int[Array, ""]:
        """A first state."""
        return self.chain.draw_initial(key, row)

    def draw_next(self, key: PRNGKeyArray, before: Int[Array, ""], row: Row) -> Int[Array, ""]:
        """A next state."""
        return self.chain.draw_next(key, before, row)

    def log_initial(self, x: Int[Array, ""], row: Row | None) -> Float[Array, ""]:
        """Log-probability of the first state."""
        return self.chain.log_initial(x, row)

    def log_transition(self, before: Int[Array, ""], x: Int[Array, ""], row: Row) -> Float[Array, ""]:
        """Log-probability of the move."""
        return self.chain.log_transition(before, x, row)

    def log_observation(self, x: Int[Array, ""], row: Row) -> Float[Array, ""]:
        """Log-probability of the symbol."""
        return log_entry(jax.nn.log_softmax(self.log_emission_table[x]), as_symbol(row.y))
