"""Attacks by the same lie twice: what the code does and what it states are wrong in the same way, or not compared."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import (
    Density,
    Distribution,
    Draw,
    Factor,
    Guarantee,
    Map,
    Measure,
    Move,
    Particles,
    Resample,
    Reweight,
    Sampler,
    choice,
)
from probinf._measure import as_measure
from probinf._sampler import Info
from probinf.cases._attack import Attack
from probinf.cases._attack_model import LIKELIHOOD, POSTERIOR, PRIOR, STATES, Prior, finite, small_likelihood
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings, conditional_smc
from probinf.resampling import Multinomial
from probinf.samplers import importance
from probinf.validity import KernelCase, SamplerCase

# Sums to 1.4.
_SCORES = (0.7, 0.4, 0.3)


def attacks_lies() -> tuple[Attack, ...]:
    """Designs whose code and statement agree with each other, and not with the truth."""
    cases = (*_proposals(), *_batches(), *_meanings(), *_moves())
    return tuple(Attack(case, "the same lie") for case in cases)


def _proposals() -> tuple[SamplerCase, ...]:
    target = Prior() * small_likelihood()
    likelihood = Reweight(small_likelihood())
    return (
        SamplerCase("proposal at another temperature than its density", importance(WarmProposal(), target)),
        SamplerCase("proposal without its normalizing constant", importance(RawScores(), target)),
        SamplerCase("proposal that never draws what its density allows", Draw(TopTwo()) >> likelihood),
        SamplerCase("step whose density forgets where it came from", _mixed(StationaryDensity())),
    )


def _mixed(step: Distribution) -> Sampler:
    """Two states in a row: the second is proposed by a step and weighed to be uniform instead."""
    pair = Map(_pair)
    return Draw(Categorical(np.log([0.3, 0.7]), name="start")) >> pair >> Draw(step) >> Reweight(_Uniform() / step)


def _batches() -> tuple[SamplerCase | KernelCase, ...]:
    likelihood = Reweight(small_likelihood())
    shared = conditional_smc(Draw(SharedDraw()) >> likelihood, 3)
    return (
        SamplerCase("batched draw at another temperature", Draw(WarmBatch()) >> likelihood),
        SamplerCase("batched score divided by the length", Draw(Prior()) >> Reweight(MeanScore())),
        KernelCase("batched draw of one value for all lanes", shared, STATES, np.log(POSTERIOR)),
        SamplerCase("retraced draw of another law", Draw(UniformBesideReference()) >> likelihood),
    )


def _meanings() -> tuple[SamplerCase, ...]:
    start, likelihood = Draw(Prior()), small_likelihood()
    other, posterior = Density("likelihood", _log_other), finite(POSTERIOR)
    return (
        SamplerCase("meaning forgets what came in", start >> ForgetsTheRest(likelihood)),
        SamplerCase("meaning states the prior again", start >> StatesThePriorAgain(likelihood), target=posterior),
        SamplerCase("meaning names another factor", start >> StatesOther(likelihood, other), target=posterior),
        SamplerCase("meaning remembers the last run", start >> MeansTheLastRun(likelihood)),
        SamplerCase("map that claims to change nothing", start >> Reweight(likelihood) >> SilentMap(_merged)),
    )


def _moves() -> tuple[SamplerCase | KernelCase, ...]:
    prior, likelihood = Prior(), small_likelihood()
    hot, cold = Table("likelihood", LIKELIHOOD), Table("likelihood", tuple(g**0.5 for g in LIKELIHOOD))
    proposal = FiniteProposal(np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]]))
    stale = Move(MetropolisHastings(prior * Tabulated(cold), proposal))
    tempered = np.log(PRIOR) + 0.5 * np.log(LIKELIHOOD)
    batched = [
        KernelCase(name, kind(prior * likelihood, proposal), STATES, np.log(POSTERIOR))
        for name, kind in (
            ("batched move returns zeros", ReturnsZeros),
            ("batched move counts to one", IgnoresTimes),
            ("batched move shares one draw among lanes", SharesDraws),
        )
    ]
    return (
        *batched,
        KernelCase(
            "kernel states what it does not keep", StatesPosterior(prior * likelihood**0.5, proposal), STATES, tempered
        ),
        SamplerCase(
            "tables that are equal by name", Draw(prior) >> Reweight(Tabulated(hot)) >> Resample(Multinomial()) >> stale
        ),
    )


class WarmProposal(Distribution):
    """Samples at temperature 2 and states the density at temperature 1: the evidence is 33 % too large."""

    name: str = eqx.field(static=True, default="proposal")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        return choice(key, 0.5 * jnp.log(jnp.array((0.7, 0.2, 0.1))))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array((0.7, 0.2, 0.1)))[x]


class RawScores(Distribution):
    """States scores that sum to 1.4 as its density: the evidence is 1 / 1.4 of the truth, and averages are right."""

    name: str = eqx.field(static=True, default="scores")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        return choice(key, jnp.log(jnp.array(_SCORES)))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array(_SCORES))[x]


class TopTwo(Distribution):
    """Draws from the two likeliest outcomes and states the density of all three: the third, 0.2, is never drawn."""

    name: str = eqx.field(static=True, default="model")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        return choice(key, jnp.log(jnp.array((0.5, 0.3))))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array((0.5, 0.3, 0.2)))[x]


class StationaryDensity(Distribution):
    """A Markov step that states the stationary density of the new state: as a proposal it gives 1.19 for mass 1."""

    name: str = eqx.field(static=True, default="step")

    def sample(self, key: PRNGKeyArray, x: Int[Array, " 2"]) -> Int[Array, " 2"]:
        return x.at[1].set(choice(key, jnp.log(jnp.array(((0.9, 0.1), (0.2, 0.8))))[x[0]]))

    def log_density(self, x: Int[Array, " 2"]) -> Float[Array, ""]:
        return jnp.log(jnp.array((2 / 3, 1 / 3)))[x[1]]


class _Uniform(Factor):
    name: str = eqx.field(static=True, default="uniform")

    def log_density(self, x: Int[Array, " 2"]) -> Float[Array, ""]:
        return jnp.log(jnp.full(2, 0.5))[x[1]]


class WarmBatch(Prior):
    """One draw has the stated law, and a batch the law at temperature 2: 0.48 for the mass of 0.43."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        return choice(key, 0.5 * jnp.log(jnp.array(PRIOR)), (n,))


