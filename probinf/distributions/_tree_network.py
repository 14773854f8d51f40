"""Bayes nets whose graph is a tree, of binary variables: every conditional of two variables in closed form."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import count, whole
from probinf._choice import choice
from probinf._measure import Distribution
from probinf.distributions._table import as_log_table


class TreeNetwork(Distribution):
    """Binary variables, each given its parent; a chain is the tree in which the parent is the variable before.

    Variable i has the parent `parents[i] < i`; variable 0 is the root, whose entry is not read. `log_probs[i, a]` are
    the unnormalized log-probabilities of variable i where its parent is a; the root reads row 0.

    Law: P(x) = P(x_0) prod_i P(x_i | x_parent(i)).

    Raises: ValueError for shapes that do not fit, and for a parent that does not come before its child.
    """

    parents: Int[Array, " variables"] = eqx.field(converter=partial(whole, "parents"))
    log_probs: Float[Array, "variables 2 2"] = eqx.field(converter=as_log_table)
    name: str = eqx.field(static=True, default="tree network")

    def __check_init__(self):
        """Rejects what is no tree."""
        n = self.parents.size
        if self.parents.ndim != 1:
            raise ValueError(f"parents must be one row, got shape {self.parents.shape}")
        if self.log_probs.shape != (n, 2, 2):
            raise ValueError(f"{n} binary variables need log_probs of shape ({n}, 2, 2), got {self.log_probs.shape}")
        _check_parents(self.parents)

    @property
    def size(self) -> int:
        """The number of variables."""
        return self.parents.shape[0]

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, " variables"]:
        """All variables, from the root on."""
        del x

        def step(values: Array, row: tuple[Array, Array]) -> tuple[Array, None]:
            i, key = row
            value = choice(key, self.log_probs[i, self._above(values, i)])
            return values.at[i].set(value), None

        rows = (jnp.arange(self.size), jax.random.split(key, self.size))
        return jax.lax.scan(step, jnp.zeros(self.size, jnp.int32), rows)[0]

    def log_density(self, x: Int[Array, " variables"]) -> Float[Array, ""]:
        """Log-probability of all variables, in nats."""
        each = jnp.arange(self.size)
        return jnp.sum(self._rows()[each, self._above(x, each), x])

    def log_marginals(self) -> Float[Array, "variables 2"]:
        """Log P(x_i = a)."""
        rows = self._rows()

        def step(i: Array, table: Array) -> Array:
            return table.at[i].set(_chain(table[self.parents[i]][None], rows[i])[0])

        first = jnp.zeros((self.size, 2), rows.dtype).at[0].set(rows[0, 0])
        return jax.lax.fori_loop(1, self.size, step, first)

    def log_conditionals(self) -> Float[Array, "variables 2 variables 2"]:
        """Log P(x_j = b | x_i = a) at [i, a, j, b], for all pairs at once; 0 or -inf where i is j.

        Where x_i = a has probability zero, nothing follows from it: the entries for every other x_j are its marginals.
        """
        rows, marginals = self._rows(), self.log_marginals()
        n, same = self.size, jnp.where(jnp.eye(2, dtype=bool), 0.0, -jnp.inf).astype(rows.dtype)

        def step(j: Array, table: Array) -> Array:
            parent = self.parents[j]
            # Bayes: the parent given the child.
            both, own = (marginals[parent][:, None] + rows[j]).T, marginals[j][:, None]
            up = jnp.where(own > -jnp.inf, both - jnp.where(own > -jnp.inf, own, 0.0), marginals[parent])
            before = (jnp.arange(n) < j)[:, None, None]
            down = jnp.where(before, _chain(table[:, parent], rows[j]), table[:, j])
            table = table.at[:, j].set(down)
            up_all = jnp.where(before, _chain(up, table[parent]), table[j])
            return table.at[j].set(up_all).at[j, j].set(same)

        first = jnp.full((n, n, 2, 2), -jnp.inf, rows.dtype).at[0, 0].set(same)
        table = jnp.transpose(jax.lax.fori_loop(1, n, step, first), (0, 2, 1, 3))
        known = (marginals > -jnp.inf)[:, :, None, None] | jnp.eye(n, dtype=bool)[:, None, :, None]
        return jnp.where(known, table, marginals)

    def _rows(self) -> Float[Array, "variables 2 2"]:
        return jax.nn.log_softmax(self.log_probs, axis=-1)

    def _above(self, values: Int[Array, " variables"], i: Int[Array, "*s"]) -> Int[Array, "*s"]:
        """The parent's value; row 0 for the root."""
        return jnp.where(i == 0, 0, values[jnp.where(i == 0, 0, self.parents[i])])


