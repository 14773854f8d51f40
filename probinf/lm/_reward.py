"""Process rewards: how promising the steps written so far look."""

from __future__ import annotations

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf._arguments import floating
from probinf.lm._protocol import Generation


class Reward(eqx.Module):
    """A process reward model: after each step, a number r in (0, 1) for the text so far, as log-odds.

    Log-odds keep what probabilities lose near zero and one. NaN says that there is no reward: such a lane gets weight
    zero, and the run the status INVALID.
    """

    @abc.abstractmethod
    def log_odds(self, values: Generation, n: int) -> Float[Array, " n"]:
        """log(r / (1 - r)) of each of n lanes."""

    @property
    def traceable(self) -> bool:
        """False for a reward that runs Python on concrete values."""
        return True


class RewardFunction(Reward):
    """A reward from a function of one text.

    `function` maps the `Generation` of one lane, without the model's state, to a probability. Outside [0, 1] its value
    counts as no reward (NaN); 0 and 1 themselves are certainties, of log-odds -inf and +inf.
    """

    function: Callable[[Generation], Float[Array, ""]]

    def log_odds(self, values: Generation, n: int) -> Float[Array, " n"]:
        """The log-odds of the function's values."""
        lanes = eqx.tree_at(lambda g: g.state, values, ())
        r = jax.vmap(self.function, axis_size=n)(lanes)
        return log_odds_of(r)


def log_odds_of(r: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(r / (1 - r)); NaN where r is not a probability.

    Raises: TypeError for complex numbers and text.
    """
    r = floating("r", r)
    inside = (r >= 0) & (r <= 1)
    safe = jnp.where(inside, r, 0.5)
    return jnp.where(inside, jnp.log(safe) - jnp.log1p(-safe), jnp.nan)
