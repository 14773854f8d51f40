"""Hamiltonian Monte Carlo that a cloud tunes for itself, one temperature at a time.

Law: while it tunes, m -> m (CONSISTENT): step size, covariance and number of moves look at the very particles that they
move. With settings given beforehand, m -> m (EXACT): they no longer depend on the cloud.

Source: Buchholz, Chopin and Jacob, Bayesian Analysis 16 (2021), arXiv 1808.07730 (Hamiltonian Monte Carlo tuned
within sequential Monte Carlo); Fearnhead and Taylor, Bayesian Analysis 8 (2013), arXiv 1005.1193 (kernels that
particles tune).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Factor, Guarantee, MeaningError, Measure, as_factor, as_measure
from probinf._particles import Particles
from probinf._primitives._move import acceptance_of, after_move
from probinf._sampler import Info, Kernel, Sampler
from probinf.kernels import HamiltonianInfo, hmc
from probinf.kernels._accept import select
from probinf.kernels._smooth import spread
from probinf.resampling import effective_sample_size

# The first step size, in units of the cloud's own spread.
_FIRST_STEP = 0.5
# Above so many coordinates their covariance is taken for diagonal.
_LARGEST_DENSE = 256
# Each transition takes a step drawn from this fraction of the step size up to all of it.
_SHORTEST = 0.2
# Moves end when every coordinate has forgotten this share of where it stood.
_FORGOTTEN = 0.8
# How fast the logarithm of the step size follows the acceptance rate.
_GAIN = 2.0


class TunedSettings(NamedTuple):
    """What a cloud found at one temperature.

    step_size: largest leapfrog step, in units of the spread. scale: how far the target spreads, a lower-triangular
    factor of the covariance of the raveled value [D, D], or its standard deviations [D] in more than 256 dimensions.
    moves: how many transitions.
    """

    step_size: Float[Array, "..."]
    scale: Float[Array, "..."]
    moves: Int[Array, "..."]


class TunedMoveInfo(NamedTuple):
    """As `MoveInfo`, with the settings; `acceptance` is that of the last transition."""

    status: Int[Array, ""]
    kernel: Info
    acceptance: Float[Array, ""]
    distinct: Int[Array, ""]
    settings: TunedSettings


class ScaledHMC(Kernel):
    """Hamiltonian Monte Carlo in coordinates in which the target has spread one, with steps of random length.

    Law: reversible for `target`, hence keeps it, whatever the scale and the step size: a linear change of coordinates
    multiplies the density by a constant, and the length of the step is drawn whatever the state.

    Args:
        target: an unnormalized density of floating-point values.
        settings: step size and scale, data both; `moves` is not read here.
        steps: leapfrog steps of a transition, part of the program.
    """

    target: Factor = eqx.field(converter=as_factor)
    settings: TunedSettings
    steps: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: PyTree) -> tuple[PyTree, HamiltonianInfo]:
        """One trajectory, accepted or not."""
        check_key(key)
        length_key, move_key = jax.random.split(key)
        flat, unravel = ravel_pytree(x)
        scale = self.settings.scale.astype(flat.dtype)
        shortening = jax.random.uniform(length_key, (), flat.dtype, _SHORTEST, 1.0)
        step_size = self.settings.step_size.astype(flat.dtype) * shortening
        kernel = hmc(lambda z: self.target.log_density(unravel(_stretched(scale, z))), step_size, self.steps)
        z, info = kernel(move_key, _shrunk(scale, flat))
        # A value that stays is not to change by rounding.
        return select(info.accepted, unravel(_stretched(scale, z)), x), info

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)


class TunedHMC(eqx.Module):
    """Hamiltonian Monte Carlo with step size, covariance and number of moves found by the particles.

    Hand it to `adaptive_tempered_smc`, `tempered_smc` or `tempered_smc(..., settings=)` as `make_kernel`. At each
    temperature the covariance is that of the resampled cloud; all lanes move together, and the step size follows their
    acceptance rate; they move until each coordinate, and the log-density, has forgotten four fifths of where it stood,
    or `max_moves` times.

    Args:
        steps: leapfrog steps of a transition.
        acceptance: the mean acceptance rate to aim at, in (0, 1).
        max_moves: the most transitions at a temperature.

    Raises:
        ValueError: a knob outside its range.

    Example:
        >>> kernel = TunedHMC(steps=8)
        >>> pilot = sample(adaptive_tempered_smc(prior, likelihood, kernel), key, n=1000)
        >>> settings = settings_of(pilot.info[-1])
        >>> again = tempered_smc(prior, likelihood, kernel, ladder_of(pilot.info[-1]), settings=settings)

    Law: m -> m (CONSISTENT) while it tunes; with frozen settings m -> m (EXACT).
    """

    steps: int = eqx.field(static=True, default=8)
    acceptance: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.8)
    max_moves: int = eqx.field(static=True, default=32)

    def __check_init__(self):
        """Rejects kernels that never move."""
        if not is_count(self.steps) or not is_count(self.max_moves):
            raise ValueError(f"TunedHMC needs steps >= 1 and max_moves >= 1, got {self.steps} and {self.max_moves}")
        if not isinstance(self.acceptance, Tracer) and not 0.0 < float(self.acceptance) < 1.0:
            raise ValueError(f"acceptance is a rate between 0 and 1, got {self.acceptance}: try 0.8")

    def move(self, target: Measure, settings: TunedSettings | tuple[()] = ()) -> TunedMove:
        """The moves at one temperature: tuned by the cloud, or by the settings of an earlier run."""
        return TunedMove(target, self, settings)


class TunedMove(Sampler):
    """Moves each lane by Hamiltonian Monte Carlo until the cloud has forgotten where it stood.

    Law: m -> m (CONSISTENT), if the target is m; with `settings` m -> m (EXACT).
    """

    target: Measure
    tuner: TunedHMC
    settings: TunedSettings | tuple[()] = ()

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, TunedMoveInfo]:
        """All transitions of every lane."""
        check_key(key)
        spread(1.0, cloud.values)
        run = self._tuning if isinstance(self.settings, tuple) and not self.settings else self._frozen
        values, kernel, settings = run(key, cloud)
        acceptance = acceptance_of(kernel, cloud, values)
        moved, status, distinct = after_move(cloud.replace(values=values), acceptance)
        return moved, TunedMoveInfo(status, kernel, acceptance, distinct, settings)

    def _transition(self, key: PRNGKeyArray, values: Any, n: int, settings: TunedSettings) -> tuple[Any, Info]:
        return ScaledHMC(self.target, settings, self.tuner.steps).move_lanes(key, values, n)

    def _frozen(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Any, Info, TunedSettings]:
        """The moves that the settings say, whatever the cloud."""
        settings: Any = self.settings
        values, info = self._transition(jax.random.fold_in(key, 0), cloud.values, cloud.n, settings)

        def again(i: Array, carry: tuple) -> tuple:
            return self._transition(jax.random.fold_in(key, i), carry[0], cloud.n, settings)

        values, info = jax.lax.fori_loop(1, settings.moves, again, (values, info))
        return values, info, settings

    def _tuning(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Any, Info, TunedSettings]:
        """Moves that tune themselves."""
        scale = cloud_scale(cloud)
        weights = cloud.normalized_weights
        start = self._features(cloud.values, cloud.n, scale)
        variance = weights @ (start - (weights @ start)[None, :]) ** 2
        variance = jnp.where(variance > 0, variance, 1.0)

        def move(key: PRNGKeyArray, values: Any, log_step: Array) -> tuple[Any, Info, Array]:
            settings = TunedSettings(jnp.exp(log_step), scale, jnp.int32(1))
            values, info = self._transition(key, values, cloud.n, settings)
            rate = weights @ jnp.exp(jnp.minimum(info.log_ratio, 0.0))
            return values, info, log_step + _GAIN * (rate - self.tuner.acceptance.astype(rate.dtype))

        def forgotten(values: Any) -> Array:
            jump = (self._features(values, cloud.n, scale) - start) ** 2
            # Half of the mean squared jump over the variance is one minus the correlation.
            return jnp.min(weights @ jump / (2 * variance))

        def again(carry: tuple) -> Array:
            values, _, _, moves = carry
            return (moves < self.tuner.max_moves) & (forgotten(values) < _FORGOTTEN)

        def once_more(carry: tuple) -> tuple:
            values, _, log_step, moves = carry
            return *move(jax.random.fold_in(key, moves), values, log_step), moves + 1

        first = jnp.log(jnp.asarray(_FIRST_STEP, weights.dtype))
        carry = (*move(jax.random.fold_in(key, 0), cloud.values, first), jnp.int32(1))
        values, info, log_step, moves = jax.lax.while_loop(again, once_more, carry)
        return values, info, TunedSettings(jnp.exp(log_step), scale, moves)

    def _features(self, values: Any, n: int, scale: Array) -> Float[Array, "N D_and_one"]:
        """The coordinates in which the cloud has spread one, and the log-density."""
        z = jax.vmap(lambda x: _shrunk(scale, ravel_pytree(x)[0]))(values)
        log_density = self.target.log_density_lanes(values, n).astype(z.dtype)
        log_density = jnp.where(jnp.isfinite(log_density), log_density, 0.0)
        return jnp.concatenate([z, log_density[:, None]], axis=1)

    def meaning(self, m: Measure) -> Measure:
        """m, for many particles only while it tunes.

        Raises: MeaningError where the target is another measure.
        """
        if not m.same_law(self.target):
            raise MeaningError(f"TunedMove keeps '{self.target.name}', but the cloud means '{m.name}'")
        return m.claiming(Guarantee.EXACT if self.settings else Guarantee.CONSISTENT)

    @property
    def lanewise(self) -> bool:
        """False while lanes tune the kernel together."""
        return bool(self.settings)


def cloud_scale(cloud: Particles) -> Float[Array, "..."]:
    """A lower-triangular factor of the cloud's covariance, shrunk towards its diagonal where lanes are few.

    In more than 256 dimensions the standard deviations. A coordinate that does not vary gets a small one.
    """
    flat = jax.vmap(lambda x: ravel_pytree(x)[0])(cloud.values)
    weights = cloud.normalized_weights.astype(flat.dtype)
    mean = weights @ flat
    away = flat - mean[None, :]
    deviation = jnp.sqrt(weights @ away**2)
    deviation = jnp.maximum(deviation, 1e-6 * (jnp.abs(mean) + 1e-3))
    dimension = flat.shape[1]
    if dimension > _LARGEST_DENSE:
        return deviation
    standard = away / deviation[None, :]
    correlation = (weights[:, None] * standard).T @ standard
    kept = effective_sample_size(cloud.log_weights) / (effective_sample_size(cloud.log_weights) + dimension)
    correlation = kept.astype(flat.dtype) * correlation
    identity = jnp.eye(dimension, dtype=flat.dtype)
    factor = jnp.linalg.cholesky(correlation * (1 - identity) + identity)
    return deviation[:, None] * jnp.where(jnp.all(jnp.isfinite(factor)), factor, identity)


def _stretched(scale: Array, z: Array) -> Array:
    return scale @ z if scale.ndim == 2 else scale * z


def _shrunk(scale: Array, x: Array) -> Array:
    return jax.scipy.linalg.solve_triangular(scale, x, lower=True) if scale.ndim == 2 else x / scale
