"""The exact checker of steps as a process reward."""

from __future__ import annotations

from functools import partial

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import whole
from probinf.lm import Generation


def right_steps(
    tokens: Int[Array, " slots"], length: Int[Array, ""], truth: Int[Array, "steps width"]
) -> Bool[Array, ""]:
    """Whether all tokens so far are those of the true states, one after the other; a text beyond the last is wrong.

    Raises: TypeError or ValueError for what is no row of tokens, or no table of states.
    """
    tokens, length = whole("tokens", tokens, "slots"), whole("length", length, "", low=0)
    truth = whole("truth", truth, "steps width")
    flat = truth.reshape(-1)
    slots = tokens.shape[0]
    wanted = jnp.pad(flat, (0, max(0, slots - flat.shape[0])), constant_values=-1)[:slots]
    written = jnp.arange(slots) < length
    return jnp.all(~written | (tokens == wanted)) & (length <= flat.shape[0])


class StepReward(eqx.Module):
    """A process reward for `probinf.lm.RewardFunction`: `right` while every state so far is true, `wrong` after.

    A text is the states' symbols, `width` tokens a step, and nothing else: a token that ends the text counts as a wrong
    symbol, so that the model must not write one. With `right` 1 and `wrong` 0 it is the exact verifier, and the product
    of its rewards over the steps is one for the true states and their beginnings, and zero for all else: to leave the
    true solution alone, have the model write all its steps. Other values are a verifier that errs.

    Raises: ValueError for rewards outside [0, 1].
    """

    truth: Int[Array, "steps width"] = eqx.field(converter=partial(whole, "truth", axes="steps width"))
    right: float = eqx.field(static=True, default=1.0)
    wrong: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        """Rejects what is no probability."""
        if not (0 <= self.right <= 1 and 0 <= self.wrong <= 1):
            raise ValueError(f"rewards are probabilities, got {self.right} and {self.wrong}")

    def __call__(self, x: Generation) -> Float[Array, ""]:
        """The reward of one text."""
        return jnp.where(right_steps(x.tokens, x.length, self.truth), self.right, self.wrong)
