"""The verdict of an imperfect verifier, drawn: what is right passes with one rate, what is wrong with another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf._choice import flip
from probinf._measure import Distribution


class Judged(NamedTuple):
    """A value, and whether the verifier accepted it."""

    value: Any
    accepted: Bool[Array, "..."]


class NoisyVerdict(Distribution):
    """A verdict on a value: P(accept | right) = t, P(accept | wrong) = f.

    Law: x -> (x, accepted), where accepted is a coin of chance t or f; each verdict is a new coin, so that asking again
    reduces noise. With t = 1 and f = 0, the default, it is the verifier that knows.

    `correct` maps a value to a boolean. f is the false positive rate P(accept | wrong), not the false discovery rate
    P(wrong | accepted).

    Raises: ValueError for a rate outside [0, 1].

    Source: the model of arXiv 2411.17501, section 2.
    """

    correct: Callable[[Any], Bool[Array, ""]]
    true_positive_rate: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)
    false_positive_rate: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.0)
    name: str = eqx.field(static=True, default="verdict")

    def __check_init__(self):
        """Rejects what is no rate."""
        for name in ("true_positive_rate", "false_positive_rate"):
            rate = getattr(self, name)
            if not isinstance(rate, Tracer) and not 0 <= float(rate) <= 1:
                raise ValueError(f"{name} is a probability, in [0, 1], got {float(rate)}")

    def sample(self, key: PRNGKeyArray, x: Any) -> Judged:
        """The value with a verdict."""
        return Judged(x, flip(key, self._log_rate(x)))

    def log_density(self, x: Judged) -> Float[Array, ""]:
        """Log-probability of the verdict, in nats."""
        log_rate = self._log_rate(x.value)
        return jnp.where(x.accepted, log_rate, jnp.log(-jnp.expm1(log_rate)))

    def _log_rate(self, x: Any) -> Float[Array, ""]:
        return jnp.log(jnp.where(self.correct(x), self.true_positive_rate, self.false_positive_rate))


def was_accepted(x: Judged) -> Bool[Array, ""]:
    """The verdict on one value: the verifier of a value that carries its verdict."""
    return x.accepted


def log_accepted(x: Judged) -> Float[Array, ""]:
    """Zero for a value that was accepted, -inf for one that was not."""
    return jnp.where(x.accepted, 0.0, -jnp.inf)
