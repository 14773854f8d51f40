"""Which of several solutions is the answer, and which partial solution goes on: rules that read lengths, probabilities
and rewards, held to laws counted out in plain Python.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import Best, Choose, Distribution, Draw, Map, Reweight, Sampler, choice
from probinf._primitives._choose import voted_lane
from probinf.cases._search_models import Law, SearchModel, Text, answer, answer_of, best, mixed, written
from probinf.lm import Solutions
from probinf.samplers import (
    AStarSearch,
    BestOfMajority,
    FinalReward,
    PerplexityConsistency,
    ShortestMajority,
    a_star_decoding,
    best_of_majority,
    lowest_perplexity,
    majority_at_k,
    rpc,
    short_1_at_k,
    short_cost,
    short_m_at_k,
    short_m_lane,
    short_m_of_k,
    solution_pool,
)
from probinf.samplers._answers import answers_of
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase

# Texts of one or two tokens, of three symbols; and of one to three, of two.
_WIDE, _LONG, _SMALL = SearchModel(), SearchModel(2, 3), SearchModel(2, 2)
_N = 3
# Five recorded samples, two of which are equally long.
_RECORDED, _LENGTHS, _K = (3, 8, 3, 9, 8), (4.0, 2.0, 7.0, 2.0, 5.0), 3


def selection_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """Every rule with its law."""
    wide, long = _WIDE.writer(), _LONG.writer()
    pool = _WIDE.pool(_N)
    majority = lambda alpha, k=1: best_of_majority(wide, answer, alpha=alpha, k=k)  # noqa: E731
    per_token = best(lambda text: _log_probs()[text])
    return (
        _case("best_of_majority, by best_of_majority_lanes", majority(0.5), _returned(0.5, 1)),
        _case("best_of_majority, fallback", majority(0.75), _returned(0.75, 1)),
        _case("best_of_majority(k=2)", majority(0.5, 2), _returned(0.5, 2)),
        _case("lowest_perplexity", lowest_perplexity(wide), _WIDE.chosen(pool, per_token)),
        _case("rpc, by perplexity_consistency", rpc(wide, answer, pruned=False), _scored(pruned=False)),
        _case("rpc, by reasoning_pruning on a weibull_mixture", rpc(wide, answer), _scored(pruned=True)),
        _case("short_m_of_k(m=1), by short_m_lane", short_m_of_k(long, answer, m=1), _shortest(1)),
        _case("short_m_of_k(m=2)", short_m_of_k(long, answer, m=2), _shortest(2)),
        SamplerCase("vote of recorded samples against majority_at_k", _recorded(_Vote()), 1, target=_at_k()),
        SamplerCase("shortest of recorded samples against short_1_at_k", _recorded(_Shortest(1, False)), 1,
                    target=_short_at_k(1)),
        SamplerCase("shortest of recorded samples against short_m_at_k", _recorded(_Shortest(2, True)), 1,
                    target=_short_at_k(2)),
        SamplerCase("cost of recorded samples against short_cost",
                    Draw(_Subset(False)) >> Reweight(_LogTokens()) >> Map(_nothing), 1, target=_expected_cost()),
        _case("a_star_decoding", a_star_decoding(_SMALL.writer(), branching=2), _a_star(_SMALL, 5), 5),
        _case("a_star_decoding, short of budget", a_star_decoding(_LONG.writer(), branching=2), _a_star(_LONG, 5), 5),
    )  # fmt: skip


def selection_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """Rules with one wrong line each, held to the laws of the right ones."""
    pool, long = solution_pool(_WIDE.writer()), solution_pool(_LONG.writer())
    unfilled = pool >> NoFallback(answer, FinalReward(), 0.75)
    return (
        _case("best-of-majority without a threshold", pool >> BestOfMajority(answer, FinalReward(), 0.0),
              _returned(0.5, 1)),
        _case("best-of-majority without its fallback", unfilled, _returned(0.75, 1)),
        _case("perplexity consistency that counts equal texts twice", pool >> Choose(EveryCopy(answer, False)),
              _scored(pruned=False)),
        _case("reasoning pruning that keeps all", pool >> Choose(PerplexityConsistency(answer, False)),
              _scored(pruned=True)),
        _case("probability of a text for that of a token", pool >> Choose(Best(_text_log_prob)),
              _WIDE.chosen(_WIDE.pool(_N), best(lambda text: _log_probs()[text]))),
        _case("the last m to finish vote", long >> Choose(LongestMajority(answer, 2)), _shortest(2)),
        SamplerCase("shortest of recorded samples as if drawn with replacement", _recorded(_Shortest(2, True), True), 1,
                    target=_short_at_k(2)),
        _case("A* that stops at the first finished solution", Draw(_SMALL.writer().start())
              >> Hasty(_SMALL.writer(), 2), _a_star(_SMALL, 5), 5),
        _case("A* with half its budget", a_star_decoding(_SMALL.writer(), branching=2), _a_star(_SMALL, 5), 3),
    )  # fmt: skip


def _case(name: str, sampler: Sampler, target: FiniteMeasure, n: int = _N) -> SamplerCase:
    return SamplerCase(name, sampler >> Map(written), n, target=target)


@functools.cache
def _log_probs() -> dict[Text, float]:
    """Mean log-probability of a token of each text."""
    return {text: float(np.log(p)) / len(text) for text, p in _WIDE.texts().items()}


def _returned(alpha: float, k: int) -> FiniteMeasure:
    """What best-of-majority returns, each in an equal share."""
    law: Law = defaultdict(float)
    for cloud, p in _WIDE.pool(_N).items():
        lanes = [i for i, text in enumerate(cloud) if answer_of(text) >= 0]
        count = Counter(answer_of(text) for text in cloud)
        mean = {a: np.mean([_WIDE.reward(cloud[i]) for i in lanes if answer_of(cloud[i]) == a]) for a in count if a > 0}
        first = {a: next(i for i in lanes if answer_of(cloud[i]) == a) for a in mean}
        frequent = [a for a in mean if count[a] >= alpha * len(cloud)]
        others = [a for a in mean if a not in frequent]
        ranked = sorted(frequent, key=lambda a: (-mean[a], first[a]))
        ranked += sorted(others, key=lambda a: (-count[a], -mean[a], first[a]))
        for a in ranked[:k]:
            law[cloud[first[a]]] += p / len(ranked[:k])
    return _WIDE.measure(law)


def _scored(*, pruned: bool) -> FiniteMeasure:
    """The law of the answer whose distinct texts have the largest sum of probabilities per token."""
    law: Law = defaultdict(float)
    pool = _WIDE.pool(_N)
    log_x = np.array([[_log_probs()[text] for text in cloud] for cloud in pool])
    keep = _plausible(log_x) if pruned else np.ones(log_x.shape, bool)
    for (cloud, p), row in zip(pool.items(), keep, strict=True):
        kept = {text for text, k in zip(cloud, row, strict=True) if k}
        score = {a: sum(np.exp(_log_probs()[x]) for x in kept if answer_of(x) == a) for a in map(answer_of, cloud)}
        if len(score) > 1:
            score.pop(-1, None)
        top = [a for a in score if a < 0 or np.isclose(score[a], max(score.values()), rtol=1e-12)]
        for a in top:
            law[next(text for text in cloud if answer_of(text) == a)] += p / len(top)
    return _WIDE.measure(law)


def _plausible(log_x: Float[np.ndarray, "clouds n"]) -> Bool[np.ndarray, "clouds n"]:
    """Pruning by mixtures of two Weibull laws, fitted to each row by its likelihood equations in plain numpy."""
    x, rows = np.exp(log_x), len(log_x)
    w, k, lam = (np.tile(pair, (rows, 1)) for pair in ([0.5, 0.5], [1.0, 1.5], [1.0, 2.0]))

    def densities() -> np.ndarray:
        z = (x[:, None, :] / lam[:, :, None]) ** k[:, :, None]
        return (w * k)[:, :, None] * z * np.exp(-z)

    for _ in range(100):
        r = densities() / densities().sum(axis=1, keepdims=True)
        w = np.clip(r.mean(axis=2), 0.2, 0.8)
        k = _shapes(r, log_x)
        lam = (np.sum(r * x[:, None, :] ** k[:, :, None], axis=2) / r.sum(axis=2)) ** (1 / k)
    means = lam * np.vectorize(math.gamma)(1 + 1 / k)
    high = np.take_along_axis(densities(), means.argmax(axis=1)[:, None, None], axis=1)[:, 0]
    low = np.take_along_axis(densities(), means.argmin(axis=1)[:, None, None], axis=1)[:, 0]
    below = (x < x.mean(axis=1, keepdims=True)) & (x < x.max(axis=1, keepdims=True))
    return ~((high < low) & below)


def _shapes(r: Float[np.ndarray, "clouds 2 n"], log_x: Float[np.ndarray, "clouds n"]) -> Float[np.ndarray, "clouds 2"]:
    """The zeros of the derivatives of the likelihood in the shapes, within bounds."""
    low, high = np.full(r.shape[:2], np.log(0.01)), np.full(r.shape[:2], np.log(100.0))
    above = (log_x - log_x.max(axis=1, keepdims=True))[:, None, :]
    mean = np.sum(r * above, axis=2) / r.sum(axis=2)
    for _ in range(30):
        k = np.exp((low + high) / 2)
        tilt = r * np.exp(k[:, :, None] * above)
        too_large = np.sum(tilt * above, axis=2) / tilt.sum(axis=2) - mean > 1 / k
        low, high = np.where(too_large, low, (low + high) / 2), np.where(too_large, (low + high) / 2, high)
    return np.exp((low + high) / 2)


def _shortest(m: int) -> FiniteMeasure:
    def choose(cloud: tuple[Text, ...]) -> int:
        first = sorted(range(len(cloud)), key=lambda i: len(cloud[i]))[:m]
        votes = Counter(answer_of(cloud[i]) for i in first)
        if len(votes) > 1:
            votes.pop(-1, None)
        return next(i for i in first if votes[answer_of(cloud[i])] == max(votes.values()))

    return _LONG.chosen(_LONG.pool(_N), choose)


class _Subset(Distribution):
    """k of n recorded samples in random order: without replacement, or with."""

    replaced: bool = eqx.field(static=True)
    name: str = eqx.field(static=True, default="subset")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, " k"]:
        """One after the other."""
        left, taken = jnp.zeros(len(_RECORDED)), []
        for k in jax.random.split(key, _K):
            taken.append(choice(k, left))
            left = left if self.replaced else left.at[taken[-1]].set(-jnp.inf)
        return jnp.stack(taken)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Of any subset in any order."""
        return -jnp.log(float(math.perm(len(_RECORDED), _K)))


