"""Proposals: where Metropolis-Hastings looks next, and what that costs in the ratio."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from probinf._arguments import floating
from probinf._choice import choice
from probinf._sampler import redefines
from probinf.distributions._table import as_log_table, log_entry


class Proposal(eqx.Module):
    """A kernel q(x -> y) that need not leave anything invariant.

    Law: `sample(key, x)` has density q(x -> .), and `log_ratio(x, y) = log q(y -> x) - log q(x -> y)`; -inf
    where the way back is impossible.
    """

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """A proposed value."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Any:
        """Proposals for n lanes; a longer cloud keeps those of its first lanes. Override to draw them at once."""
        return jax.vmap(self.sample)(jax.random.split(key, n), values)

    @abc.abstractmethod
    def log_ratio(self, x: Any, y: Any) -> Float[Array, ""]:
        """Log of the Hastings ratio of proposing y from x."""


def as_proposal(proposal: Any) -> Proposal:
    """A `Proposal` as it is.

    Raises: TypeError for anything else.
    """
    if isinstance(proposal, Proposal):
        return proposal
    raise TypeError(f"expected a Proposal such as random_walk(scale), got {type(proposal).__name__}")


class RandomWalk(Proposal):
    """Adds Gaussian noise to every entry of a pytree of floating-point arrays.

    Law: q(x -> y) = N(y; x, scale^2), symmetric: the ratio is zero. `scale` is one positive number, in the
    unit of the value, or a pytree of the value's structure whose leaves broadcast to its leaves.

    Raises: ValueError where a scale is not positive and finite; TypeError for complex scales, and (when sampling) for
    a value that is not floating-point.
    """

    scale: PyTree

    def __check_init__(self):
        """Rejects a walk that stands still or is undefined."""
        for leaf in jax.tree.leaves(self.scale):
            floating("the scale of a random walk", leaf)
            if not isinstance(leaf, Tracer) and not np.all((np.asarray(leaf) > 0) & np.isfinite(np.asarray(leaf))):
                raise ValueError(f"a random walk needs positive scales, got {leaf}: take finite ones")

    def sample(self, key: PRNGKeyArray, x: PyTree) -> PyTree:
        """The value with noise added."""
        return self._jump(key, x, ())

    def sample_lanes(self, key: PRNGKeyArray, values: PyTree, n: int) -> PyTree:
        """The same for n lanes, from one draw a leaf."""
        if redefines(self, RandomWalk, "sample"):
            return super().sample_lanes(key, values, n)
        return self._jump(key, values, (n,))

    def _jump(self, key: PRNGKeyArray, x: PyTree, lanes: tuple[int, ...]) -> PyTree:
        leaves, structure = jax.tree.flatten(x)
        scales = jax.tree.leaves(self.scale)
        # One number serves all leaves; otherwise the structures must agree.
        scales = scales * len(leaves) if len(scales) == 1 else jax.tree.leaves(jax.tree.map(_second, x, self.scale))
        keys = jax.random.split(key, len(leaves))
        return structure.unflatten(_jump(k, leaf, s, lanes) for k, leaf, s in zip(keys, leaves, scales, strict=True))

    def log_ratio(self, x: PyTree, y: PyTree) -> Float[Array, ""]:
        """Zero."""
        del x, y
        return jnp.zeros(())


class FiniteProposal(Proposal):
    """A proposal over indices, given by a table.

    Law: q(x -> y) = exp(log_matrix[x, y]) / sum(exp(log_matrix[x])).

    Raises: ValueError where the table is not square or a row leaves nothing possible.
    """

    log_matrix: Float[Array, "S S"] = eqx.field(converter=as_log_table)

    def __check_init__(self):
        """Rejects a table that is not square."""
        if self.log_matrix.ndim != 2 or self.log_matrix.shape[0] != self.log_matrix.shape[1]:
            raise ValueError(f"FiniteProposal needs a square matrix, got shape {self.log_matrix.shape}")

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """An index drawn from row x."""
        return choice(key, self.log_matrix[x])

    def sample_lanes(self, key: PRNGKeyArray, values: Int[Array, " n"], n: int) -> Int[Array, " n"]:
        """An index for each lane, from one draw."""
        if redefines(self, FiniteProposal, "sample"):
            return super().sample_lanes(key, values, n)
        return choice(key, self.log_matrix[values])

    def log_ratio(self, x: Int[Array, ""], y: Int[Array, ""]) -> Float[Array, ""]:
        """Log q(y -> x) - log q(x -> y)."""
        back, forth = (jax.nn.log_softmax(self.log_matrix[i]) for i in (y, x))
        return log_entry(back, x) - log_entry(forth, y)


def random_walk(scale: PyTree) -> RandomWalk:
    """A symmetric Gaussian proposal whose scale is data, so that changing it does not compile anew."""
    return RandomWalk(jax.tree.map(jnp.asarray, scale))


def _second(x: Array, scale: Any) -> Any:
    del x
    return scale


def _jump(key: PRNGKeyArray, x: Array, scale: Array, lanes: tuple[int, ...]) -> Array:
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"a random walk moves floating-point values, got {x.dtype}: use FiniteProposal for indices")
    noise = jax.random.normal(key, x.shape, x.dtype)
    # One scale for all lanes; within a lane it broadcasts to the value.
    scale = jnp.broadcast_to(jnp.asarray(scale, x.dtype), x.shape[len(lanes) :])
    return x + jnp.broadcast_to(scale, x.shape) * noise
