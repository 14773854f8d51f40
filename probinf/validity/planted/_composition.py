"""Wrong compositions: retries, nesting and choosing that claim more than they do."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._measure import Density, Guarantee
from probinf._particles import Particles
from probinf._primitives import Best, Choose, Draw, Move, Nested, Resample, Reweight, Verified, While
from probinf._sampler import Info
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Multinomial
from probinf.validity._denote import denote
from probinf.validity._finite import FiniteMeasure
from probinf.validity._report import SamplerCase


class ForgetsInnerEvidence(Nested):
    """The inner run's estimate of the mass is dropped."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Nested, without the weight."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_weights=cloud.log_weights), info


class CountsRejected(Verified):
    """A lane that was never accepted keeps its weight instead of abstaining."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Verified, without abstention."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_weights=cloud.log_weights), info


class BestCalledProper(Best):
    """Best-of-n that claims to keep its target."""

    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.PROPER, init=False)


def _some_odd(cloud: Particles) -> Array:
    return jnp.any(cloud.values % 2 == 1)


def _log_likelihood(x: Int[Array, ""]) -> Array:
    return jnp.log(jnp.array([0.9, 0.2, 0.5]))[x]


def _even(x: Int[Array, ""]) -> Array:
    return x % 2 == 0


def composition_bugs() -> tuple[SamplerCase, ...]:
    """Compositions with one wrong claim each."""
    prior, likelihood = (
        Categorical(np.log([0.2, 0.5, 0.3]), name="prior"),
        Density("likelihood", _log_likelihood),
    )
    weighed = Draw(prior) >> Reweight(likelihood)
    move = Move(MetropolisHastings(prior, FiniteProposal(np.zeros((3, 3)))))
    target = denote(weighed, FiniteMeasure((), np.zeros(1)))
    return (
        SamplerCase("loop that stops when it likes what it sees", Draw(prior) >> While(move, _some_odd, 2)),
        SamplerCase("nested run without its evidence", ForgetsInnerEvidence(weighed, 2)),
        SamplerCase("rejected lanes that keep their weight", CountsRejected(Draw(prior), _even, 2)),
        SamplerCase(
            "best of n called proper",
            weighed >> Resample(Multinomial()) >> Choose(BestCalledProper(likelihood)),
            target=target,
        ),
    )