def _recorded(rule: eqx.Module, replaced: bool = False) -> Sampler:
    return Draw(_Subset(replaced)) >> Map(rule)  # pyright: ignore[reportArgumentType]


class _Vote(eqx.Module):
    """The answer that most of a subset give."""

    def __call__(self, lanes: Int[Array, " k"]) -> Int[Array, ""]:
        answers = jnp.array(list(_RECORDED))[lanes]
        return answers[voted_lane(answers, jnp.zeros(_K), jnp.zeros(_K))]


class _Shortest(eqx.Module):
    """The answer of the m shortest of a subset; of equally long ones the first recorded, or drawn, is shorter."""

    m: int = eqx.field(static=True)
    recorded: bool = eqx.field(static=True)

    def __call__(self, lanes: Int[Array, " k"]) -> Int[Array, ""]:
        lanes = jnp.sort(lanes) if self.recorded else lanes
        answers, lengths = jnp.array(list(_RECORDED))[lanes], jnp.array(list(_LENGTHS))[lanes]
        return answers[short_m_lane(answers, lengths, self.m)]


class _LogTokens(eqx.Module):
    """Log of the tokens that a subset writes until the second has finished."""

    def __call__(self, lanes: Int[Array, " k"]) -> Float[Array, ""]:
        lengths = jnp.array(list(_LENGTHS))[lanes]
        return jnp.log(jnp.sum(jnp.minimum(lengths, jnp.sort(lengths)[1])))


