"""The small models on which tempering is checked: two or three states, and a line with a sharp likelihood."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Density, Factor, Kernel, Measure, Sampler, choice
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings, random_walk
from probinf.samplers import (
    AdaptiveInfo,
    ParallelTempering,
    TunedHMC,
    TunedSettings,
    adaptive_tempered_smc,
    ladder_of,
    parallel_tempering,
    settings_of,
    tempered_smc,
)
from probinf.validity import KernelCase

LADDER = (0.4, 1.0)
DATA = np.array([1, 0, 1])
_SHARP = 0.1


def small_prior() -> Categorical:
    """Two states."""
    return Categorical(np.log([0.4, 0.6]), name="prior")


def small_likelihood() -> Density:
    """A likelihood on them."""
    return Density("likelihood", _two)


def small_keeper(measure: Measure) -> Kernel:
    """A kernel on two states that keeps a measure."""
    return MetropolisHastings(measure, FiniteProposal(np.log([[0.3, 0.7], [0.4, 0.6]])))


class Row(Factor):
    """The likelihood of one row of data, 0 or 1, on two states."""

    row: Int[Array, ""]
    name: str = eqx.field(static=True, default="row")

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """A table of states and rows."""
        return jnp.log(jnp.array([[0.7, 0.2], [0.4, 0.9]]))[x, self.row]


class Barker(Kernel):
    """A neighbor of three states drawn in one go, so that whole ladders can be listed.

    Law: reversible for `target`: from x to y with probability target(y) / (target(x) + target(y)) / 2.

    Source: Barker, Australian Journal of Physics 18 (1965).
    """

    target: Measure

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], tuple[()]]:
        """One draw among three states."""
        log_target = self.target.log_density_lanes(jnp.arange(3, dtype=jnp.int32), 3)
        away = jnp.where(jnp.arange(3) == x, 0.0, 0.5 * jax.nn.sigmoid(log_target - log_target[x]))
        moves = jnp.where(jnp.arange(3) == x, 1.0 - jnp.sum(away), away)
        return choice(key, jnp.log(moves)), ()

    @property
    def invariant(self) -> Measure:
        """The target."""
        return self.target


def small_ladder() -> ParallelTempering:
    """Three states at three temperatures, the hottest at the prior."""
    prior = Categorical(np.log([0.2, 0.5, 0.3]), name="prior")
    return parallel_tempering(prior, Density("likelihood", _three), Barker, (0.0, 0.35, 1.0))


def ladder_case(name: str, kernel: Kernel) -> KernelCase:
    """A kernel on the 27 states of the small ladder, held to the product over its temperatures."""
    states = np.array(list(itertools.product(range(3), repeat=3)), np.int32)
    tempered = small_ladder().tempered
    # The numbers that the kernel holds, which may have been rounded to float32.
    log_prior = np.asarray(tempered.prior.log_probs, np.float64)[states]  # pyright: ignore[reportAttributeAccessIssue]
    log_likelihood = np.log([0.9, 0.1, 0.5])[states]
    betas = np.asarray(tempered.betas, np.float64)
    return KernelCase(name, kernel, states, np.sum(log_prior + betas * log_likelihood, axis=1))


def sharp_adaptive() -> Sampler:
    """An adaptive run from N(0, 1) to a likelihood so sharp that it takes several temperatures."""
    make_kernel = eqx.Partial(MetropolisHastings, proposal=random_walk(0.3))
    return adaptive_tempered_smc(dist.Normal(0.0, 1.0), Density("N(1 | x, 0.1)", _sharp), make_kernel, moves=3)


def sharp_frozen(tuner: TunedHMC) -> Sampler:
    """The same posterior at temperatures and settings that a tuned run of fewer rungs found."""
    settings = TunedSettings(jnp.array([0.8, 0.9, 0.9]), jnp.array([[[0.5]], [[0.2]], [[0.1]]]), jnp.array([2, 2, 2]))
    ladder, found = jnp.array([0.02, 0.2, 1.0]), (jnp.full(3, 0.5), (), jnp.ones(3), jnp.full(3, 16), settings)
    info = AdaptiveInfo(jnp.int32(0), jnp.int32(3), ladder, *found)
    model = (dist.Normal(0.0, 1.0), Density("N(1 | x, 0.1)", _sharp), tuner)
    return tempered_smc(*model, ladder_of(info), settings=settings_of(info))


def moments(x: Float[Array, ""]) -> Float[Array, " K"]:
    """The constant one, and the first two moments."""
    return jnp.stack([jnp.ones_like(x), x, x**2])


def sharp_moments() -> Float[np.ndarray, " K"]:
    """Evidence, and evidence times the first two moments of the posterior, in closed form."""
    total = 1.0 + _SHARP**2
    evidence = np.exp(-0.5 / total) / np.sqrt(2 * np.pi * total)
    mean, variance = 1.0 / total, _SHARP**2 / total
    return evidence * np.array([1.0, mean, variance + mean**2])


def _two(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array([0.9, 0.2]))[x]


def _three(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array([0.9, 0.1, 0.5]))[x]


def _sharp(x: Float[Array, ""]) -> Float[Array, ""]:
    return dist.Normal(x, _SHARP).log_prob(1.0)
