"""Conditional sequential Monte Carlo: the kernel of particle Gibbs."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._measure import Measure
from probinf._particles import Particles, spawn, take_lanes
from probinf._sampler import Kernel, Sampler
from probinf._status import worst_status
from probinf.kernels._check import as_sampler, check_particles, target_of


class ConditionalInfo(NamedTuple):
    """`log_z`: log-mass of the conditional run (not unbiased for Z); `renewed`: whether another lane was
    picked; `status`: INVALID where a potential gave NaN or +inf."""

    log_z: Float[Array, ""]
    renewed: Bool[Array, ""]
    status: Int[Array, ""]


class ConditionalSMC(Kernel):
    """Runs a sampler with lane 0 held to the current value, and picks one of its n lanes by weight.

    Law: keeps the sampler's meaning, for every n >= 2. The value is the whole path, and every `Draw` must be
    able to retrace it (`Distribution.prefix`).

    Source: Andrieu, Doucet and Holenstein, Journal of the Royal Statistical Society B 72 (2010), section
    2.4.3.

    Raises: ValueError for n < 2; TypeError for a sampler on the host; MeaningError for a sampler without a
    conditional form or without proper weights.
    """

    sampler: Sampler = eqx.field(converter=as_sampler)
    n: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects a kernel that would fail, or stand still, at run time."""
        check_particles(self.n, 2, "conditional SMC")
        target_of(self.sampler, "conditional SMC")
        jax.eval_shape(self._dry_run)

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, ConditionalInfo]:
        """A new value, given the current one."""
        check_key(key)
        run_key, pick_key = jax.random.split(key)
        cloud, info = self.sampler.conditional(run_key, spawn(self.n), x)
        index = choice(pick_key, cloud.log_weights)
        return _lane(cloud, index), ConditionalInfo(cloud.log_z, index != 0, worst_status(info))

    @property
    def invariant(self) -> Measure:
        """What the sampler means."""
        return self.sampler.meaning(Measure())

    def _dry_run(self) -> Any:
        """One transition from a fresh value, traced only to find what has no conditional form."""
        key = jax.random.key(0)
        cloud, _ = self.sampler(key, spawn(self.n))
        return self(key, _lane(cloud, jnp.int32(0)))[0]


def conditional_smc(sampler: Sampler, n: int) -> ConditionalSMC:
    """Particle Gibbs on a sampler's own value: see `ConditionalSMC`."""
    return ConditionalSMC(sampler, n)


def _lane(cloud: Particles, index: Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], take_lanes(cloud.values, index[None]))
