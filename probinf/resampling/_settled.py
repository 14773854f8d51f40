"""Survivors stay where they are: the least moving of lanes that a resampling needs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import prefix_sum
from probinf.resampling._grid import expand
from probinf.resampling._scheme import Scheme
from probinf.resampling._shuffle import shuffled_lanes


class Settled(Scheme):
    """Any scheme with its offspring reordered: ancestors[i] = i wherever lane i survives.

    Law: the offspring counts are the scheme's. Only slots of dead lanes are written, which is what counts
    where moving a lane is dear (a cache of keys and values). O(N), no sorting.
    """

    scheme: Scheme

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The scheme's ancestors, settled."""
        return _settle(self.scheme(key, log_weights))

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The conditional twin's ancestors, settled; lane 0 survives, so it stays.

        Settling breaks the cyclic order of the lanes, on which systematic and stratified resampling build: by
        itself it would bias conditional SMC from N = 4 on. Such a scheme therefore sees the other lanes in
        random order.
        """
        if self.scheme.exchangeable:
            return _settle(self.scheme.conditional(key, log_weights))
        order_key, draw_key = jax.random.split(key)
        order = shuffled_lanes(order_key, log_weights.shape[0])
        return _settle(order[self.scheme.conditional(draw_key, log_weights[order])])


def _settle(ancestors: Int[Array, " N"]) -> Int[Array, " N"]:
    n = ancestors.shape[0]
    counts = jnp.zeros(n, jnp.int32).at[ancestors].add(1)
    # The k-th dead slot takes the k-th spare offspring.
    spare = expand(prefix_sum(jnp.maximum(counts - 1, 0)))
    rank = prefix_sum((counts == 0).astype(jnp.int32)) - 1
    return jnp.where(counts > 0, jnp.arange(n, dtype=jnp.int32), spare[rank])
