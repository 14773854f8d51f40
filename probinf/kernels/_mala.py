"""The Metropolis-adjusted Langevin algorithm."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from probinf._measure import Factor, as_factor
from probinf.kernels._metropolis import MetropolisHastings
from probinf.kernels._proposal import Proposal
from probinf.kernels._smooth import as_positive, density_and_gradient, gaussian_like, spread, total


class LangevinProposal(Proposal):
    """One Euler step of the Langevin diffusion of a target.

    Law: q(x -> y) = N(y; x + h grad log target(x), 2 h), with h the step size: one positive number, or a tree of the
    value's structure whose leaves broadcast to its leaves (a diagonal preconditioner). `log_ratio` is exact, also for
    a target that is not the one of Metropolis-Hastings.

    Raises: ValueError where a step size is not positive; TypeError (when sampling) for a value that is not
    floating-point.
    """

    target: Factor = eqx.field(converter=as_factor)
    step_size: PyTree = eqx.field(converter=as_positive)

    def sample(self, key: PRNGKeyArray, x: PyTree) -> PyTree:
        """The value after a step along the gradient and noise."""
        h = spread(self.step_size, x)
        noise = gaussian_like(key, x)
        return jax.tree.map(lambda m, h, e: m + jnp.sqrt(2 * h) * e, self._mean(x), h, noise)

    def log_ratio(self, x: PyTree, y: PyTree) -> Float[Array, ""]:
        """Log q(y -> x) - log q(x -> y); the normalizations cancel."""
        return self._log_step(y, x) - self._log_step(x, y)

    def _mean(self, x: PyTree) -> PyTree:
        _, gradient = density_and_gradient(self.target, x)
        return jax.tree.map(lambda x, h, g: x + h * g, x, spread(self.step_size, x), gradient)

    def _log_step(self, x: PyTree, y: PyTree) -> Float[Array, ""]:
        squares = jax.tree.map(lambda y, m, h: (y - m) ** 2 / h, y, self._mean(x), spread(self.step_size, x))
        return -total(squares) / 4


def mala(target: Any, step_size: PyTree) -> MetropolisHastings:
    """Metropolis-Hastings whose proposals follow the gradient of the target.

    Law: reversible for `target`, hence keeps it, at every step size. A proposal where the gradient is not finite is
    rejected. Two gradients a transition; `probinf.interop.from_blackjax(blackjax.mala, ...)` carries one of them over.

    Source: Roberts and Tweedie, Bernoulli 2 (1996).

    Raises: as `LangevinProposal` and `MetropolisHastings` do.
    """
    target = as_factor(target)
    return MetropolisHastings(target, LangevinProposal(target, step_size))
