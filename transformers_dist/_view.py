"""What a network sees of a problem: its prior and its data, as rows of numbers in a common frame."""

import abc
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from probinf.distributions import GMM
from probinf.transformers_dist._frame import Frame


class Look(NamedTuple):
    """A problem as a network sees it.

    prior: the prior in the frame of the look, None where it is no mixture. features: numbers that belong to the whole
    problem (the parameters of a prior that is no mixture, say). rows: one row of numbers for each datum; `present` says
    which rows are data and which are padding.
    """

    prior: GMM | None
    features: Float[Array, " P"]
    rows: Float[Array, "N F"]
    present: Bool[Array, " N"]


class View(eqx.Module):
    """How a family of problems looks to a network: the prior's parameters and the data as numbers of one scale.

    In the frame of the prior, two problems that differ by an affine change of variables are the same problem, if the
    likelihood allows it.
    """

    if TYPE_CHECKING:

        @property
        def dimension(self) -> int:
            """Dimension of the unknown."""
            ...

        @property
        def row_size(self) -> int:
            """Numbers in the row of a datum."""
            ...

        @property
        def feature_size(self) -> int:
            """Numbers that belong to the whole problem."""
            ...

    else:
        # No postponed annotations in this file: equinox would take an abstract variable for a field.
        dimension: eqx.AbstractVar[int]
        row_size: eqx.AbstractVar[int]
        feature_size: eqx.AbstractVar[int]

    @property
    def mixture_prior(self) -> bool:
        """Whether the prior is a mixture of Gaussians; else its parameters are features of the problem."""
        return True

    @abc.abstractmethod
    def frame(self, prior: Any) -> Frame:
        """The frame in which the prior is standard."""

    @abc.abstractmethod
    def look(self, prior: Any, data: Any, frame: Frame) -> Look:
        """The problem as a network sees it in a frame."""

    def check(self, prior: Any, data: Any) -> None:
        """Raises ValueError, naming the fix, where prior or data are none of this family; values are concrete."""
        del prior, data

    # The bijection between the space R^D of the mixture and the user's own, by default the identity.
    def outward(self, u: Float[Array, " D"]) -> Float[Array, " D"]:
        """The unknown as users mean it."""
        return u

    def inward(self, x: Float[Array, " D"]) -> Float[Array, " D"]:
        """The unknown in the space of the mixture."""
        return x

    def log_jacobian(self, u: Float[Array, " D"]) -> Float[Array, ""]:
        """Log of the absolute determinant of `outward` at u."""
        return jnp.zeros((), u.dtype)
