"""A test of a mean that may be looked at after every draw."""

from __future__ import annotations

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf._arguments import real

# Bets are this fraction of the largest admissible one: a wealth of zero could never recover.
_CAUTION = 0.5
# Draws may be outside their bounds by this much of the upper one, and no more.
_ROUNDING = 1e-4


def log_wealth_of_mean(
    x: Float[Array, " R"], mean: float | Float[Array, ""], *, upper: float | Float[Array, ""]
) -> Float[Array, " R"]:
    """Log-wealth, after each draw, of a gambler who bets that `E[x]` is not `mean`, for draws in [0, upper].

    Law: under E[x] = mean the wealth is a non-negative martingale of mean one, so by Ville's inequality
    P(it ever reaches 1/alpha) <= alpha, however often and whenever one looks. Half the stake is bet on a larger
    mean, half on a smaller one; each bet is the predictable plug-in of the draws before it.

    Raises: ValueError for draws outside [0, upper], and for a mean that is not strictly inside, unless traced.

    Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting" (arXiv 2010.09686).
    """
    x = real("x", x, "draws")
    mean, upper = real("mean", mean, ""), real("upper", upper, "", low=0, finite=True)
    if not isinstance(mean, Tracer) and not isinstance(upper, Tracer) and not 0 < float(mean) < float(upper):
        raise ValueError(f"a bet needs a mean strictly inside (0, upper), got mean={mean:g} and upper={upper:g}")
    if not isinstance(x, Tracer) and not isinstance(upper, Tracer):
        real("x", x, low=-_ROUNDING * float(upper), high=(1 + _ROUNDING) * float(upper))
    scaled, centre = x / upper, mean / upper
    count = jnp.arange(len(x), dtype=scaled.dtype)
    # Each bet knows the draws before it only.
    estimate = (_before(scaled) + centre) / (count + 1)
    variance = (_before((scaled - estimate) ** 2) + 0.25) / (count + 1)
    edge = jnp.abs(estimate - centre) / (variance + (estimate - centre) ** 2)
    up = jnp.cumsum(jnp.log1p(jnp.minimum(edge, _CAUTION / centre) * (scaled - centre)))
    down = jnp.cumsum(jnp.log1p(-jnp.minimum(edge, _CAUTION / (1 - centre)) * (scaled - centre)))
    return jnp.logaddexp(up, down) - jnp.log(2.0)


def _before(x: Float[Array, " R"]) -> Float[Array, " R"]:
    """The sum of the earlier entries."""
    return jnp.cumsum(x) - x
