"""Small spaces for involutive kernels and reversible jump, on which every transition can be listed."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Density, choice
from probinf.kernels import Auxiliary, Involutive, ModelPoint, ReversibleJump
from probinf.validity import KernelCase

# Five states in a ring, and how likely a step up is from each.
RING = np.log([0.1, 0.35, 0.2, 0.05, 0.3])
_STEP_UP = np.log([[0.5, 0.5], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
# Model 0 has one digit in base 3, model 1 has two.
DIMS = (1, 2)
_JUMPS = np.log([[0.3, 0.7], [0.6, 0.4]])
_DIGITS = np.log([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])


class Direction(Auxiliary):
    """Down (0) or up (1), by a coin of the state's own."""

    log_up: Float[Array, "S 2"]

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """A toss."""
        return choice(key, self.log_up[x])

    def log_density(self, x: Int[Array, ""], v: Int[Array, ""]) -> Float[Array, ""]:
        """Log-probability of the toss."""
        return jax.nn.log_softmax(self.log_up[x])[v]


def step_and_turn(x: Int[Array, ""], v: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """One step round the ring, then face the other way: its own inverse."""
    return (x + 2 * v - 1) % 5, 1 - v


def ring_kernel() -> Involutive:
    """Steps round the ring."""
    return Involutive(Density("ring", _log_ring), Direction(jnp.asarray(_STEP_UP)), step_and_turn)


def ring_case(name: str, kernel: Involutive) -> KernelCase:
    """A case for a kernel on the ring."""
    return KernelCase(name, kernel, np.arange(5, dtype=np.int32), RING)


class Digits(eqx.Module):
    """Digits in base 3, each with a law of its own, as what completes a model."""

    log_probs: Float[Array, "D 3"]

    def sample(self, key: PRNGKeyArray) -> Int[Array, " D"]:
        """One digit a coordinate."""
        return choice(key, self.log_probs)

    def log_prob(self, u: Int[Array, " D"]) -> Float[Array, " D"]:
        """Log-probability of each digit."""
        return jnp.take_along_axis(jax.nn.log_softmax(self.log_probs), u[:, None], axis=1)[:, 0]


def match_digits(model: Int[Array, ""], proposed: Int[Array, ""], z: Int[Array, " 2"]) -> Int[Array, " 2"]:
    """Between models the second digit is counted from the first; within one the digits change places."""
    sign = proposed - model
    return jnp.where(sign == 0, z[::-1], jnp.stack([z[0], (z[1] + sign * z[0]) % 3]))


def digits_kernel() -> ReversibleJump:
    """Jumps between one digit and two."""
    return ReversibleJump(Density("digits", _log_digits), DIMS, _JUMPS, Digits(jnp.asarray(_DIGITS)), match_digits)


def digit_points() -> ModelPoint:
    """Every point of both models."""
    return ModelPoint(jnp.asarray(_POINTS[:, 0]), jnp.asarray(_POINTS[:, 1:]))


def digits_case(name: str, kernel: ReversibleJump) -> KernelCase:
    """A case for a kernel on the digits."""
    return KernelCase(name, kernel, digit_points(), _DIGIT_LOGS[tuple(_POINTS.T)])


# Model, first digit, second digit.
_POINTS = np.array([(0, a, 0) for a in range(3)] + [(1, a, b) for a in range(3) for b in range(3)], np.int32)
# Nothing symmetric; model 0 reads the first column of its table only.
_DIGIT_LOGS = np.sin(np.arange(18.0) ** 2).reshape(2, 3, 3)


# Copies, because JAX keeps an array that a trace reads in the precision of the first trace, whatever the next one asks.
def _log_ring(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.asarray(RING.copy())[x]


def _log_digits(x: ModelPoint) -> Float[Array, ""]:
    return jnp.asarray(_DIGIT_LOGS.copy())[x.model, x.parameters[0], x.parameters[1]]
