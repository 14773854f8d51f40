"""Three states, a prior and a likelihood: the model on which attacks are made."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Density, Distribution, choice
from probinf.validity import FiniteMeasure

# Tuples, which become arrays in the precision of whoever reads them.
PRIOR = (0.2, 0.5, 0.3)
LIKELIHOOD = (0.9, 0.2, 0.5)
# The prior times the likelihood, of mass 0.43.
POSTERIOR = tuple(p * g for p, g in zip(PRIOR, LIKELIHOOD, strict=True))
STATES = np.arange(3, dtype=np.int32)


class Prior(Distribution):
    """The prior, right in all its parts."""

    name: str = eqx.field(static=True, default="prior")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        del x
        return choice(key, jnp.log(jnp.array(PRIOR)))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array(PRIOR))[x]


def small_likelihood() -> Density:
    """The likelihood as a factor."""
    return Density("likelihood", log_likelihood)


def log_likelihood(x: Int[Array, ""]) -> Float[Array, ""]:
    """Log-likelihood of one state."""
    return jnp.log(jnp.array(LIKELIHOOD))[x]


def finite(masses: tuple[float, ...]) -> FiniteMeasure:
    """A measure on the three states."""
    return FiniteMeasure(STATES, np.log(masses))
