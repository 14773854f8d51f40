"""Waste-free sequential Monte Carlo: every state that the kernels pass through becomes a particle.

Law: from nothing to prior * likelihood (PROPER), for every ladder given beforehand: resampling keeps the measure,
taking every P-th of the copies keeps it, and so does each transition, so each of the P states of a chain means it, and
their average as well.

Source: Dau and Chopin, Journal of the Royal Statistical Society B 84 (2022), arXiv 2011.02328.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import count, is_count
from probinf._choice import check_key, choice
from probinf._measure import Distribution, Factor, Guarantee, Measure, as_distribution, as_factor
from probinf._particles import Particles, take_lanes
from probinf._primitives import Draw, Move, Resample, Reweight, Scan
from probinf._sampler import Info, Kernel, Sampler
from probinf._status import Status, status_if
from probinf.samplers._tempered_smc import Rung, as_rungs

# Systematic resampling at every rung.
_SYSTEMATIC = Resample()


class ThinInfo(NamedTuple):
    """`lanes`: which lanes were kept."""

    status: Int[Array, ""]
    lanes: Int[Array, " M"]


class TrailInfo(NamedTuple):
    """`kernel`: what the kernel reported, with leading axes [transitions, chains]."""

    status: Int[Array, ""]
    kernel: Info


class Thin(Sampler):
    """Keeps every P-th lane, from a first one drawn uniformly: N lanes become N / P.

    Law: m -> m (PROPER): each lane is kept with probability 1 / P. After a resampling of N lanes it leaves one of N / P
    lanes; after the systematic scheme exactly the systematic scheme with N / P points, since every P-th point of a
    regular grid, from a random first one, is a regular grid with one uniform shift.

    Raises: ValueError for P < 1, or (when run) where P does not divide N.
    """

    every: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects an empty choice."""
        if not is_count(self.every):
            raise ValueError(f"Thin keeps every P-th lane with P >= 1, got every={self.every}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ThinInfo]:
        """Every P-th lane, with its weight."""
        check_key(key)
        if cloud.n % self.every:
            raise ValueError(
                f"Thin(every={self.every}) does not divide {cloud.n} lanes: run a multiple of {self.every}"
            )
        first = choice(key, jnp.zeros(self.every))
        lanes = first + self.every * jnp.arange(cloud.n // self.every, dtype=jnp.int32)
        kept = cloud.replace(
            values=take_lanes(cloud.values, lanes),
            log_weights=cloud.log_weights[lanes],
            log_twist=cloud.log_twist[lanes],
        )
        return kept, ThinInfo(status_if(False, Status.OK), lanes)

    def meaning(self, m: Measure) -> Measure:
        """m, through the lanes that could have been kept."""
        return m.claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        """False: lanes are kept at the cost of others."""
        return False


class Trail(Move):
    """Moves each lane P - 1 times and keeps all P states of its chain: M lanes become M * P, chain after chain.

    Law: m -> m, if the kernel leaves m invariant (EXACT for each lane); `meaning` raises `MeaningError` otherwise.

    Raises: ValueError for P < 2, which never moves.
    """

    length: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        """Rejects chains that never move."""
        if not is_count(self.length, 2) or self.times != 1:
            raise ValueError(f"Trail keeps chains of at least 2 states, got length={self.length}, times={self.times}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, TrailInfo]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The chains, from each lane's value on."""
        check_key(key)

        def transition(values: Any, key: PRNGKeyArray) -> tuple[Any, tuple[Any, Info]]:
            values, info = self.kernel.move_lanes(key, values, cloud.n)
            return values, (values, info)

        keys = jax.random.split(key, self.length - 1)
        _, (later, info) = jax.lax.scan(transition, cloud.values, keys)
        values = jax.tree.map(_chain_after_chain, cloud.values, later)
        kept = cloud.replace(
            values=values,
            log_weights=jnp.repeat(cloud.log_weights, self.length),
            log_twist=jnp.repeat(cloud.log_twist, self.length),
        )
        return kept, TrailInfo(status_if(False, Status.OK), info)

    @property
    def lanewise(self) -> bool:
        """False: a lane becomes several."""
        return False


class WasteFreeStage(eqx.Module):
    """One rung: weigh by the likelihood's increment, resample few, keep every state of the chains that start there."""

    prior: Distribution
    likelihood: Factor
    make_kernel: Callable[[Measure], Kernel]
    resample: Sampler
    length: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects chains without a move."""
        count("length", self.length, least=2)

    def __call__(self, rung: Rung) -> Sampler:
        """The stage for this rung."""
        kernel = self.make_kernel(self.prior * self.likelihood**rung.after)
        increment = Reweight(self.likelihood ** (rung.after - rung.before))
        return increment >> self.resample >> Thin(self.length) >> Trail(kernel, length=self.length)


def waste_free_smc(
    prior: Any,
    likelihood: Any,
    make_kernel: Callable[[Measure], Kernel],
    betas: Sequence[float] | Float[np.ndarray, " rungs"] | Float[Array, " rungs"],
    *,
    length: int,
    resample: Sampler = _SYSTEMATIC,
) -> Sampler:
    """Tempered SMC of N particles that resamples N / `length` of them and keeps all states of the chains they start.

    `make_kernel` and `betas` are as in `tempered_smc`. Run it with a multiple of `length` particles: the fewer chains,
    the longer each, so nothing is lost where the kernel mixes within `length` steps.

    Law: m -> m * prior * likelihood (PROPER).

    Raises: ValueError where `betas` is not an increasing sequence of positive numbers that ends at 1, for a length
    below 2, or (when run) where `length` does not divide the number of particles.
    """
    if not is_count(length, 2):
        raise ValueError(f"chains of length {length} never move: waste_free_smc needs length >= 2")
    prior = as_distribution(prior)
    stage = WasteFreeStage(prior, as_factor(likelihood), make_kernel, resample, length)
    return Draw(prior) >> Scan(stage, as_rungs(betas))


def _chain_after_chain(first: Array, later: Array) -> Array:
    """States [chains] and [transitions, chains] as lanes, so that neighbors in a cloud are neighbors in a chain."""
    states = jnp.moveaxis(jnp.concatenate([first[None], later]), 0, 1)
    return states.reshape(-1, *states.shape[2:])
