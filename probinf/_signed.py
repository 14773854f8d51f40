"""Values with a sign: what estimators carry whose weights may be negative."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Signed(eqx.Module):
    """A value and its sign, +1 or -1, for estimators whose weights may be negative.

    Law: a cloud of them is properly weighted for a signed measure m if the expectation of
    `exp(log_evidence) * (1/N) * sum_i sign_i exp(log_weights_i) * delta(value_i)` is m. Weights stay in the log domain,
    and the sign beside them. `Resample` copies signs with their values; `log_z` and normalized weights are those of the
    measure without signs.

    Example:
        >>> import jax.numpy as jnp
        >>> from probinf import Signed
        >>> Signed(jnp.array([0, 1]), jnp.array([1.0, -1.0])).sign.tolist()
        [1.0, -1.0]
    """

    value: Any
    sign: Float[Array, "..."]


def value_of(values: Any) -> Any:
    """Values without their signs."""
    return values.value if isinstance(values, Signed) else values


def sign_of(values: Any) -> Any:
    """The signs, or one for values without."""
    return values.sign if isinstance(values, Signed) else jnp.ones(())
