"""Comparisons: which of two values a verifier prefers, where it may err."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._choice import flip
from probinf._particles import take_lanes


class Comparison(eqx.Module):
    """A verifier of pairs. Each call is a new opinion: all chance in it goes through `probinf.choice`."""

    @abc.abstractmethod
    def prefers(self, key: PRNGKeyArray, x: Any, y: Any) -> Bool[Array, ""]:
        """Whether it takes the first value for the better one."""


class NoisyComparison(Comparison):
    """Prefers the right value to a wrong one with chance `accuracy`; between two right or two wrong ones it tosses.

    Law: P(x preferred) = accuracy, 1 - accuracy or 1/2. `correct` maps a value to a boolean.

    Raises: ValueError for an accuracy outside [0, 1].
    """

    correct: Callable[[Any], Bool[Array, ""]]
    accuracy: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        """Rejects what is no chance."""
        if not isinstance(self.accuracy, Tracer) and not 0 <= float(self.accuracy) <= 1:
            raise ValueError(f"accuracy is a probability, in [0, 1], got {float(self.accuracy)}")

    def prefers(self, key: PRNGKeyArray, x: Any, y: Any) -> Bool[Array, ""]:
        """One toss."""
        right, other = self.correct(x), self.correct(y)
        p = jnp.where(right == other, 0.5, jnp.where(right, self.accuracy, 1 - self.accuracy))
        return flip(key, jnp.log(p))


def games(
    key: PRNGKeyArray, comparison: Comparison, values: Any, first: Int[Array, " n"], second: Int[Array, " n"], k: int
) -> Int[Array, " n"]:
    """How many of k comparisons the lanes `first` win against the lanes `second`."""
    x, y = take_lanes(values, jnp.repeat(first, k)), take_lanes(values, jnp.repeat(second, k))
    won = jax.vmap(comparison.prefers)(jax.random.split(key, k * len(first)), x, y)
    return jnp.sum(won.reshape(-1, k), axis=1)
