"""Problems to learn from: a prior, data, and weighted points of the posterior."""

import abc
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from probinf.transformers_dist._view import View


class Problem(NamedTuple):
    """A prior, data, and weighted points that stand for the posterior; weights sum to one.

    One point with weight one, the unknown that the data were simulated from, is enough: then only the joint law is
    sampled. More points lower the noise: exact draws, draws of the prior weighted by the likelihood, or the nodes of a
    quadrature.
    """

    prior: Any
    data: Any
    points: Float[Array, "S D"]
    log_weights: Float[Array, " S"]


class Family(eqx.Module):
    """A meta-prior over priors, and a simulator of data: what a Distribution Transformer is trained on.

    Law: `draw` gives prior, unknown and data by their joint law; weighted points target the posterior of the unknown,
    in the space R^D of the mixture.
    """

    if TYPE_CHECKING:

        @property
        def view(self) -> View:
            """How its problems look to a network."""
            ...

    else:
        # No postponed annotations in this file: equinox would take an abstract variable for a field.
        view: eqx.AbstractVar[View]

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem."""
