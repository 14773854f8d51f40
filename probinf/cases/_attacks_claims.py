"""Attacks by claims that are too strong: of guarantees, and of what a kernel that keeps its target is good for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import (
    Density,
    Draw,
    Factor,
    Guarantee,
    Kernel,
    Measure,
    Particles,
    Reweight,
    Sampler,
    choice,
    flip,
    uniform_cells,
)
from probinf._measure import as_measure
from probinf._particles import log_mean_exp
from probinf._sampler import Info
from probinf.cases._attack import Attack
from probinf.cases._attack_model import (
    LIKELIHOOD,
    POSTERIOR,
    PRIOR,
    STATES,
    Prior,
    finite,
    small_likelihood,
)
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.samplers import importance
from probinf.validity import KernelCase, SamplerCase

_NORMALIZED = tuple(mass / sum(POSTERIOR) for mass in POSTERIOR)
_PROPOSAL = ((0.2, 0.5, 0.3), (0.6, 0.1, 0.3), (0.25, 0.35, 0.4))
# The law of three bits, of which no two are independent given the third.
_BITS = (((0.2, 0.05), (0.1, 0.15)), ((0.05, 0.1), (0.05, 0.3)))


def attacks_claims() -> tuple[Attack, ...]:
    """Samplers that claim a stronger guarantee than theirs, and kernels that are stuck or break their target."""
    guarantees = (*_exact(), *_proper())
    return (
        *(Attack(case, "stronger guarantee") for case in guarantees),
        *(Attack(case, "invariance") for case in (*_stuck(), *_broken())),
    )


def _exact() -> tuple[SamplerCase, ...]:
    start, prior, posterior = Draw(Prior()), finite(PRIOR), finite(_NORMALIZED)
    weighed = importance(Categorical(np.log([0.3, 0.3, 0.4]), name="proposal"), Prior())
    shown = Density("posterior", _log_posterior)
    resampled = SaysExact(start >> ForgetfulResample(), shown)
    supremum, tries = SaysExact(start >> SupremumRejection(), shown), SaysExact(SecondTryStands(), shown)
    return (
        SamplerCase("importance weights called exact", SaysExact(weighed, Prior()), target=prior),
        SamplerCase("Russian roulette called exact", start >> Roulette()),
        SamplerCase("self-normalized resampling called exact", resampled, target=posterior),
        SamplerCase("rejection below the largest weight seen called exact", supremum, target=posterior),
        SamplerCase("rejection that keeps its last try called exact", tries, target=posterior),
        SamplerCase("strata over lanes called exact", Draw(Strata())),
        SamplerCase("one lane that explores called exact", LaneOneExplores(), target=prior),
        SamplerCase("evidence of one shard called exact", start >> OneShard()),
    )


def _proper() -> tuple[SamplerCase, ...]:
    weighed = Draw(Prior()) >> Reweight(small_likelihood())
    return (
        SamplerCase("harmonic mean called proper", HarmonicMean(), target=finite(POSTERIOR)),
        SamplerCase("claim renewed by a stage that does nothing", weighed >> RenewsTheClaim()),
    )


def _stuck() -> tuple[KernelCase, ...]:
    """Each keeps its target, and none brings a chain to it."""
    nowhere, half = -np.inf, np.log(0.5)
    by_two = FiniteProposal(
        np.array(
            [
                [half, nowhere, half, nowhere],
                [nowhere, half, nowhere, half],
                [half, nowhere, half, nowhere],
                [nowhere, half, nowhere, half],
            ]
        )
    )
    blocks = MetropolisHastings(Density("four states", _log_four), by_two)
    four, bipartite = np.arange(4, dtype=np.int32), np.log([0.25, 0.25, 0.5])
    with_zero = np.array([np.log(0.6), np.log(0.4), -np.inf])
    return (
        KernelCase("kernel that stays where it is", Stays(), STATES, np.log(PRIOR)),
        KernelCase("kernel that never leaves a state of density zero", StuckAtZero(), STATES, with_zero),
        KernelCase("kernel of period two", TakesTurns(), STATES, bipartite),
        KernelCase("kernel of two blocks", blocks, four, np.log([0.1, 0.2, 0.3, 0.4])),
    )


def _broken() -> tuple[KernelCase, ...]:
    bits = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=1).astype(np.int32)
    posterior = Prior() * small_likelihood()
    wide, narrow = FiniteProposal(np.log(_PROPOSAL)), FiniteProposal(np.zeros((3, 3)))
    picks = PicksByState(MetropolisHastings(posterior, wide), MetropolisHastings(posterior, narrow))
    return (
        KernelCase("collapsed Gibbs in another order", CollapsedGibbs(), bits, np.log(_BITS).reshape(-1)),
        KernelCase("kernel that seldom leaves the states", OnePastTheEnd(), STATES, np.log(PRIOR)),
        KernelCase("mixture that picks by the state", picks, STATES, np.log(POSTERIOR)),
    )


class SaysExact(Sampler):
    """A sampler under an EXACT claim: its lanes are weighted, or not of the law, at any number of lanes."""

    inner: Sampler
    claim: Factor

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        return self.inner(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        return m * self.claim


class Unclaiming(Sampler):
    """States that the measure is what it was, with the guarantee that it had."""

    def meaning(self, m: Measure) -> Measure:
        return m


class Roulette(Unclaiming):
    """Kills each lane with probability 1/2 and doubles the others: PROPER, and claimed to be EXACT."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        survives = flip(key, jnp.full_like(cloud.log_weights, jnp.log(0.5)))
        return cloud.replace(log_weights=jnp.where(survives, cloud.log_weights + jnp.log(2.0), -jnp.inf)), ()


