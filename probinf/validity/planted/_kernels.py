"""Wrong Metropolis-Hastings kernels and wrong uses of right ones: each claims that it keeps its target."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._choice import flip
from probinf._measure import Density, Distribution, Factor, Measure
from probinf._particles import Particles
from probinf._primitives import Draw, Move, Resample, Reweight
from probinf._sampler import Info, Kernel, Sampler
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Multinomial
from probinf.validity._report import KernelCase, SamplerCase

_PRIOR = np.log(np.array([0.2, 0.5, 0.3]))
# No array: JAX keeps one that a trace reads in the precision of the first trace, whatever the next one asks for.
_LIKELIHOOD = (0.9, 0.2, 0.5)
_PROPOSAL = np.log(np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]]))


class Altered(Kernel):
    """Metropolis-Hastings on three states whose log acceptance ratio someone altered."""

    right: MetropolisHastings
    alteration: str = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """One transition with the altered ratio."""
        propose_key, accept_key = jax.random.split(key)
        y = self.right.proposal.sample(propose_key, x)
        log_target = self.right.target.log_density(y) - self.right.target.log_density(x)
        log_ratio = log_target + self.right.proposal.log_ratio(x, y)
        altered = {
            "no Hastings ratio": log_target,
            "ratio times 1.1": log_ratio + jnp.log(1.1),
            "ratio times 1.001": log_ratio + jnp.log(1.001),
            "ratio upside down": -log_ratio,
            "always accepted": jnp.zeros_like(log_ratio),
        }[self.alteration]
        return jnp.where(flip(accept_key, altered), y, x), ()

    @property
    def invariant(self) -> Measure:
        """What the unaltered kernel keeps."""
        return self.right.invariant


class Mislabelled(Kernel):
    """A right kernel for one measure that says it keeps another one."""

    kernel: Kernel
    claimed: Measure

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """The right transition for the wrong measure."""
        return self.kernel(key, x)

    @property
    def invariant(self) -> Measure:
        """The claim."""
        return self.claimed


class AdaptiveTempering(Sampler):
    """Chooses the temperature by looking at the weights, moves there, and still claims an unbiased evidence.

    A temperature that depends on the cloud makes E[Z-hat] differ from Z: such a sampler is consistent at best.
    """

    prior: Distribution
    likelihood: Factor
    proposal: FiniteProposal

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Half the likelihood where lanes disagree, all of it where they agree; resample, move, weigh the rest."""
        resample_key, move_key = jax.random.split(key)
        log_g = self.likelihood.log_density_lanes(cloud.values, cloud.n)
        step = jnp.where(jnp.max(log_g) - jnp.min(log_g) > 0.1, 0.5, 1.0)
        weighed = cloud.replace(log_weights=cloud.log_weights + step * log_g)
        after, _ = Resample(Multinomial())(resample_key, weighed)
        moved, _ = Move(MetropolisHastings(self.prior * self.likelihood**step, self.proposal))(move_key, after)
        rest = (1.0 - step) * self.likelihood.log_density_lanes(moved.values, moved.n)
        return moved.replace(log_weights=moved.log_weights + rest), ()

    def meaning(self, m: Measure) -> Measure:
        """M * likelihood, which is not what it does."""
        return m * self.likelihood


def _log_likelihood(x: Any) -> Float[Array, ""]:
    return jnp.log(jnp.array(_LIKELIHOOD))[x]


def kernel_bugs() -> tuple[KernelCase | SamplerCase, ...]:
    """Kernels with one wrong line each, and right kernels in the wrong place."""
    prior = Categorical(_PRIOR, name="prior")
    likelihood = Density("likelihood", _log_likelihood)
    posterior = MetropolisHastings(prior * likelihood, FiniteProposal(_PROPOSAL))
    cold = MetropolisHastings(prior * likelihood**0.5, FiniteProposal(_PROPOSAL))
    adaptive = AdaptiveTempering(prior, likelihood, FiniteProposal(_PROPOSAL))
    states, log_target = jnp.arange(3, dtype=jnp.int32), _PRIOR + np.log(_LIKELIHOOD)
    start = Draw(prior) >> Reweight(likelihood) >> Resample(Multinomial())
    altered = (
        "no Hastings ratio",
        "ratio times 1.1",
        "ratio times 1.001",
        "ratio upside down",
        "always accepted",
    )
    return (
        *(KernelCase(f"Metropolis-Hastings, {how}", Altered(posterior, how), states, log_target) for how in altered),
        SamplerCase("kernel at the wrong temperature", start >> Move(cold)),
        SamplerCase("kernel that lies about its temperature", start >> Move(Mislabelled(cold, posterior.invariant))),
        SamplerCase("adaptive tempering called unbiased", Draw(prior) >> adaptive),
    )
