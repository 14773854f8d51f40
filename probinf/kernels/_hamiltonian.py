"""Hamiltonian Monte Carlo with a fixed number of leapfrog steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from probinf._arguments import is_count
from probinf._chains import CachedKernel
from probinf._choice import check_key, flip
from probinf._measure import Factor, Measure, as_factor, as_measure
from probinf.kernels._accept import log_accept_ratio, select
from probinf.kernels._smooth import as_positive, density_and_gradient, gaussian_like, spread, total

# Such a loss of log-density is accepted with probability e^-1000, that is never: the integrator is unstable there.
_DIVERGENCE = 1000.0


class HamiltonianInfo(NamedTuple):
    """`log_ratio`: minus the error of the energy. `divergent`: the error was above 1000 or not a number, or the density
    at the end zero, so that the proposal was rejected for certain."""

    accepted: Bool[Array, ""]
    log_ratio: Float[Array, ""]
    divergent: Bool[Array, ""]


class HamiltonianState(NamedTuple):
    """A value with its log-density and gradient, which the next trajectory starts from."""

    value: PyTree
    log_density: Float[Array, ""]
    gradient: PyTree


class HamiltonianMonteCarlo(CachedKernel):
    """Draws a momentum, follows the leapfrog integrator, flips the momentum, and accepts by the change of energy.

    Law: reversible for `target`, hence keeps it, at every step size, number of steps and mass: leapfrog and flip is
    an involution that preserves volume. A divergence is a rejection, never NaN.

    `step_size` is a positive number and `inverse_mass` a positive number or a tree of the value's structure whose
    leaves broadcast to its leaves (a diagonal matrix, best the variances of the target); both are data. `steps` is
    part of the program.

    Source: Duane, Kennedy, Pendleton and Roweth, Physics Letters B 195 (1987); Neal, arXiv 1206.1901, section 5.2.

    Raises: ValueError for a step size or mass that is not positive, or fewer than one step; TypeError for a target
    that runs on the host, and (when called) for a value that is not floating-point.
    """

    target: Factor = eqx.field(converter=as_factor)
    step_size: Float[Array, ""] = eqx.field(converter=as_positive)
    steps: int = eqx.field(static=True)
    inverse_mass: PyTree = eqx.field(default=1.0, converter=as_positive)

    def __check_init__(self):
        """Rejects what cannot be compiled, and trajectories of no length."""
        if not self.target.traceable:
            raise TypeError(f"HamiltonianMonteCarlo is compiled, but '{self.target.name}' runs on the host")
        if not is_count(self.steps):
            raise ValueError(f"HamiltonianMonteCarlo needs steps >= 1, got {self.steps}")

    def start(self, x: PyTree) -> HamiltonianState:
        """The value with its log-density and gradient."""
        return HamiltonianState(x, *density_and_gradient(self.target, x))

    def value(self, state: HamiltonianState) -> PyTree:
        """The value."""
        return state.value

    def advance(self, key: PRNGKeyArray, state: HamiltonianState) -> tuple[HamiltonianState, HamiltonianInfo]:
        """One trajectory, accepted or not."""
        check_key(key)
        momentum_key, accept_key = jax.random.split(key)
        inverse_mass = spread(self.inverse_mass, state.value)
        noise = gaussian_like(momentum_key, state.value)
        momentum = jax.tree.map(lambda e, w: e / jnp.sqrt(w), noise, inverse_mass)
        end, end_momentum = self.trajectory(state, momentum)
        kinetic = self.kinetic_energy(momentum) - self.kinetic_energy(end_momentum)
        log_ratio = log_accept_ratio(state.log_density, end.log_density, kinetic)
        accepted = flip(accept_key, log_ratio)
        info = HamiltonianInfo(accepted, log_ratio, log_ratio < -_DIVERGENCE)
        return select(accepted, end, state), info

    def trajectory(self, state: HamiltonianState, momentum: PyTree) -> tuple[HamiltonianState, PyTree]:
        """The end of the leapfrog trajectory with its momentum flipped.

        Law: an involution on (value, momentum) with Jacobian determinant one in modulus.
        """
        step_size = jax.tree.map(lambda leaf: self.step_size.astype(leaf.dtype), momentum)
        drift = jax.tree.map(lambda h, w: h * w, step_size, spread(self.inverse_mass, momentum))

        def leapfrog(carry: tuple[HamiltonianState, PyTree], _: None) -> tuple[tuple[HamiltonianState, PyTree], None]:
            state, momentum = carry
            momentum = _kick(momentum, step_size, state.gradient)
            state = self.start(jax.tree.map(lambda x, h, p: x + h * p, state.value, drift, momentum))
            return (state, _kick(momentum, step_size, state.gradient)), None

        (state, momentum), _ = jax.lax.scan(leapfrog, (state, momentum), None, length=self.steps)
        return state, jax.tree.map(jnp.negative, momentum)

    def kinetic_energy(self, momentum: PyTree) -> Float[Array, ""]:
        """Half of momentum squared over mass."""
        return total(jax.tree.map(lambda p, w: p**2 * w, momentum, spread(self.inverse_mass, momentum))) / 2

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)


def hmc(target: Any, step_size: Any, steps: int, inverse_mass: PyTree = 1.0) -> HamiltonianMonteCarlo:
    """Hamiltonian Monte Carlo: see `HamiltonianMonteCarlo`. For NUTS use `probinf.interop.from_blackjax`."""
    return HamiltonianMonteCarlo(target, step_size, steps, inverse_mass)


def _kick(momentum: PyTree, step_size: PyTree, gradient: PyTree) -> PyTree:
    """Half a step of the momentum."""
    return jax.tree.map(lambda p, h, g: p + h / 2 * g, momentum, step_size, gradient)