def _nothing(x: Any) -> Int[Array, ""]:
    del x
    return jnp.int32(0)


def _answers_law(chance: Callable[[int], Any]) -> FiniteMeasure:
    with jax.enable_x64(True):
        law = {a: float(chance(a)) for a in sorted(set(_RECORDED))}
    law = {a: p for a, p in law.items() if p > 0}
    return FiniteMeasure(np.array(list(law)), np.log(list(law.values())))


def _at_k() -> FiniteMeasure:
    counts = [_RECORDED.count(a) for a in sorted(set(_RECORDED))]
    return _answers_law(lambda a: majority_at_k(jnp.array(counts), _K)[sorted(set(_RECORDED)).index(a)])


def _short_at_k(m: int) -> FiniteMeasure:
    lengths = np.array(_LENGTHS)
    if m == 1:
        return _answers_law(lambda a: short_1_at_k(jnp.array(_RECORDED) == a, jnp.asarray(lengths), _K))
    return _answers_law(lambda a: short_m_at_k(jnp.array(_RECORDED), jnp.asarray(lengths), a, m, _K))


def _expected_cost() -> FiniteMeasure:
    with jax.enable_x64(True):
        tokens = float(short_cost(jnp.array(_LENGTHS), 2, _K).tokens)
    return FiniteMeasure(np.array([0]), np.log([tokens]))