def _check_parents(parents: Int[Array, " variables"]) -> None:
    if not isinstance(parents, Tracer):
        own = np.asarray(parents)[1:]
        if np.any(own < 0) or np.any(own >= np.arange(1, len(own) + 1)):
            raise ValueError(f"each variable's parent must come before it: number them from the root, got {own}")


def _checked_hops(hop: Int[Array, "n n"]) -> Int[Array, "n n"]:
    hop = whole("hop", hop, "variables variables", low=0, high=len(hop) - 1 if np.ndim(hop) else 0)
    if not hop.size or hop.shape[0] != hop.shape[1]:
        raise ValueError(f"hop must be a square table, as `next_hops` gives it, got shape {hop.shape}")
    return hop


def next_hops(parents: Int[Array, " n"]) -> Int[Array, "n n"]:
    """At [i, j] the neighbor of i on the way to j; i itself where i is j.

    Raises: ValueError for what is no row of parents that come before their children, unless traced.
    """
    parents = whole("parents", parents, "variables")
    n = parents.shape[0]
    if n == 0:
        raise ValueError("a tree needs at least one variable, got no parents")
    _check_parents(parents)
    each = jnp.arange(n, dtype=jnp.int32)

    def step(j: Array, hop: Array) -> Array:
        parent = parents[j].astype(jnp.int32)
        towards = jnp.where(each == parent, j, hop[:, parent]).astype(jnp.int32)
        hop = hop.at[:, j].set(jnp.where(each < j, towards, hop[:, j]))
        return hop.at[j].set(jnp.where(each < j, parent, hop[j]))

    return jax.lax.fori_loop(1, n, step, jnp.broadcast_to(each[:, None], (n, n)))


def path_between(hop: Int[Array, "n n"], start: Int[Array, ""], end: Int[Array, ""]) -> Int[Array, " m"]:
    """The variables strictly between two of a tree, in order, and -1 after them; m is n - 2.

    Raises: ValueError for a table that is not square, and for variables that are not in it, unless traced.
    """
    hop = _checked_hops(hop)
    start, end = (whole(name, x, "", low=0, high=hop.shape[0] - 1) for name, x in (("start", start), ("end", end)))

    def step(at: Array, _: None) -> tuple[Array, Array]:
        return hop[at, end], jnp.where(at == end, -1, at)

    return jax.lax.scan(step, hop[start, end], None, length=hop.shape[0] - 2)[1]


def tree_distances(hop: Int[Array, "n n"]) -> Int[Array, "n n"]:
    """The number of edges between each two variables.

    Raises: ValueError for a table that is not square, unless traced.
    """
    hop = _checked_hops(hop)
    n = hop.shape[0]
    starts, ends = (jnp.broadcast_to(x, (n, n)) for x in (jnp.arange(n)[:, None], jnp.arange(n)[None, :]))

    def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        at, count = carry
        return (hop[at, ends], count + (at != ends)), None

    start = (starts.astype(hop.dtype), jnp.zeros((n, n), jnp.int32))
    return jax.lax.scan(step, start, None, length=n - 1)[0][1]


def random_tree_network(key: PRNGKeyArray, size: int, *, chain: bool = False, least: float = 0.0) -> TreeNetwork:
    """A random recursive tree (or chain) with a uniform root and rows of Beta(0.2, 0.2), kept in [least, 1 - least].

    With `least` below 1e-6, zero included, they are kept in [1e-6, 1 - 1e-6]: float32 rounds many such rows to 0 or 1.

    Raises: ValueError for fewer than two variables, or a `least` outside [0, 0.5).

    Source: Prystawski, Li and Goodman, arXiv 2304.03843, section 4.1 (there a random graph of 100 edges).
    """
    if count("size", size) < 2 or not 0 <= least < 0.5:
        raise ValueError(f"a network needs two variables or more and a least in [0, 0.5), got {size} and {least}")
    tree_key, root_key, row_key = jax.random.split(key, 3)
    each = jnp.arange(size)
    u = jax.random.uniform(tree_key, (size,))
    drawn = jnp.minimum(jnp.floor(u * each).astype(jnp.int32), jnp.maximum(each - 1, 0))
    parents = jnp.maximum(each - 1, 0) if chain else drawn
    one = jax.random.beta(row_key, 0.2, 0.2, (size, 2)).at[0].set(jax.random.uniform(root_key))
    one = jnp.clip(one, max(least, 1e-6), 1 - max(least, 1e-6))
    return TreeNetwork(parents, jnp.log(jnp.stack([1 - one, one], axis=-1)))


def _chain(first: Float[Array, "*s a c"], second: Float[Array, "*t c b"]) -> Array:
    """The product of two tables of conditional log-probabilities."""
    lead = jnp.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    first, second = (jnp.broadcast_to(x, lead + x.shape[-2:]) for x in (first, second))
    return jax.nn.logsumexp(first[..., :, :, None] + second[..., None, :, :], axis=-2)
