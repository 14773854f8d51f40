"""A uniformly random order of lanes that leaves lane 0 in front."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._choice import uniform_cells


@jax.jit(static_argnames="n")
def shuffled_lanes(key: PRNGKeyArray, n: int) -> Int[Array, " n"]:
    """Lane 0, then lanes 1..n-1 in random order.

    Law: uniform over the (n-1)! orders.

    Source: Fisher and Yates, Statistical Tables (1938), with the integer at place i read off one uniform, so
    that it can be enumerated.
    """
    places = jnp.arange(2, n)
    # The integer below i changes at k / i; the table of changes is read by the exact checks only, and
    # compiled away.
    breaks = jnp.arange(1, n - 1)[None, :] / places[:, None]
    u = uniform_cells(key, breaks)
    partners = 1 + jnp.minimum((u * places).astype(jnp.int32), places - 1)

    def swap(order: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        place, partner = pair
        return order.at[place].set(order[partner]).at[partner].set(order[place]), None

    return jax.lax.scan(swap, jnp.arange(n, dtype=jnp.int32), (places, partners), reverse=True)[0]
