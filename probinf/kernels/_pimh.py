"""Particle independent Metropolis-Hastings."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._choice import check_key, flip
from probinf._measure import Factor, MeaningError, Measure
from probinf._particles import spawn
from probinf._primitives import pick
from probinf._sampler import Kernel, Sampler
from probinf._status import worst_status
from probinf.kernels._accept import log_accept_ratio, select
from probinf.kernels._check import as_sampler, check_particles, check_state, target_of


class ParticleState(NamedTuple):
    """One value of a run, and the run's log-estimate of the mass."""

    value: Any
    log_z: Float[Array, ""]


class ParticleMetropolisInfo(NamedTuple):
    """Whether the proposal was accepted, its log-ratio, and how the run that was proposed ended (INVALID for NaN)."""

    accepted: Bool[Array, ""]
    log_ratio: Float[Array, ""]
    status: Int[Array, ""]


class ParticleIndependentMetropolisHastings(Kernel):
    """Runs a sampler afresh on n particles, picks one of them, and accepts it with probability min(1, Z'/Z).

    Law: reversible for law-of-a-run(value, log_z) * exp(log_z), whose `value` follows the sampler's meaning
    exactly, for every n >= 1. `init` gives a state to start from, which is a draw from the run itself.

    Source: Andrieu, Doucet and Holenstein, Journal of the Royal Statistical Society B 72 (2010), section
    2.4.1.

    Raises: ValueError for n < 1; TypeError for a sampler on the host; MeaningError for one without proper
    weights.
    """

    sampler: Sampler = eqx.field(converter=as_sampler)
    n: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects a sampler whose estimate of the mass is not unbiased."""
        check_particles(self.n, 1, "pimh")
        target_of(self.sampler, "pimh")

    def init(self, key: PRNGKeyArray) -> ParticleState:
        """The state that one run of the sampler gives."""
        check_key(key)
        return run_and_pick(key, self.sampler, self.n)[0]

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[ParticleState, ParticleMetropolisInfo]:
        """One run, accepted or not."""
        check_key(key)
        check_state(x, ParticleState, "pimh", "jax.vmap(kernel.init)(keys)")
        run_key, accept_key = jax.random.split(key)
        y, status = run_and_pick(run_key, self.sampler, self.n)
        log_ratio = log_accept_ratio(x.log_z, y.log_z, jnp.zeros_like(y.log_z))
        accepted = flip(accept_key, log_ratio)
        return select(accepted, y, x), ParticleMetropolisInfo(accepted, log_ratio, status)

    @property
    def invariant(self) -> Measure:
        """The law of (value, log_z) under which `value` has the sampler's meaning."""
        target = self.sampler.meaning(Measure())
        return Measure((RunLaw(f"{target.name} with its {self.n}-particle estimate", self),), (1.0,), target.guarantee)


class RunLaw(Factor):
    """The law of a run's value and estimate times that estimate, as one opaque factor."""

    name: str = eqx.field(static=True)
    kernel: Kernel

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Not available.

        Raises: MeaningError always.
        """
        del x
        raise MeaningError(f"the density of '{self.name}' has no closed form: enumerate its `init` on a finite model")


def pimh(sampler: Sampler, n: int) -> ParticleIndependentMetropolisHastings:
    """Independent proposals by whole runs: see `ParticleIndependentMetropolisHastings`."""
    return ParticleIndependentMetropolisHastings(sampler, n)


def run_and_pick(key: PRNGKeyArray, sampler: Sampler, n: int) -> tuple[ParticleState, Int[Array, ""]]:
    """One value of one run, drawn by weight, with the run's log-mass; and the worst status of its stages."""
    run_key, pick_key = jax.random.split(key)
    cloud, info = sampler(run_key, spawn(n))
    return ParticleState(*pick(pick_key, cloud)), worst_status(info)