class OneShard(Unclaiming):
    """Multiplies the evidence by one of two unbiased estimates of one: PROPER, and claimed to be EXACT."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        estimate = jnp.log(jnp.array((0.6, 1.4)))[choice(key, jnp.zeros(2))]
        return cloud.replace(log_evidence=cloud.log_evidence + estimate), ()


class ForgetfulResample(Unclaiming):
    """Resamples by the likelihood and forgets the evidence: CONSISTENT, off by 0.14 with two lanes."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        log_g = small_likelihood().log_density_lanes(cloud.values, cloud.n)
        return cloud.replace(values=cloud.values[choice(key, log_g, (cloud.n,))]), ()


class SupremumRejection(Unclaiming):
    """Accepts by the likelihood over the largest one seen, else copies the best lane: off by 0.11 with two lanes."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        log_g = small_likelihood().log_density_lanes(cloud.values, cloud.n)
        accepted = flip(key, log_g - jnp.max(log_g))
        return cloud.replace(values=jnp.where(accepted, cloud.values, cloud.values[jnp.argmax(log_g)])), ()


class SecondTryStands(Unclaiming):
    """Rejection sampling whose second try is kept whether it is accepted or not: off by 0.14."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        first_key, accept_key, second_key = jax.random.split(key, 3)
        draw = Draw(Prior())
        first, second = draw(first_key, cloud)[0].values, draw(second_key, cloud)[0].values
        bound = jnp.log(max(LIKELIHOOD))
        accepted = flip(accept_key, small_likelihood().log_density_lanes(first, cloud.n) - bound)
        return cloud.replace(values=jnp.where(accepted, first, second)), ()


class Strata(Prior):
    """Lane i draws in the i-th of n strata: averages over lanes are right, and the law of each lane is not."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        inner = jnp.cumsum(jnp.array(PRIOR))[:-1]
        lanes = jnp.arange(n)
        u = uniform_cells(key, n * inner[None, :] - lanes[:, None])
        return jnp.sum((lanes + u)[:, None] >= n * inner[None, :], axis=1).astype(jnp.int32)


class LaneOneExplores(Sampler):
    """Lane 1 draws uniformly and is weighed, the others draw from the prior: PROPER, and claimed to be EXACT."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        explores = jnp.arange(cloud.n) == 1
        log_prior = jnp.log(jnp.array(PRIOR))
        values = choice(key, jnp.where(explores[:, None], 0.0, log_prior[None, :]))
        log_w = jnp.where(explores, log_prior[values] + jnp.log(3.0), 0.0)
        return cloud.replace(values=values, log_weights=cloud.log_weights + log_w), ()

    def meaning(self, m: Measure) -> Measure:
        return m * Prior()


