"""Attacks that hide in what several lanes, several steps or a lost lane show, and in values that nothing draws."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from probinf import Distribution, Draw, Factor, Guarantee, Map, Measure, Particles, Resample, Reweight, Sampler, choice
from probinf._sampler import Info
from probinf.cases._attack import Attack
from probinf.cases._attack_model import LIKELIHOOD, POSTERIOR, STATES, Prior, finite, small_likelihood
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Multinomial
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase

_PROPOSAL = ((0.2, 0.5, 0.3), (0.6, 0.1, 0.3), (0.25, 0.35, 0.4))
# Below and above what the fresh clouds of these models hold.
_FLOOR, _CEILING = -30.0, 20.0


def attacks_lanes() -> tuple[Attack, ...]:
    """Designs that are right on one lane, on few steps or on a fresh cloud."""
    return (
        *(Attack(case, "the same lie") for case in (*_unreached(), *_draws(), *_moves())),
        *(Attack(case, "stronger guarantee") for case in _claims()),
        *(Attack(case, "stages") for case in _clouds()),
        *(Attack(case, "randomness") for case in _grids()),
    )


def _unreached() -> tuple[SamplerCase, ...]:
    prior = Prior()
    return (
        SamplerCase("proposal that lacks a state of the target", Draw(TwoOfThree()) >> Reweight(prior / TwoOfThree())),
        SamplerCase("density of the nearest state that is drawn", Draw(prior) >> Reweight(Nearest() / prior)),
    )


def _draws() -> tuple[SamplerCase, ...]:
    likelihood = Reweight(small_likelihood())
    kinds = {
        "third lane that follows from two others": ThirdFollows,
        "fourth lane that follows from three others": FourthFollows,
        "equal lanes that draw one value": DrawsOnce,
        "batch that draws in reverse order": Reversed,
    }
    cases = [SamplerCase(name, Draw(kind()) >> likelihood) for name, kind in kinds.items()]
    scored = SamplerCase("batched score that is right up to two lanes", Draw(Prior()) >> Reweight(ThirdLaneScore()))
    after = Draw(Categorical(np.log([0.4, 0.6]), name="start")) >> Map(_pair) >> Draw(OneFlip()) >> Reweight(_Second())
    return (*cases, scored, SamplerCase("equal starts that draw one step", after))


def _moves() -> tuple[KernelCase, ...]:
    target = Prior() * small_likelihood()
    proposal = FiniteProposal(np.log(_PROPOSAL))
    kinds = {
        "batched move that makes two steps of three": AtMostTwo,
        "batched move of equal lanes by the same coins": MovesTogether,
        "batched move that swaps its lanes": SwapsLanes,
        "batched move in which a third lane follows": ThirdMoves,
    }
    return tuple(KernelCase(name, kind(target, proposal), STATES, np.log(POSTERIOR)) for name, kind in kinds.items())


def _claims() -> tuple[SamplerCase, ...]:
    laundered = Draw(Prior()) >> Reweight(small_likelihood()) >> Launders()
    return (SamplerCase("stage that makes a heuristic exact", laundered, target=finite(POSTERIOR)),)


def _clouds() -> tuple[SamplerCase, ...]:
    weighed = Draw(Prior()) >> Reweight(small_likelihood())
    held = Draw(AllHeld()) >> Reweight(small_likelihood()) >> Resample(Multinomial())
    return (
        SamplerCase("stage that brings dead lanes back", weighed >> FloorsWeights()),
        SamplerCase("stage that cuts large evidence", weighed >> CutsEvidence()),
        SamplerCase("conditional form that holds every lane", held),
    )


def _grids() -> tuple[SamplerCase, ...]:
    halves = FiniteMeasure(np.array([0.25, 0.75]), np.log([0.5, 0.5]))
    return (SamplerCase("threshold between two points of a grid", Draw(OffGrid()), target=halves, grid=10),)


class TwoOfThree(Distribution):
    """Draws two of the three states of the target, with the right density: a third of the target is never seen."""

    name: str = eqx.field(static=True, default="proposal")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        return choice(key, jnp.log(jnp.array((0.6, 0.4))))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array((0.6, 0.4, 0.0)))[x]


class Nearest(Distribution):
    """Draws two states, and states for the third the density of the second: as a target it has mass 1.4."""

    name: str = eqx.field(static=True, default="target")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        return choice(key, jnp.log(jnp.array((0.6, 0.4))))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array((0.6, 0.4)))[jnp.minimum(x, 1)]


class ThirdFollows(Prior):
    """Each lane has the law of the prior, and so has each pair; with three, the third is the sum of the others."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        return _with_follower(key, n, 2)


