"""Reversible jump between models of different dimension.

Law: reversible for a target on pairs (model, parameters). It is Green's theorem with an involution that exchanges the
models and hands the coordinates which one of them lacks to the auxiliary variable.

Source: Green, Biometrika 82 (1995).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._measure import Factor, Measure, as_factor, as_measure
from probinf._sampler import Kernel
from probinf.distributions._table import as_log_table, log_entry
from probinf.kernels._involutive import Auxiliary, Involutive
from probinf.kernels._metropolis import MetropolisInfo


class ModelPoint(NamedTuple):
    """A model's number and its parameters, padded with zeros to the largest dimension D."""

    model: Int[Array, ""]
    parameters: Array


class Jump(NamedTuple):
    """The model to go to, and the coordinates that the present one lacks; zero where it has its own."""

    model: Int[Array, ""]
    filled: Array


def keep_coordinates(model: Int[Array, ""], proposed: Int[Array, ""], z: Array) -> Array:
    """The simplest matching of dimensions: coordinates stay, those that are missing come from `fill`."""
    del model, proposed
    return z


class ReversibleJump(Kernel):
    """Draws a model to go to, completes the parameters to D coordinates, maps them, and accepts by Green's ratio.

    Law: reversible for `target`, a density of `ModelPoint`s on the first `dims[model]` coordinates of each model.

    A model k of dimension d has its missing coordinates d to D - 1 drawn from `fill`, an object with `sample(key)` and
    elementwise `log_prob(u)` of shape [D], such as numpyro's `Normal(zeros, ones)`. Then `match(k, l, z)` maps all D
    coordinates; the first `dims[l]` are the new parameters, the others what the way back would have drawn. The way
    back is the inverse: `match(l, k, match(k, l, z)) == z`, which `probinf.validity.check_green` tests.
    log_moves: unnormalized log-probabilities of going from model (row) to model (column). A jump to the same model is
    a move within it, if `match` makes it one; otherwise put another kernel beside this one in a `Cycle`.

    Raises: ValueError for a negative dimension, or where `log_moves` is not square with one row a model; TypeError for
    a target on the host.
    """

    target: Factor = eqx.field(converter=as_factor)
    dims: tuple[int, ...] = eqx.field(static=True)
    log_moves: Float[Array, "K K"] = eqx.field(converter=as_log_table)
    fill: Any
    match: Callable[[Int[Array, ""], Int[Array, ""], Array], Array] = keep_coordinates

    def __check_init__(self):
        """Rejects dimensions and moves that do not fit together."""
        models = len(self.dims)
        if self.log_moves.shape != (models, models):
            raise ValueError(
                f"{models} models need log_moves of shape [{models}, {models}], got {self.log_moves.shape}"
            )
        if min(self.dims) < 0:
            raise ValueError(f"a model has no negative dimension, got dims={self.dims}")
        self.move  # noqa: B018  (refuses a target on the host)

    def __call__(self, key: PRNGKeyArray, x: ModelPoint) -> tuple[ModelPoint, MetropolisInfo]:
        """One jump, accepted or not."""
        check_key(key)
        return self.move(key, x)

    @property
    def move(self) -> Involutive:
        """The same kernel as the involutive one that it is."""
        return Involutive(self.target, _Completion(self), _Match(self))

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)

    def lacks(self, model: Int[Array, ""], parameters: Array) -> Array:
        """Which of the D coordinates a model does not have."""
        return jnp.arange(parameters.shape[0]) >= jnp.asarray(self.dims)[model]


class _Completion(Auxiliary):
    """The model to go to, and what the present one lacks."""

    jump: ReversibleJump

    def sample(self, key: PRNGKeyArray, x: ModelPoint) -> Jump:
        move_key, fill_key = jax.random.split(key)
        model = choice(move_key, self.jump.log_moves[x.model]).astype(x.model.dtype)
        lacks = self.jump.lacks(x.model, x.parameters)
        filled = jnp.asarray(self.jump.fill.sample(fill_key), x.parameters.dtype)
        return Jump(model, jnp.where(lacks, filled, jnp.zeros_like(filled)))

    def log_density(self, x: ModelPoint, v: Jump) -> Float[Array, ""]:
        log_move = log_entry(jax.nn.log_softmax(self.jump.log_moves[x.model]), v.model)
        lacks = self.jump.lacks(x.model, x.parameters)
        return log_move + jnp.sum(jnp.where(lacks, self.jump.fill.log_prob(v.filled), 0.0))


class _Match(eqx.Module):
    """The involution: models change places, and coordinates go where the other model wants them."""

    jump: ReversibleJump

    def __call__(self, x: ModelPoint, v: Jump) -> tuple[ModelPoint, Jump]:
        here = self.jump.lacks(x.model, x.parameters)
        there = self.jump.lacks(v.model, x.parameters)
        z = jnp.where(here, v.filled, x.parameters)
        # Zero on both sides. Carried along as coordinates, the padding makes the map one of 2 D coordinates onto as
        # many, whose Jacobian is that of `match`.
        padding = jnp.where(here, x.parameters, v.filled)
        image = self.jump.match(x.model, v.model, z)
        parameters = jnp.where(there, padding, image)
        return ModelPoint(v.model, parameters), Jump(x.model, jnp.where(there, image, padding))