def _a_star(model: SearchModel, n: int, branching: int = 2) -> FiniteMeasure:
    """The law of what is found, over all trees; where nothing is, mass is missing."""

    def rank(text: Text) -> tuple[float, float]:
        h = [0.0, *(1 - model.trace(text))]
        return round(float(sum(max(0.0, b - a) for a, b in itertools.pairwise(h))), 12), float(h[-1])

    def search(texts: tuple[Text, ...], closed: frozenset[int], left: int) -> Law:
        open_lanes = [i for i in range(len(texts)) if i not in closed]
        first = min(open_lanes, key=lambda i: (*rank(texts[i]), i))
        if left and not model.finished(texts[first]):
            steps = {(): 1.0}
            for _ in range(branching):
                steps = mixed(steps, lambda row: {(*row, x): p for x, p in model.next(texts[first]).items()})
            return mixed({(*texts, *row): p for row, p in steps.items()},
                         lambda row: search(row, closed | {first}, left - 1))  # fmt: skip
        done = [i for i in open_lanes if model.finished(texts[i])]
        return {texts[min(done, key=lambda i: (*rank(texts[i]), i))]: 1.0} if done else {}

    return model.measure(search(((),), frozenset(), (n - 1) // branching))


class NoFallback(BestOfMajority):
    """Returns nothing where no answer is frequent enough."""

    def __call__(self, key: PRNGKeyArray, cloud: Any) -> tuple[Any, Any]:
        """The right cloud, or a dead one."""
        chosen, info = super().__call__(key, cloud)
        answers = answers_of(self.answer, cloud.values, cloud.n)
        frequent = jnp.mean(answers == answers[info.lanes[0]]) >= self.alpha
        return chosen.replace(log_weights=jnp.where(frequent, chosen.log_weights, -jnp.inf)), info


class EveryCopy(PerplexityConsistency):
    """Takes each copy of a text for another text."""

    def texts(self, values: Solutions) -> Int[Array, " n"]:
        """All different."""
        return jnp.arange(len(values.steps))


class LongestMajority(ShortestMajority):
    """Sorts the wrong way round."""

    def lengths(self, values: Solutions) -> Float[Array, " n"]:
        """Negative."""
        return -super().lengths(values)


class Hasty(AStarSearch):
    """Takes the best solution as soon as it is finished, whatever else is open."""

    def costs(self, values: Solutions) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Nothing for what is finished."""
        f, h = super().costs(values)
        return jnp.where(values.generation.finished, 0.0, f), h


def _text_log_prob(x: Solutions) -> Float[Array, ""]:
    return x.generation.log_prob