class SharedDraw(Prior):
    """A batch repeats one draw in all lanes: conditional SMC with three lanes misses its law by 0.042."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        return jnp.repeat(self.sample(key, ())[None], n)


class UniformBesideReference(Prior):
    """A run draws from the prior, and conditional SMC draws the lanes beside its reference uniformly."""

    def retrace_lanes(self, key: PRNGKeyArray, values: Any, n: int, reference: Any) -> Int[Array, " n"]:
        return choice(key, jnp.zeros(3), (n,)).at[0].set(reference)


class MeanScore(Factor):
    """One value gets the sum of its two log-scores, a batch their mean: 0.46 for the mass of 0.25."""

    name: str = eqx.field(static=True, default="score")

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return self._log_scores(x).sum()

    def log_density_lanes(self, values: Int[Array, " n"], n: int) -> Float[Array, " n"]:
        return jax.vmap(self._log_scores)(values).mean(axis=1)

    def _log_scores(self, x: Int[Array, ""]) -> Float[Array, " 2"]:
        return jnp.log(jnp.array(((0.9, 0.8), (0.2, 0.5), (0.5, 0.4))))[x]


class ForgetsTheRest(Sampler):
    """Multiplies the weights, and states its potential alone: the prior that came in is left out."""

    potential: Factor

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        return Reweight(self.potential)(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        return as_measure(self.potential).claiming(Guarantee.PROPER)


class StatesThePriorAgain(ForgetsTheRest):
    """Multiplies by the likelihood and states prior * likelihood: after a draw from the prior it counts twice."""

    def meaning(self, m: Measure) -> Measure:
        prior = Prior()
        return (m * prior * self.potential).claiming(Guarantee.PROPER)


class StatesOther(ForgetsTheRest):
    """Multiplies by one likelihood and states another of the same name."""

    stated: Factor

    def meaning(self, m: Measure) -> Measure:
        return (m * self.stated).claiming(Guarantee.PROPER)


# What the last run multiplied by.
_APPLIED: list[Factor] = []


class MeansTheLastRun(ForgetsTheRest):
    """States what the last run did, once: before a run and when asked again it states that it changes nothing."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        _APPLIED[:] = [self.potential]
        return super().__call__(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        return (m * _APPLIED.pop() if _APPLIED else m).claiming(Guarantee.PROPER)


class SilentMap(Map):
    """Merges two states, and states that the law is what it was: 0.15 of the mass is where it cannot be."""

    def meaning(self, m: Measure) -> Measure:
        return m


class ReturnsZeros(MetropolisHastings):
    """One transition is right, and a batch of them returns an array that was never filled."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        return jax.tree.map(jnp.zeros_like, values), super().move_lanes(key, values, n, times)[1]


class IgnoresTimes(MetropolisHastings):
    """A batch makes one transition, however many are asked for."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        return super().move_lanes(key, values, n)


class SharesDraws(MetropolisHastings):
    """A batch moves all lanes by the same coins: each lane is right, and lanes that were equal stay so."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        info = None
        for step_key in jax.random.split(key, times):
            values, info = jax.vmap(self, in_axes=(None, 0))(step_key, values)
        return values, info


class StatesPosterior(MetropolisHastings):
    """Keeps the posterior at half the likelihood and states the whole one as invariant."""

    @property
    def invariant(self) -> Measure:
        return Prior() * small_likelihood()


class Table:
    """Numbers that are equal when their names are."""

    def __init__(self, name: str, numbers: tuple[float, ...]):
        self.name, self.numbers = name, numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Tabulated(Factor):
    """A factor whose content takes no part in comparisons: a kernel for another one counts as built for it."""

    table: Table = eqx.field(static=True)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.table.name

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array(self.table.numbers))[x]


def _log_other(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array((0.1, 0.8, 0.5)))[x]


def _pair(x: Int[Array, ""]) -> Int[Array, " 2"]:
    return jnp.stack([x, jnp.zeros_like(x)])


def _merged(x: Int[Array, ""]) -> Int[Array, ""]:
    return jnp.minimum(x, 1)
