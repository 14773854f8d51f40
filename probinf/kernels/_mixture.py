"""One of several kernels, drawn at random."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._measure import Measure
from probinf._sampler import Kernel
from probinf.distributions._table import as_log_table
from probinf.kernels._cycle import agreed_invariant, check_agreement


class MixtureInfo(NamedTuple):
    """`picked`: which kernel moved the value."""

    picked: Int[Array, ""]


class Mixture(Kernel):
    """Applies one of several kernels of one invariant measure, drawn with fixed probabilities (a random scan).

    Law: keeps that measure, and is reversible if all of them are. `log_weights` are unnormalized.

    Raises: ValueError where weights and kernels differ in number; MeaningError where two kernels keep different
    measures.
    """

    kernels: tuple[Kernel, ...]
    log_weights: Float[Array, " K"] = eqx.field(converter=as_log_table)

    def __check_init__(self):
        """Rejects kernels that do not agree."""
        if np.shape(self.log_weights) != (len(self.kernels),):
            raise ValueError(
                f"Mixture needs one weight a kernel: got {len(self.kernels)} kernels and weights of shape "
                f"{np.shape(self.log_weights)}"
            )
        check_agreement(self.kernels, type(self).__name__)

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, MixtureInfo]:
        """One transition of one of them."""
        check_key(key)
        pick_key, move_key = jax.random.split(key)
        picked = choice(pick_key, self.log_weights)
        moves = [lambda key, x, kernel=kernel: kernel(key, x)[0] for kernel in self.kernels]
        return jax.lax.switch(picked, moves, move_key, x), MixtureInfo(picked)

    @property
    def invariant(self) -> Measure:
        """The measure that all of them keep.

        Raises: MeaningError where they disagree.
        """
        return agreed_invariant(self.kernels, type(self).__name__)
