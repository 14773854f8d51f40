"""Values with a sign: what estimators carry whose weights may be negative."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf._arguments import real


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

    def __check_init__(self):
        """Rejects what is no sign, where it can be seen."""
        sign = real("sign", self.sign)
        if not isinstance(sign, Tracer) and not np.all(np.abs(np.asarray(sign)) == 1.0):
            raise ValueError("sign must be +1 or -1: put the size of a weight into log_weights, and -inf for none")


def value_of(values: Any) -> Any:
    """Values without their signs."""
    return values.value if isinstance(values, Signed) else values


def sign_of(values: Any) -> Any:
    """The signs, or one for values without."""
    return values.sign if isinstance(values, Signed) else jnp.ones(())
