"""Independence Metropolis: proposals that do not look at the current value."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Distribution, as_distribution
from probinf.kernels._metropolis import MetropolisHastings
from probinf.kernels._proposal import Proposal


class FreshProposal(Proposal):
    """Draws from a distribution, wherever the chain stands.

    Law: q(x -> y) = distribution(y), so `log_ratio(x, y) = log distribution(x) - log distribution(y)`. Takes a
    `Distribution`, or an object with `sample(key)` and `log_prob(x)` such as numpyro's.

    Raises: TypeError for anything else.
    """

    distribution: Distribution = eqx.field(converter=as_distribution)

    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """A fresh draw."""
        del x
        return self.distribution.sample(key, ())

    def log_ratio(self, x: Any, y: Any) -> Float[Array, ""]:
        """Log-density of where the chain stands minus that of where it would go."""
        return self.distribution.log_density(x) - self.distribution.log_density(y)


def independence(target: Any, proposal: Any) -> MetropolisHastings:
    """Metropolis-Hastings whose proposals are independent draws from a distribution.

    Law: reversible for `target`, hence keeps it. The chain mixes well only where target / proposal is bounded.

    Source: Tierney, Annals of Statistics 22 (1994), section 2.3.3.

    Raises: TypeError for a target that runs on the host, or a proposal without `sample` and `log_prob`.
    """
    return MetropolisHastings(target, FreshProposal(proposal))
