"""Verifiers made of several checks."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_float, check_rates


class Rates(NamedTuple):
    """P(accept | correct) and P(accept | wrong) of a verifier, or of each of several."""

    true_positive_rate: Float[Array, "*m"]
    false_positive_rate: Float[Array, "*m"]


def compose_all(
    true_positive_rate: Any,
    false_positive_rate: Any,
    *,
    blind_spot: float | Float[Array, ""] = 0.0,
) -> Rates:
    """Rates of a verifier that accepts what all of m checks accept: see `compose_at_least`.

    Law: with checks alike and no blind spot, each adds log(t / f) to the log-odds of the PPV, and multiplies the true
    positive rate by t. With a blind spot u the PPV stays below p t^m / (p t^m + (1 - p) u).
    """
    return compose_at_least(
        as_float(true_positive_rate).size, true_positive_rate, false_positive_rate, blind_spot=blind_spot
    )


def compose_at_least(
    least: int,
    true_positive_rate: Any,
    false_positive_rate: Any,
    *,
    blind_spot: float | Float[Array, ""] = 0.0,
) -> Rates:
    """Rates of a verifier that accepts what at least `least` of m checks accept.

    Checks err independently given whether the answer is correct, except that with probability `blind_spot` a wrong
    answer fools all of them. Asking one noisy judge m times is no m checks: it averages noise, and the judge's bias is
    a blind spot.

    Raises: ValueError for rates or a blind spot outside [0, 1], and for `least` outside 1 to m.
    """
    t, f, u = as_float(true_positive_rate), as_float(false_positive_rate), as_float(blind_spot)
    for name, values in (("true_positive_rate", t), ("false_positive_rate", f), ("blind_spot", u)):
        check_rates(name, values)
    if t.ndim != 1 or t.shape != f.shape:
        raise ValueError(f"rates of m checks are two arrays [m], got shapes {t.shape} and {f.shape}")
    if isinstance(least, Tracer) or not 1 <= least <= t.shape[0]:
        raise ValueError(f"a verifier of {t.shape[0]} checks asks for 1 to {t.shape[0]} of them, got {least}")
    return Rates(_at_least(least, t), u + (1 - u) * _at_least(least, f))


def _at_least(least: int, rates: Float[Array, " m"]) -> Float[Array, ""]:
    """Chance of at least `least` successes among independent trials."""
    m = rates.shape[0]

    def add(counts: Float[Array, " n"], rate: Array) -> tuple[Float[Array, " n"], None]:
        return counts * (1 - rate) + jnp.concatenate([jnp.zeros(1, counts.dtype), counts[:-1]]) * rate, None

    counts, _ = jax.lax.scan(add, jnp.zeros(m + 1, rates.dtype).at[0].set(1.0), rates)
    return jnp.sum(counts[least:])
