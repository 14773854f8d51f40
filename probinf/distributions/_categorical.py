"""Categorical: one of finitely many outcomes."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice
from probinf._measure import Distribution
from probinf.distributions._table import as_log_table, log_entry


class Categorical(Distribution):
    """A draw of an index, whatever the value so far.

    Law: P(k) = exp(log_probs[k]) / sum(exp(log_probs)); a common constant in `log_probs` does not matter, and
    -inf is an outcome that never occurs.

    Raises: ValueError where `log_probs` is not one row, or leaves no outcome possible.
    """

    log_probs: Float[Array, " outcomes"] = eqx.field(converter=as_log_table)
    name: str = eqx.field(static=True, default="categorical")

    def __check_init__(self):
        """Rejects a table of the wrong shape."""
        if self.log_probs.ndim != 1:
            raise ValueError(f"Categorical needs one row of log-probabilities, got shape {self.log_probs.shape}")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """An index, int32."""
        del x
        return choice(key, self.log_probs)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """Log-probability of the index, in nats; -inf outside the table."""
        return log_entry(jax.nn.log_softmax(self.log_probs), jnp.asarray(x))
