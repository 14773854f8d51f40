"""Trees of variables, the strings about them that a model is trained on, and the questions it is asked."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf.distributions import TreeNetwork, next_hops, path_between, random_tree_network, tree_distances
from probinf.lm import Question, Trace

SIZE = 10
# Of the pairs that are no neighbors, those with the most mutual information; half of them are held out.
_CANDIDATES, HELD_OUT = 12, 6
TRAININGS = ("local", "wrong local", "fully observed")
_DROPOUT = 0.2


class World(NamedTuple):
    """A network, its held-out pairs, and how near variables are where strings of one training are cut out."""

    network: TreeNetwork
    held_out: Int[Array, "pairs 2"]
    distances: Int[Array, "variables variables"]
    dropout: Float[Array, ""]


class Questions(NamedTuple):
    """All questions about the held-out pairs: the truth, the target's marginal, and scaffolds (path, others)."""

    question: Question
    truth: Float[Array, " Q"]
    marginal: Float[Array, " Q"]
    path: Int[Array, "Q steps"]
    others: Int[Array, "Q steps"]


class Line(NamedTuple):
    """A string up to some variable and that variable; `weight` is zero for a string of one variable."""

    trace: Trace
    target: Int[Array, ""]
    variable: Int[Array, ""]
    value: Int[Array, ""]
    weight: Float[Array, ""]


def draw_worlds(key: PRNGKeyArray) -> World:
    """One network as it is seen in each training (leading axis)."""
    net_key, wrong_key, pair_key = jax.random.split(key, 3)
    network = random_tree_network(net_key, SIZE)
    near = tree_distances(next_hops(network.parents))
    wrong = tree_distances(next_hops(random_tree_network(wrong_key, SIZE).parents))
    distances = jnp.stack([near, wrong, jnp.zeros_like(near)])
    held_out = _held_out(pair_key, network, near)
    repeat = lambda x: jnp.broadcast_to(x[None], (len(TRAININGS), *x.shape))  # noqa: E731
    dropout = jnp.array([_DROPOUT, _DROPOUT, 0.0])
    return World(jax.tree.map(repeat, network), repeat(held_out), distances, dropout)


def mutual_information(network: TreeNetwork) -> Float[Array, "variables variables"]:
    """Of each pair, in nats."""
    conditionals, marginals = network.log_conditionals(), network.log_marginals()
    mass = jnp.exp(conditionals + marginals[:, :, None, None])
    gain = jnp.where(mass > 0, conditionals - marginals[None, None], 0.0)
    return jnp.sum(mass * gain, axis=(1, 3))


def draw_line(key: PRNGKeyArray, world: World) -> Line:
    """A string of a training, cut at a random place: neighbors of a random variable in random order, the target last.

    The radius is geometric, each variable is dropped with a small chance, and of a held-out pair one is dropped.

    Source: the generator of arXiv 2304.03843.
    """
    keys = jax.random.split(key, 7)
    x = world.network.sample(keys[0], ())
    center = jax.random.randint(keys[1], (), 0, SIZE)
    radius = 1 + jnp.floor(jnp.log(jax.random.uniform(keys[2], minval=1e-7)) / jnp.log(0.5))
    kept = (world.distances[center] <= radius) & jax.random.bernoulli(keys[3], 1 - world.dropout, (SIZE,))
    for pair, first in zip(world.held_out, jax.random.bernoulli(keys[4], 0.5, (HELD_OUT,)), strict=True):
        loser = jnp.where(first, pair[0], pair[1])
        kept = kept & ~(jnp.all(kept[pair]) & (jnp.arange(SIZE) == loser))
    order = jnp.argsort(jnp.where(kept, jax.random.uniform(keys[5], (SIZE,)), 2.0)).astype(jnp.int32)
    count = jnp.sum(kept)
    cut = jax.random.randint(keys[6], (), 1, jnp.maximum(count, 2))
    seen = jnp.arange(SIZE) < cut
    trace = Trace(jnp.where(seen, order, -1), jnp.where(seen, x[order], 0), cut)
    target = order[jnp.maximum(count, 1) - 1]
    return Line(trace, target, order[cut], x[order[cut]], (count >= 2).astype(float))


def ask(key: PRNGKeyArray, world: World) -> Questions:
    """Both directions and both values of every held-out pair."""
    hop = next_hops(world.network.parents)
    conditionals, marginals = world.network.log_conditionals(), world.network.log_marginals()
    pairs = jnp.concatenate([world.held_out, world.held_out[:, ::-1]])
    given, target = jnp.repeat(pairs[:, 0], 2), jnp.repeat(pairs[:, 1], 2)
    value = jnp.tile(jnp.arange(2, dtype=jnp.int32), len(pairs))
    path = jax.vmap(lambda i, j: path_between(hop, i, j))(given, target)

    def others(key: PRNGKeyArray, path: Array, given: Array, target: Array) -> Array:
        # Not on the path, each at most once, as many as the path has if there are so many.
        used = jnp.any(path[:, None] == jnp.arange(SIZE)[None], axis=0)
        spare = ~used & (jnp.arange(SIZE) != given) & (jnp.arange(SIZE) != target)
        order = jnp.argsort(jnp.where(spare, jax.random.uniform(key, (SIZE,)), 2.0))[: SIZE - 2]
        wanted = jnp.arange(SIZE - 2) < jnp.minimum(jnp.sum(path >= 0), jnp.sum(spare))
        return jnp.where(wanted, order, -1).astype(jnp.int32)

    irrelevant = jax.vmap(others)(jax.random.split(key, len(given)), path, given, target)
    truth, marginal = jnp.exp(conditionals[given, value, target, 1]), jnp.exp(marginals[target, 1])
    return Questions(Question(target, given, value), truth, marginal, path, irrelevant)


def adjacent(world: World) -> Bool[Array, "variables variables"]:
    """The edges of the network itself."""
    return tree_distances(next_hops(world.network.parents)) == 1


def _held_out(key: PRNGKeyArray, network: TreeNetwork, near: Int[Array, "variables variables"]) -> Array:
    above = jnp.arange(SIZE)[:, None] < jnp.arange(SIZE)[None, :]
    ranked = jnp.argsort(-jnp.where(above & (near > 1), mutual_information(network), -1.0), axis=None)[:_CANDIDATES]
    chosen = jax.random.permutation(key, ranked)[:HELD_OUT].astype(jnp.int32)
    return jnp.stack([chosen // SIZE, chosen % SIZE], axis=1)
