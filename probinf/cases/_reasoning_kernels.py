"""Particle Gibbs and tempering over steps of reasoning, against solutions that are counted out by hand."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Draw, Info, Kernel, Map, Measure, Particles, Reweight, Sampler
from probinf.cases._reasoning_bugs import (
    AnyCourse,
    HeldByFinalReward,
    HeldByNextReward,
    NotRetained,
    PastWithoutLikelihood,
    PastWithoutPotentials,
)
from probinf.cases._reasoning_models import (
    ENDING,
    NARROW,
    SHORT,
    STRADDLING,
    Unpaid,
    World,
    log_target,
    solution_case,
    states,
)
from probinf.cases._tempering_bugs import FlippedSwap
from probinf.lm import Solutions
from probinf.samplers import (
    Odds,
    ParallelTempering,
    Product,
    ReasoningGibbs,
    RewardTotal,
    SolutionLaw,
    ValueRatio,
    first_solution,
    reasoning_filter,
    reasoning_gibbs,
    reasoning_tempering,
)
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase

_BETAS = (0.5, 1.0)


def reasoning_kernels_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    gibbs = lambda world, rule, **knobs: reasoning_gibbs(world.writer(), rule, 2, **knobs)  # noqa: E731
    past = {"ancestor_sampling": True}
    pair = small_tempering(SHORT)
    return (
        solution_case("reasoning_gibbs", gibbs(NARROW, Product()), NARROW, np.prod),
        solution_case("reasoning_gibbs, ess", gibbs(ENDING, Product(), ess=0.9), ENDING, np.prod),
        solution_case("reasoning_gibbs, ancestor sampling, odds", gibbs(STRADDLING, Odds(), **past), STRADDLING, _odds),
        solution_case(
            "reasoning_gibbs, ancestor sampling, value ratio", gibbs(ENDING, ValueRatio(), **past), ENDING, _last
        ),
        tempering_case("reasoning_tempering, a move and a swap", MoveAndSwap(pair), SHORT),
        # Swaps alone only keep the target: no value is new.
        tempering_case("reasoning_tempering, swaps alone", pair.swap(0), SHORT)._replace(ergodic=False),
        SamplerCase("first_solution", First(reasoning_filter(SHORT.writer())) >> Map(_text), target=_texts(SHORT)),
        SamplerCase("solutions drawn and weighed whole", _weighed(SHORT) >> Map(_text), target=_texts(SHORT)),
        SamplerCase(
            "reasoning_filter, 2 islands",
            reasoning_filter(SHORT.writer(), islands=2) >> Map(_text),
            n=4,
            target=_texts(SHORT),
        ),
    )


def reasoning_kernels_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    held = lambda name, kind, world: solution_case(name, _wrong(kind, world), world, np.prod)  # noqa: E731
    past = lambda name, kind, world: solution_case(name, _wrong(kind, world, True), world, np.prod)  # noqa: E731
    flipped = FlippedSwap(small_tempering(SHORT).tempered, 0)
    return (
        held("reasoning, held solution weighed by its final reward", HeldByFinalReward, ENDING),
        held("reasoning, held solution weighed by its next reward", HeldByNextReward, ENDING),
        held("reasoning, held solution not retained", NotRetained, ENDING),
        past("reasoning, past without the likelihood of the future", PastWithoutLikelihood, NARROW),
        past("reasoning, past without the rewards of the future", PastWithoutPotentials, NARROW),
        past("reasoning, past after which steps end elsewhere", AnyCourse, STRADDLING),
        tempering_case("reasoning, swap by the inverse ratio", flipped, SHORT),
    )


def small_tempering(world: World) -> ParallelTempering:
    """Two temperatures of one world."""
    return reasoning_tempering(world.writer(), Product(), 2, _BETAS)


def tempering_case(name: str, kernel: Kernel, world: World) -> KernelCase:
    """A kernel on all pairs of solutions, hot and cold."""
    size = len(world.solutions())
    pairs = np.array(list(itertools.product(range(size), repeat=2)))
    stacked = jax.tree.map(lambda leaf: leaf[pairs], states(world))
    hot, cold = (log_target(world, np.prod, beta)[pairs[:, i]] for i, beta in enumerate(_BETAS))
    return KernelCase(name, Unpaid(kernel), stacked, hot + cold)


class MoveAndSwap(Kernel):
    """The first half of a transition, which the second half repeats with the odd pairs."""

    tempering: ParallelTempering

    def __call__(self, key: PRNGKeyArray, x: Solutions) -> tuple[Solutions, Info]:
        """All temperatures move, then the even pairs swap."""
        move_key, swap_key = jax.random.split(key)
        return self.tempering.swap(0)(swap_key, self.tempering._move(x, move_key)[0])

    @property
    def invariant(self) -> Measure:
        """The product over the ladder."""
        return self.tempering.invariant


class First(Sampler):
    """The one lane that `first_solution` draws, with the mass of the cloud.

    Law: that of the inner sampler.
    """

    inner: Sampler

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """The inner sampler, then one lane."""
        run_key, pick_key = jax.random.split(key)
        after, info = self.inner(run_key, cloud)
        values = jax.tree.map(lambda leaf: leaf[None], first_solution(pick_key, after))
        return Particles(values, jnp.zeros(1), after.log_z, jnp.zeros(1)), info

    def meaning(self, m: Measure) -> Measure:
        """That of the inner sampler."""
        return self.inner.meaning(m)


def _weighed(world: World) -> Sampler:
    """Solutions by the model alone, weighed by all their rewards at once."""
    return Draw(SolutionLaw(world.writer())) >> Reweight(RewardTotal(Product()))


def _texts(world: World) -> FiniteMeasure:
    """p_LM(x) times the product of rewards, on the texts."""
    texts = states(world).generation
    return FiniteMeasure((texts.tokens, texts.length), log_target(world, np.prod))


def _wrong(kind: type[ReasoningGibbs], world: World, ancestor_sampling: bool = False) -> ReasoningGibbs:
    right = reasoning_gibbs(world.writer(), Product(), 2, ancestor_sampling=ancestor_sampling)
    return kind(**{name: getattr(right, name) for name in right.__dataclass_fields__})


def _odds(rewards: Float[np.ndarray, " steps"]) -> float:
    return float(np.prod(rewards / (1 - rewards)))


def _last(rewards: Float[np.ndarray, " steps"]) -> float:
    return float(rewards[-1])


def _text(x: Solutions) -> tuple[Int[Array, " slots"], Int[Array, ""]]:
    return x.generation.tokens, x.generation.length
