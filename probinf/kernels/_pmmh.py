"""Particle marginal Metropolis-Hastings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key, flip
from probinf._measure import Factor, Measure, as_factor, as_measure
from probinf._sampler import Kernel, Sampler
from probinf._status import Status
from probinf.kernels._accept import log_accept_ratio, select
from probinf.kernels._check import check_particles, check_state
from probinf.kernels._pimh import ParticleMetropolisInfo, RunLaw, run_and_pick
from probinf.kernels._proposal import Proposal, as_proposal


class ModelState(NamedTuple):
    """Parameters, one value of a run of the model at them, and that run's log-estimate of the mass."""

    theta: Any
    value: Any
    log_z: Float[Array, ""]


class ParticleMarginalMetropolisHastings(Kernel):
    """Proposes parameters, runs the model's sampler there on n particles, and accepts both by prior times
    Z-hat.

    Law: reversible for prior(theta) * law-of-a-run(value, log_z | theta) * exp(log_z), under which (theta,
    value) follows prior(theta) * meaning(model(theta))(value) exactly, for every n >= 1. The estimate of the
    current parameters is kept, never refreshed: refreshing it (Monte Carlo within Metropolis) keeps no known
    law.

    `model` maps parameters to a Sampler; make it a Module whose fields hold the data.

    Source: Andrieu, Doucet and Holenstein, Journal of the Royal Statistical Society B 72 (2010), section
    2.4.2.

    Raises: ValueError for n < 1; TypeError for a prior on the host, a model that is not callable or a
    proposal that is none.
    """

    prior: Factor = eqx.field(converter=as_factor)
    model: Callable[[Any], Sampler]
    proposal: Proposal = eqx.field(converter=as_proposal)
    n: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects what cannot run."""
        check_particles(self.n, 1, "pmmh")
        if not self.prior.traceable:
            raise TypeError(f"pmmh is compiled, but the prior '{self.prior.name}' runs on the host")
        if isinstance(self.model, Sampler) or not callable(self.model):
            raise TypeError("pmmh needs a model that maps parameters to a Sampler; for a fixed Sampler use pimh")

    def init(self, key: PRNGKeyArray, theta: Any) -> ModelState:
        """The state that one run at the given parameters gives."""
        check_key(key)
        return self._run(key, theta)[0]

    def _run(self, key: PRNGKeyArray, theta: Any) -> tuple[ModelState, Int[Array, ""]]:
        state, status = run_and_pick(key, self.model(theta), self.n)
        return ModelState(theta, *state), status

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[ModelState, ParticleMetropolisInfo]:
        """One proposal of parameters with a run of its own, accepted or not."""
        check_key(key)
        check_state(x, ModelState, "pmmh", "jax.vmap(kernel.init)(keys, theta)")
        propose_key, run_key, accept_key = jax.random.split(key, 3)
        theta = self.proposal.sample(propose_key, x.theta)
        y, status = self._run(run_key, theta)
        log_prior = self.prior.log_density(theta)
        log_ratio = log_accept_ratio(
            self.prior.log_density(x.theta) + x.log_z,
            log_prior + y.log_z,
            self.proposal.log_ratio(x.theta, theta),
        )
        accepted = flip(accept_key, log_ratio)
        # Outside the prior's support a model need not be defined.
        status = jnp.where(log_prior == -jnp.inf, jnp.int32(Status.OK), status)
        return select(accepted, y, x), ParticleMetropolisInfo(accepted, log_ratio, status)

    @property
    def invariant(self) -> Measure:
        """The law of (theta, value, log_z) under which theta follows its posterior."""
        prior = as_measure(self.prior)
        return Measure((RunLaw(f"{prior.name} * model with its {self.n}-particle estimate", self),), (1.0,))


def pmmh(
    prior: Factor, model: Callable[[Any], Sampler], proposal: Proposal, n: int
) -> ParticleMarginalMetropolisHastings:
    """Metropolis-Hastings on parameters by estimated evidence: see `ParticleMarginalMetropolisHastings`."""
    return ParticleMarginalMetropolisHastings(prior, model, proposal, n)