class HarmonicMean(Sampler):
    """Estimates the mass from posterior draws by the harmonic mean of likelihoods: 0.53 for 0.43 with two lanes."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        values = choice(key, jnp.log(jnp.array(POSTERIOR)), (cloud.n,))
        log_mass = -log_mean_exp(-small_likelihood().log_density_lanes(values, cloud.n))
        return cloud.replace(values=values, log_evidence=cloud.log_evidence + log_mass), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Prior() * small_likelihood()).claiming(Guarantee.PROPER)


class RenewsTheClaim(Sampler):
    """Builds the measure anew, so that weighted lanes are EXACT again."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        del key
        return cloud, ()

    def meaning(self, m: Measure) -> Measure:
        return Measure(m.factors, m.exponents)


class Stays(Kernel):
    """The identity, which keeps every measure."""

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        del key
        return x, ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Prior())


class StuckAtZero(Kernel):
    """Metropolis that rejects by every ratio that is not finite, also by that from density zero to a positive one."""

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        propose_key, accept_key = jax.random.split(key)
        y = choice(propose_key, jnp.zeros(3))
        log_ratio = _log_with_zero(y) - _log_with_zero(x)
        accepted = flip(accept_key, jnp.where(jnp.isfinite(log_ratio), log_ratio, -jnp.inf))
        return jnp.where(accepted, y, x), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("two of three", _log_with_zero))


class TakesTurns(Kernel):
    """Goes from state 2 to one of the others and from these to state 2: where it is tells how many steps it made."""

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        return jnp.where(x == 2, choice(key, jnp.zeros(2)), 2), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("half in state 2", _log_bipartite))


class CollapsedGibbs(Kernel):
    """Draws x given y alone, then y given an old z, then z: right is z before y, and this is off by 0.027.

    Source: van Dyk and Park, Journal of the American Statistical Association 103 (2008).
    """

    def __call__(self, key: PRNGKeyArray, x: Int[Array, " 3"]) -> tuple[Int[Array, " 3"], Info]:
        keys = jax.random.split(key, 3)
        joint = jnp.array(_BITS)
        a = choice(keys[0], jnp.log(joint.sum(axis=2)[:, x[1]]))
        b = choice(keys[1], jnp.log(joint[a, :, x[2]]))
        c = choice(keys[2], jnp.log(joint[a, b, :]))
        return jnp.stack([a, b, c]), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("three bits", _log_bits))


class OnePastTheEnd(Kernel):
    """A fresh draw that is one past the last state with probability 1e-12."""

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        del x
        return choice(key, jnp.log(jnp.array((*PRIOR, 1e-12)))), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Prior())


class PicksByState(Kernel):
    """Picks one of two right kernels with a probability that depends on where it is: off by 0.027."""

    first: Kernel
    second: Kernel

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        pick_key, first_key, second_key = jax.random.split(key, 3)
        picked = flip(pick_key, jnp.log(jnp.array((0.9, 0.5, 0.2)))[x])
        return jnp.where(picked, self.first(first_key, x)[0], self.second(second_key, x)[0]), ()

    @property
    def invariant(self) -> Measure:
        return self.first.invariant


def _log_posterior(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array(_NORMALIZED))[x]


def _log_four(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array((0.1, 0.2, 0.3, 0.4)))[x]


def _log_with_zero(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array((0.6, 0.4, 0.0)))[x]


def _log_bipartite(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array((0.25, 0.25, 0.5)))[x]


def _log_bits(x: Int[Array, " 3"]) -> Float[Array, ""]:
    return jnp.log(jnp.array(_BITS))[x[0], x[1], x[2]]
