"""Residual resampling: whole copies first, the rest at random."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice, flip, prefix_sum
from probinf.resampling._grid import expand, swap_to_front
from probinf.resampling._scheme import Scheme
from probinf.resampling._weights import relative_weights, unless_dead


class Residual(Scheme):
    """Gives every lane floor(N w_i) copies, and draws the remaining slots by what is left of the weights.

    Law: E[count_i] = N w_i, count_i >= floor(N w_i); equal weights give every lane back once.

    Source: Liu and Chen, Journal of the American Statistical Association 93 (1998).
    """

    exchangeable: ClassVar[bool] = True

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The whole copies, sorted, then the draws."""
        expected = _expected_counts(log_weights)
        copies, rest = _split(expected)
        return unless_dead(_fill(key, copies, rest), log_weights)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """Lane 0 in a whole copy or in a drawn slot.

        Derivation: of the N w_0 expected offspring of lane 0, floor(N w_0) are whole copies. So the retained
        slot is a drawn one with probability rest_0 / (N w_0); then that draw is fixed, and in both cases the
        other draws are independent as before.
        """
        slot_key, draw_key = jax.random.split(key)
        expected = _expected_counts(log_weights)
        copies, rest = _split(expected)
        drawn = flip(slot_key, jnp.log(rest[0] / jnp.where(expected[0] > 0, expected[0], 1.0)))
        slot = jnp.where(drawn, jnp.minimum(jnp.sum(copies), copies.shape[0] - 1), 0)
        return unless_dead(swap_to_front(_fill(draw_key, copies, rest), slot), log_weights)


def _expected_counts(log_weights: Float[Array, " N"]) -> Float[Array, " N"]:
    weights = relative_weights(log_weights)
    total = jnp.sum(weights)
    return weights * weights.shape[0] / jnp.where(total > 0, total, 1.0)


def _split(expected: Float[Array, " N"]) -> tuple[Int[Array, " N"], Float[Array, " N"]]:
    """Whole copies and what is left; a count that only rounding keeps from being whole is whole."""
    slack = 8 * jnp.finfo(expected.dtype).eps * jnp.maximum(expected, 1.0)
    copies = jnp.floor(expected + slack)
    return copies.astype(jnp.int32), jnp.maximum(expected - copies, 0.0)


def _fill(key: PRNGKeyArray, copies: Int[Array, " N"], rest: Float[Array, " N"]) -> Int[Array, " N"]:
    n = copies.shape[0]
    after = jnp.minimum(prefix_sum(copies), n)
    draws = choice(key, jnp.log(rest), (n,))
    return jnp.where(jnp.arange(n) < after[-1], expand(after), draws)
