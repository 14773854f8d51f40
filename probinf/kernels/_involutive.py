"""Involutive Markov chain Monte Carlo: Metropolis-Hastings-Green with a deterministic proposal.

Law: with v ~ q(. | x) and phi an involution on pairs (x, v), accepting (y, u) = phi(x, v) with probability
min(1, target(y) q(u | y) |det D phi(x, v)| / (target(x) q(v | x))) is reversible for the target.

Source: Green, Biometrika 82 (1995); Tierney, Annals of Applied Probability 8 (1998); on quasi-Borel spaces arXiv
1711.03219.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._choice import check_key, flip
from probinf._measure import Distribution, Factor, Measure, as_distribution, as_factor, as_measure
from probinf._sampler import Kernel
from probinf.kernels._accept import log_accept_ratio, select
from probinf.kernels._metropolis import MetropolisInfo

Involution = Callable[[Any, Any], tuple[Any, Any]]


class Auxiliary(eqx.Module):
    """The law q(. | x) of an auxiliary variable given the value.

    Law: `sample(key, x)` has density `log_density(x, .)`, with respect to Lebesgue measure on floating-point leaves
    and counting measure on the others.
    """

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """An auxiliary variable."""

    @abc.abstractmethod
    def log_density(self, x: Any, v: Any) -> Float[Array, ""]:
        """Log of q(v | x), in nats."""


class Independent(Auxiliary):
    """An auxiliary variable that does not look at the value: a `Distribution`, or numpyro's and distrax's.

    Raises: TypeError for anything else.
    """

    distribution: Distribution = eqx.field(converter=as_distribution)

    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """A fresh draw."""
        del x
        return self.distribution.sample(key, ())

    def log_density(self, x: Any, v: Any) -> Float[Array, ""]:
        """The distribution's own."""
        del x
        return self.distribution.log_density(v)


def as_auxiliary(auxiliary: Any) -> Auxiliary:
    """An `Auxiliary` as it is, a distribution as one that does not look at the value.

    Raises: TypeError for anything else.
    """
    return auxiliary if isinstance(auxiliary, Auxiliary) else Independent(auxiliary)


class Involutive(Kernel):
    """Draws an auxiliary variable, maps the pair by an involution, and accepts by Green's ratio.

    Law: reversible for `target`, hence keeps it, if the involution is its own inverse on pairs (value, auxiliary):
    `probinf.validity.check_green` tests it at points of one's choice. Pairs may mix discrete and continuous leaves:
    integers have no Jacobian, and at fixed integers the floating-point leaves must be mapped smoothly onto as many.

    `log_abs_det(x, v)` is log |det| of the Jacobian of the floating-point leaves; by default it is computed by
    forward-mode differentiation, at the cost of one derivative a coordinate and a determinant.

    Raises: TypeError for a target that runs on the host or an auxiliary without density; ValueError (when called) for
    an involution whose result has not the structure of its arguments.
    """

    target: Factor = eqx.field(converter=as_factor)
    auxiliary: Auxiliary = eqx.field(converter=as_auxiliary)
    involution: Involution
    log_abs_det: Callable[[Any, Any], Float[Array, ""]] | None = None

    def __check_init__(self):
        """Rejects what cannot be compiled."""
        if not self.target.traceable:
            raise TypeError(f"Involutive is compiled, but '{self.target.name}' runs on the host: Reweight by it")

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, MetropolisInfo]:
        """One proposal, accepted or not."""
        check_key(key)
        draw_key, accept_key = jax.random.split(key)
        v = self.auxiliary.sample(draw_key, x)
        y, u = self.mapped(x, v)
        log_ratio = self.log_ratio(x, v, y, u)
        accepted = flip(accept_key, log_ratio)
        return select(accepted, y, x), MetropolisInfo(accepted, log_ratio)

    def mapped(self, x: Any, v: Any) -> tuple[Any, Any]:
        """The pair that the involution proposes.

        Raises: ValueError where its structure, shapes or types are not those of (x, v).
        """
        pair = self.involution(x, v)
        if _shapes(pair) != _shapes((x, v)):
            raise ValueError(
                "an involution maps a pair (value, auxiliary) to a pair of the same shapes and types: got "
                f"{eqx.tree_pformat(pair)} for {eqx.tree_pformat((x, v))}"
            )
        return pair

    def log_ratio(self, x: Any, v: Any, y: Any, u: Any) -> Float[Array, ""]:
        """Log of Green's ratio of the pair (x, v) and its image (y, u), settled where a density vanishes."""
        log_q = self.auxiliary.log_density(y, u) - self.auxiliary.log_density(x, v) + self.log_jacobian(x, v)
        return log_accept_ratio(self.target.log_density(x), self.target.log_density(y), log_q)

    def log_jacobian(self, x: Any, v: Any) -> Float[Array, ""]:
        """Log |det| of the involution's Jacobian at the pair, as given or as differentiated."""
        if self.log_abs_det is None:
            return log_abs_det_of(self.involution, x, v)
        return self.log_abs_det(x, v)

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)


def log_abs_det_of(involution: Involution, x: Any, v: Any) -> Float[Array, ""]:
    """Log |det| of the derivative of the floating-point leaves of `involution(x, v)`, integers held fixed.

    Law: zero where there are no such leaves; -inf where the map is singular.
    """
    smooth, fixed = eqx.partition((x, v), eqx.is_inexact_array)
    flat, unravel = ravel_pytree(smooth)
    if not flat.size:
        return jnp.zeros(())

    def on_line(flat: Float[Array, " F"]) -> Float[Array, " F"]:
        image = involution(*eqx.combine(unravel(flat), fixed))
        return ravel_pytree(eqx.filter(image, eqx.is_inexact_array))[0]

    return jnp.linalg.slogdet(jax.jacfwd(on_line)(flat))[1]


def _shapes(tree: Any) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]