class FourthFollows(Prior):
    """The same with four lanes: any three of them are independent."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        return _with_follower(key, n, 3)


def _with_follower(key: PRNGKeyArray, n: int, first: int) -> Int[Array, " n"]:
    """Draws of the prior from tenths, where the tenth of lane `first` is the sum of those before, modulo ten."""
    tenths = jnp.stack([choice(lane, jnp.zeros(10)) for lane in jax.random.split(key, n)])
    if n > first:
        tenths = tenths.at[first].set((jnp.sum(tenths[:first]) % 10).astype(tenths.dtype))
    return jnp.array((0, 0, 1, 1, 1, 1, 1, 2, 2, 2))[tenths]


class DrawsOnce(Prior):
    """A batch draws once for all lanes with the same value so far."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        return jnp.repeat(self.sample(key, ())[None], n)


class Reversed(Prior):
    """A batch hands its keys out from the last lane on: a longer cloud draws other values in its first lanes."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        return jax.vmap(lambda lane: self.sample(lane, ()))(_forward(key, n)[::-1])


def _forward(key: PRNGKeyArray, n: int) -> Key[Array, " n"]:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(n))


class OneFlip(Distribution):
    """The second state given the first; lanes with one first state draw one second state."""

    name: str = eqx.field(static=True, default="step")

    def sample(self, key: PRNGKeyArray, x: Int[Array, " 2"]) -> Int[Array, " 2"]:
        return x.at[1].set(choice(key, _steps()[x[0]]))

    def log_density(self, x: Int[Array, " 2"]) -> Float[Array, ""]:
        return _steps()[x[0], x[1]]

    def sample_lanes(self, key: PRNGKeyArray, values: Int[Array, "n 2"], n: int) -> Int[Array, "n 2"]:
        each = jax.vmap(lambda lane, row: choice(lane, row))(jax.random.split(key), _steps())
        return values.at[:, 1].set(each[values[:, 0]])


def _steps() -> Float[Array, "2 2"]:
    return jnp.log(jnp.array(((0.9, 0.1), (0.2, 0.8))))


class _Second(Factor):
    name: str = eqx.field(static=True, default="likelihood")

    def log_density(self, x: Int[Array, " 2"]) -> Float[Array, ""]:
        return jnp.log(jnp.array((0.3, 0.7)))[x[1]]


class ThirdLaneScore(Factor):
    """The batched score of a third lane and of those after it is that of the first state."""

    name: str = eqx.field(static=True, default="score")

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.array(LIKELIHOOD))[x]

    def log_density_lanes(self, values: Int[Array, " n"], n: int) -> Float[Array, " n"]:
        return jnp.log(jnp.array(LIKELIHOOD))[jnp.where(jnp.arange(n) < 2, values, 0)]


class AtMostTwo(MetropolisHastings):
    """A batch makes two transitions where three or more are asked for."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        return super().move_lanes(key, values, n, min(times, 2))


class MovesTogether(MetropolisHastings):
    """Lanes in one state move by one set of coins: each is right, and those that meet stay together."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        info = None
        for step_key in jax.random.split(key, times):
            ends, info = jax.vmap(self)(jax.random.split(step_key, 3), jnp.arange(3, dtype=jnp.int32))
            values = ends[values]
        return values, jax.tree.map(lambda leaf: jnp.zeros((n, *leaf.shape[1:]), leaf.dtype), info)


class SwapsLanes(MetropolisHastings):
    """A batch returns its lanes in another order, which weights do not follow."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        moved, info = super().move_lanes(key, values, n, times)
        return jax.tree.map(lambda leaf: leaf[::-1], moved), info


class ThirdMoves(MetropolisHastings):
    """A third lane takes what the first two leave: the state that makes the sum of all three a multiple of three."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        moved, info = super().move_lanes(key, values, n, times)
        return (moved.at[2].set((-(moved[0] + moved[1]) % 3).astype(moved.dtype)) if n > 2 else moved), info


class Launders(Sampler):
    """Changes nothing, and states that what comes in is exact, whatever it was."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        return cloud, ()

    def meaning(self, m: Measure) -> Measure:
        return Measure(m.factors, m.exponents, Guarantee.PROPER)


class FloorsWeights(Sampler):
    """Keeps log-weights above a floor: a lane that an earlier stage has killed lives on."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        return cloud.replace(log_weights=jnp.maximum(cloud.log_weights, _FLOOR)), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)


class CutsEvidence(Sampler):
    """Keeps the log-evidence below a ceiling that small models do not reach."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        return cloud.replace(log_evidence=jnp.minimum(cloud.log_evidence, _CEILING)), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)


class AllHeld(Prior):
    """Conditional SMC holds every lane at the reference: it keeps each state, and never goes to another."""

    def retrace_lanes(self, key: PRNGKeyArray, values: Any, n: int, reference: Any) -> Int[Array, " n"]:
        return jnp.repeat(jnp.asarray(reference)[None], n)


class OffGrid(Distribution):
    """A coin of .5 by a threshold at .53, which the points of a grid of tenths take for .5."""

    name: str = eqx.field(static=True, default="coin")

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, ""]:
        return jnp.where(jax.random.uniform(key) < 0.53, 0.25, 0.75)

    def log_density(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.full_like(x, 0.5))


def _pair(x: Int[Array, ""]) -> Int[Array, " 2"]:
    return jnp.stack([x, jnp.zeros_like(x)])
