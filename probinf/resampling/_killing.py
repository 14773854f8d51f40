"""Killing: a lane survives in place with its relative weight, else it is replaced."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice, flip
from probinf.resampling._grid import swap_to_front
from probinf.resampling._scheme import Scheme
from probinf.resampling._weights import relative_weights, unless_dead, usable


class Killing(Scheme):
    """Keeps lane i with probability w_i / max(w), and replaces it by a draw from w otherwise.

    Law: E[count_i] = w_i / max(w) + (N - sum(w) / max(w)) w_i / sum(w) = N w_i / sum(w). Nearly equal weights
    move almost no lane.

    Source: Del Moral, Feynman-Kac Formulae (2004); Karppinen, Singh and Vihola, Conditional particle filters
    with bridge backward sampling (2022).
    """

    exchangeable: ClassVar[bool] = True

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """Survivors in place, the others drawn."""
        keep_key, draw_key = jax.random.split(key)
        kept = flip(keep_key, jnp.log(relative_weights(log_weights)))
        lanes = jnp.arange(log_weights.shape[0])
        draws = choice(draw_key, usable(log_weights), (log_weights.shape[0],))
        return unless_dead(jnp.where(kept, lanes, draws), log_weights)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The retained offspring sits in a random slot K; it changes places with slot 0.

        Derivation: with r_i = w_i / max(w), slot 0 has parent 0 with probability r_0 + (1 - r_0) W_0 and slot
        k with probability (1 - r_k) W_0, where W_0 = r_0 / sum(r). Divided by W_0: K has weight sum(r) + 1 -
        r_0 at 0 and 1 - r_k elsewhere, N in all. Given K, the other slots are independent as before.
        """
        slot_key, rest_key = jax.random.split(key)
        weights = relative_weights(log_weights)
        in_place = jnp.where(jnp.arange(weights.shape[0]) == 0, jnp.sum(weights), 0.0)
        slot = choice(slot_key, jnp.log(in_place + 1.0 - weights))
        return unless_dead(swap_to_front(self(rest_key, log_weights), slot), log_weights)
