"""Two states followed for two steps: the model of right designs that need a past."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Density, Distribution, Draw, Reweight, Sampler, choice

# Tuples, which become arrays in the precision of whoever reads them.
START = (0.6, 0.4)
STEP = ((0.7, 0.3), (0.2, 0.8))
# How likely the first and the second observation are, state by state.
SEEN = ((0.9, 0.35), (0.1, 0.65))

Pair = Int[Array, " 2"]


class Start(Distribution):
    """The first of two states; the second is zero until it is drawn."""

    name: str = eqx.field(static=True, default="start")

    def sample(self, key: PRNGKeyArray, x: Any) -> Pair:
        del x
        first = choice(key, logs(START))
        return jnp.stack([first, jnp.zeros_like(first)])

    def log_density(self, x: Pair) -> Float[Array, ""]:
        return logs(START)[x[0]]

    def prefix(self, final: Pair) -> Pair:
        return final.at[1].set(0)


class Follow(Distribution):
    """The second state given the first."""

    name: str = eqx.field(static=True, default="step")

    def sample(self, key: PRNGKeyArray, x: Pair) -> Pair:
        return x.at[1].set(choice(key, logs(STEP)[x[0]]))

    def log_density(self, x: Pair) -> Float[Array, ""]:
        return logs(STEP)[x[0], x[1]]


def first_seen() -> Density:
    """The likelihood of the first state."""
    return Density("first", _log_first)


def second_seen() -> Density:
    """The likelihood of the second state."""
    return Density("second", _log_second)


def two_steps(between: Sampler) -> Sampler:
    """Importance sampling of both states in order, with a sampler between them that keeps the measure."""
    return Draw(Start()) >> Reweight(first_seen()) >> between >> Draw(Follow()) >> Reweight(second_seen())


def logs(table: tuple) -> Float[Array, "..."]:
    """Logarithms of a table, in the precision in force."""
    return jnp.log(jnp.array(table))


def _log_first(x: Pair) -> Float[Array, ""]:
    return logs(SEEN)[0, x[0]]


def _log_second(x: Pair) -> Float[Array, ""]:
    return logs(SEEN)[1, x[1]]
