"""What an outcome is worth."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_float, check_cost


class Payoff(eqx.Module):
    """A benefit for a correct return, and costs: of a wrong return (a false positive), of abstaining, of each sample.

    All are data in one unit, whichever; the defaults are the published ones. A reward for abstaining instead of
    guessing is the same as a lower benefit and a higher cost of being wrong, so no cost is negative.

    Raises: ValueError for a negative number.
    """

    benefit: Float[Array, ""] = eqx.field(default=1.0, converter=as_float)
    false_positive_cost: Float[Array, ""] = eqx.field(default=0.0, converter=as_float)
    abstention_cost: Float[Array, ""] = eqx.field(default=0.0, converter=as_float)
    sample_cost: Float[Array, ""] = eqx.field(default=0.0, converter=as_float)

    def __check_init__(self):
        """Rejects costs below zero."""
        for name in ("benefit", "false_positive_cost", "abstention_cost", "sample_cost"):
            check_cost(name, getattr(self, name))

    def __repr__(self) -> str:
        """With the numbers, where equinox shows shapes."""
        return eqx.tree_pformat(self, short_arrays=False, width=120)

    def of(self, correct: Array | float, wrong: Array | float, abstain: Array | float, samples: Array | float) -> Array:
        """The payoff of outcomes with these chances, and this expected number of samples.

        Law: linear, so unbiased estimates of the four give an unbiased estimate.
        """
        # Samples without a price cost nothing, however many there are; finite ones keep their slope in the price.
        endless = (self.sample_cost == 0) & jnp.isinf(samples)
        effort = self.sample_cost * jnp.where(endless, 0.0, samples)
        return self.benefit * correct - self.false_positive_cost * wrong - self.abstention_cost * abstain - effort

    @property
    def threshold(self) -> Float[Array, ""]:
        """The probability of being correct from which on an answer should be returned rather than withheld.

        Zero where neither benefit nor cost hangs on the answer.

        Source: Chow, IEEE Transactions on Information Theory 16 (1970).
        """
        stake = self.benefit + self.false_positive_cost
        saved = self.false_positive_cost - self.abstention_cost
        return jnp.where(stake > 0, jnp.clip(saved / jnp.where(stake > 0, stake, 1.0), 0.0, 1.0), 0.0)
