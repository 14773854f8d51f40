"""Texts that end at a stop string."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Distribution
from probinf.lm import Continue, Generation


class UntilStop(Distribution):
    """A continuation whose stop string ends the text for good, instead of pausing it.

    Law: that of the continuation; a lane that completed a stop string is `finished` and draws nothing more.
    """

    continuation: Continue

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The continuation's name."""
        return self.continuation.name

    def sample(self, key: PRNGKeyArray, x: Generation) -> Generation:
        """Refuse, as the continuation does."""
        return self.continuation.sample(key, x)

    def sample_lanes(self, key: PRNGKeyArray, values: Generation, n: int) -> Generation:
        """Draw the tokens of all n lanes, then finish those that stopped."""
        drawn = self.continuation.sample_lanes(key, values, n)
        return eqx.tree_at(lambda g: g.finished, drawn, drawn.finished | drawn.stopped)

    def log_density(self, x: Generation) -> Float[Array, ""]:
        """Log-probability of the tokens that the latest continuation drew, of one lane."""
        return self.continuation.log_density(x)

    def log_density_lanes(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Log-probability of the tokens that the latest continuation drew."""
        return self.continuation.log_density_lanes(values, n)
