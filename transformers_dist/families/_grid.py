"""Weighted points of a posterior on the line, by quadrature."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

# Below the maximum by so many nats, what is left is no longer of use in single precision.
_DEPTH = 18.0
# Part of the nodes that follow the mass when nodes are placed anew; the others stay spread as they were.
_FOLLOW = 0.8


def even_points(
    key: PRNGKeyArray,
    log_density: Callable[[Float[Array, " 1"]], Float[Array, ""]],
    low: float | Float[Array, ""],
    high: float | Float[Array, ""],
    *,
    coarse: int = 128,
    fine: int = 64,
) -> tuple[Float[Array, "fine 1"], Float[Array, " fine"]]:
    """Points and normalized log-weights of a density of one bump: a coarse grid finds it, an even fine one covers it.

    Law: consistent: an integral's error falls faster than any power of `fine` where the density is smooth; the random
    shift of the grid makes what is left zero on average.
    """
    edges = jnp.linspace(low, high, coarse)
    logs = _evaluate(log_density, edges)
    held = logs > jnp.max(logs) - _DEPTH
    left = edges[jnp.maximum(jnp.argmax(held) - 1, 0)]
    right = edges[jnp.minimum(coarse - jnp.argmax(held[::-1]), coarse - 1)]
    nodes = left + (right - left) * (jnp.arange(fine) + jax.random.uniform(key)) / fine
    return nodes[:, None], jax.nn.log_softmax(_evaluate(log_density, nodes))


def refined_points(
    key: PRNGKeyArray,
    log_density: Callable[[Float[Array, " 1"]], Float[Array, ""]],
    start: Float[Array, " M"],
    *,
    nodes: int = 128,
    rounds: int = 3,
) -> tuple[Float[Array, "nodes 1"], Float[Array, " nodes"], Float[Array, ""]]:
    """Points and normalized log-weights of any density, and the log of its mass.

    From the increasing places of `start`, each round moves nodes to where the last one saw mass.

    Law: consistent: the trapezoidal rule on nodes that crowd where the square root of the density is large, shifted at
    random. Every bump that some place of `start` touches is found.
    """
    places = start
    for turn in range(rounds):
        shift = jax.random.uniform(key) if turn == rounds - 1 else 0.5
        places = _crowded(places, _evaluate(log_density, places), nodes, shift)
    padded = jnp.concatenate([places[:1], places, places[-1:]])
    logs = _evaluate(log_density, places) + jnp.log(0.5 * (padded[2:] - padded[:-2]))
    return places[:, None], jax.nn.log_softmax(logs), jax.nn.logsumexp(logs)


def _crowded(places: Array, logs: Array, nodes: int, shift: float | Array) -> Array:
    tallest = jnp.maximum(logs[1:], logs[:-1])
    masses = (places[1:] - places[:-1]) * jnp.exp(0.5 * (tallest - jnp.max(tallest)))
    masses = _FOLLOW * masses / jnp.sum(masses) + (1 - _FOLLOW) / masses.size
    levels = jnp.concatenate([jnp.zeros(1), jnp.cumsum(masses)])
    return jnp.interp((jnp.arange(nodes) + shift) / nodes, levels / levels[-1], places)


def _evaluate(log_density: Callable[[Array], Array], places: Array) -> Array:
    return jax.vmap(lambda place: log_density(place[None]))(places)
