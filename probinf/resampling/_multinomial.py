"""Multinomial resampling: independent draws."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice
from probinf.resampling._scheme import Scheme
from probinf.resampling._weights import unless_dead, usable


class Multinomial(Scheme):
    """Draws every ancestor independently by weight.

    Law: counts ~ Multinomial(N, w). The noisiest scheme; the reference for the others.

    Source: Gordon, Salmond and Smith, IEE Proceedings F 140 (1993).
    """

    exchangeable: ClassVar[bool] = True

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """N independent draws."""
        ancestors = choice(key, usable(log_weights), (log_weights.shape[0],))
        return unless_dead(ancestors, log_weights)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """Slots are independent, so the others are N - 1 draws as before."""
        others = choice(key, usable(log_weights), (log_weights.shape[0] - 1,))
        return unless_dead(jnp.concatenate([jnp.zeros(1, others.dtype), others]), log_weights)
