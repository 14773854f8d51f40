"""Searches over steps of reasoning on texts of a few tokens, against laws counted out in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import Chain, Choose, Guarantee, Map, Particles, Resample, Sampler, Scan
from probinf._particles import add_log
from probinf._primitives import Rule
from probinf._primitives._resample import ResampleInfo
from probinf.cases._search_models import EXTREME, SearchModel, answer, best, voted, written
from probinf.lm import History, Solutions, history_of, writing
from probinf.resampling import Multinomial
from probinf.samplers import (
    Entropic,
    EntropicTwist,
    FinalReward,
    Last,
    Min,
    Odds,
    Product,
    Prune,
    SoftmaxReward,
    ValueRatio,
    WeightRule,
    beam_search,
    dvts,
    greedy,
    reasoning_filter,
    reward_best_of_n,
    select,
    self_consistency,
    solution_pool,
    weighted_best_of_n,
)
from probinf.samplers._weight_rules import log_aggregate
from probinf.validity import KernelCase, SamplerCase

# Three tokens and two steps; two tokens and three steps, where a text ends at the second token.
_WIDE, _LONG, _SHORT = SearchModel(), SearchModel(2, 3), SearchModel(2, 2)
_STEEP = SearchModel(2, 3, EXTREME)
_ENTROPIC = Entropic(threshold=1.0)


def reasoning_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    return (*_filter_cases(), *_search_cases())


def _filter_cases() -> tuple[SamplerCase, ...]:
    product = _LONG.target(np.prod)
    again = _LONG.target(lambda r: np.prod(r) * r[-1] ** (_LONG.steps - len(r)))
    repeats = Product(reweight_finished=True)
    return (
        *(_case(f"reasoning_filter({r.name})", reasoning_filter(m.writer(), r), m.target(f)) for r, m, f in _rules()),
        _case("reasoning_filter, finished again", reasoning_filter(_LONG.writer(), repeats), again),
        _case("reasoning_filter, ess", reasoning_filter(_LONG.writer(), ess=0.8), product),
        _case("reasoning_filter(islands=2)", reasoning_filter(_SHORT.writer(), islands=2), _SHORT.target(np.prod), 4),
        _case("reasoning_filter, entropic", _entropic(), _STEEP.target(np.prod)),
    )


def _rules() -> tuple[tuple[WeightRule, SearchModel, Callable[[np.ndarray], Any]], ...]:
    """Each rule with the factor of a whole solution from its rewards: the papers' formulas, not the potentials."""
    # Made when asked for: the temperature of a rule is an array.
    return (
        (Product(), _WIDE, np.prod),
        (Odds(), _WIDE, lambda r: np.prod(r / (1 - r))),
        (SoftmaxReward(), _WIDE, lambda r: np.exp(r.sum())),
        (Last(), _WIDE, lambda r: r[-1]),
        (Min(), _LONG, np.min),
        (ValueRatio(), _LONG, lambda r: r[-1]),
    )


def _search_cases() -> tuple[SamplerCase, ...]:
    model, three = _WIDE, _WIDE.pool(3)
    writer = model.writer()
    majority, by_reward = voted(lambda _: 1.0), voted(model.reward)
    vote = solution_pool(writer) >> Choose(SelectedVote())
    peak = {(): 1.0}
    for _ in range(model.steps):
        peak = {max(model.next(text).items(), key=lambda item: item[1])[0]: 1.0 for text in peak}
    return (
        _case("solution_pool", solution_pool(writer), model.target(lambda _: 1.0)),
        _case("greedy", greedy(writer), model.measure(peak)),
        _case("self_consistency", self_consistency(writer, answer), model.chosen(three, majority), 3),
        _case("reward_best_of_n", reward_best_of_n(writer), model.chosen(three, best(model.reward)), 3),
        _case("weighted_best_of_n", weighted_best_of_n(writer, answer), model.chosen(three, by_reward), 3),
        _case("vote of select", vote, model.chosen(three, by_reward), 3),
        _case("beam_search", beam_search(writer, width=2), model.average(model.pruned(4, 2, 4)), 4),
        _case("dvts", dvts(writer, width=2), model.average(model.pruned(4, 2, 2)), 4),
    )


def reasoning_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    writer, product = _LONG.writer(), _LONG.target(np.prod)
    filtered = lambda **knobs: reasoning_filter(writer, **knobs)  # noqa: E731
    searched = lambda prune: _with(beam_search(_WIDE.writer(), width=2), Prune, prune)  # noqa: E731
    beams = _WIDE.average(_WIDE.pruned(4, 2, 4))
    none = weighted_best_of_n(_WIDE.writer(), _none_is_an_answer)
    carries = _with(filtered(), Resample, Carries(Multinomial(), None, 1, writing))
    forgets = _with(_entropic(), EntropicTwist, ForgetsCorrection(_ENTROPIC, _STEEP.steps))
    return (
        _case("reasoning filter that carries weights through resampling", carries, product),
        _case("reasoning filter that rewards finished solutions again", filtered(rule=Again()), product),
        _case("entropic selection without its correction", forgets, _STEEP.target(np.prod)),
        _case("beam search that keeps the worst", searched(Prune(Worst(), 2)), beams, 4),
        _case("beam search by the reward of the step before", searched(Prune(StepBefore(), 2)), beams, 4),
        _case("vote that takes no answer for an answer", none, _WIDE.chosen(_WIDE.pool(3), voted(_WIDE.reward)), 3),
    )


def _case(name: str, sampler: Sampler, target: Any, n: int = 2) -> SamplerCase:
    return SamplerCase(name, sampler >> Map(written), n, target=target)


def _entropic() -> Sampler:
    return reasoning_filter(_STEEP.writer(), entropic=_ENTROPIC)


def _with(sampler: Any, kind: type, other: Sampler) -> Sampler:
    """A composition that ends in a scan, with the stage of one kind in it exchanged."""
    *before, scan = sampler.stages
    stages = (other if isinstance(stage, kind) else stage for stage in scan.stage.stages)
    return Chain((*before, Scan(Chain(tuple(stages)), length=scan.length)))


class SelectedVote(Rule):
    """The lane that `select` votes for, as a rule."""

    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane by weighted vote."""
        answers = jax.vmap(answer)(cloud.values)
        return select(key, answers, FinalReward().log_density_lanes(cloud.values, cloud.n), cloud.log_weights).vote


class Carries(Resample):
    """Resampled lanes keep their weights, though these have already decided how often they were copied."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: Any) -> tuple[Particles, ResampleInfo]:
        after, info = super()._apply(key, cloud, **how)
        carried = jnp.take(cloud.log_weights, info.ancestors)
        return after.replace(log_weights=jnp.where(info.resampled[0], carried, after.log_weights)), info


class Again(Product):
    """Finished solutions get their last potential in every round."""

    def counted(self, history: History) -> Bool[Array, " n"]:
        """All lanes, always."""
        return history.advanced | history.finished


class ForgetsCorrection(EntropicTwist):
    """Selects by tempered weights, and leaves the copies equal weights.

    Source: arXiv 2510.05825 and its_hub, particle_gibbs.py at 2d340bb.
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Tempers the weights themselves."""
        cloud, info = super().__call__(key, cloud)
        tempered = add_log(cloud.log_weights, cloud.log_twist)
        return cloud.replace(log_weights=tempered, log_twist=jnp.zeros_like(tempered)), info


class Worst(FinalReward):
    """The reward with its sign flipped."""

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """Minus the log-reward."""
        return -super().log_density_lanes(values, n)


class StepBefore(FinalReward):
    """The reward of the step before the last one."""

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """Its log-reward."""
        history = history_of(values)
        return log_aggregate(history._replace(steps=history.steps - 1), "last")


def _none_is_an_answer(x: Solutions) -> Int[Array, ""]:
    return answer(x) + 1
