"""Repeated sampling with an imperfect verifier: retries, votes and tournaments over a few values.

Every law is counted out in plain Python, over all tuples of samples and verdicts; nothing here uses the rules.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import Choose, Draw, Majority, Map, Measure, Particles, Reweight, Sampler, choice
from probinf._primitives._choose import voted_lane
from probinf.distributions import Categorical
from probinf.samplers import (
    AcceptedMajority,
    Judged,
    Knockout,
    League,
    LogOddsMajority,
    NoisyComparison,
    NoisyVerdict,
    knockout,
    knockout_failure_bound,
    league,
    majority_law,
    retry_until_accepted,
    verify_then_vote,
    vote_then_verify,
    weighted_vote,
)
from probinf.samplers._answers import answers_of
from probinf.samplers._noisy_verdict import log_accepted
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase

# Values 1 and 2 give the same answer, value 3 none; only value 0 is right.
_P = (0.375, 0.25, 0.25, 0.125)
_ANSWERS = (5, 7, 7, -1)
# Rates of which both precisions have the same logs to compare with: multiples of 1/8.
_T, _F = 0.75, 0.25
_T_WEIGHTED, _F_WEIGHTED = 0.5, 0.125
_N = 3
# An accuracy at which the bound on the failures of a knockout says something: .88.
_RIGHT, _ACCURACY = 0.375, 0.9375

Judgment = tuple[int, bool]
Mass = dict[Any, float]


def votes_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """Every rule with its law."""
    generator, verdict = _generator(), _verdict()
    weighted = weighted_vote(generator, _answer, _weighted_verdict())
    return (
        *(SamplerCase(f"retry_until_accepted(t={t}, f={f}, K={k})", _retry(t, f, k), n=1, target=_retried(t, f, k))
          for t, f, k in ((_T, _F, 3), (1.0, 0.125, 2))),
        SamplerCase("vote_then_verify", vote_then_verify(generator, _answer, verdict) >> Map(_value), _N,
                    target=_voted_then_verified()),
        SamplerCase("verify_then_vote, by accepted_vote", verify_then_vote(generator, _answer, verdict) >> Map(_value),
                    _N, target=_chosen(_accepted_mode, _T, _F)),
        SamplerCase("weighted_vote, by log_odds_vote", weighted >> Map(_value), _N, target=_weighted_law()),
        SamplerCase("majority vote against majority_law", _majority(), 4, target=_law_of_majority()),
        SamplerCase("knockout, below knockout_failure_bound", knockout(_players(), _compare(), votes=3), 3,
                    target=_bounded(_knocked_out(3, 3), knockout_failure_bound(3, 3, _RIGHT, _ACCURACY))),
        SamplerCase("knockout, even votes", knockout(_players(), _compare(), votes=2), 4, target=_knocked_out(4, 2)),
        SamplerCase("league, whose failures with many lanes are below league_failure_bound",
                    league(_players(), _compare(), rounds=1), 3, target=_leagued(3, 1)),
    )  # fmt: skip


def votes_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """Rules with one wrong line each, held to the laws of the right ones."""
    generator, verdict = _generator(), _verdict()
    judged = generator >> Draw(verdict)
    swapped = NoisyVerdict(_right, _F, _T)
    discovery = _P[0] * _T / (_P[0] * _T + (1 - _P[0]) * _F)
    weighted = (
        generator
        >> Draw(_weighted_verdict())
        >> Choose(RejectedAbstain(_answer, jnp.asarray(_T_WEIGHTED), jnp.asarray(_F_WEIGHTED)))
    )
    return (
        SamplerCase("retries that return the last try all the same", Answers(_retry(_T, _F, 3)), n=1,
                    target=_retried(_T, _F, 3)),
        SamplerCase("false discovery rate for the false positive rate", _retry(_T, 1 - discovery, 3), n=1,
                    target=_retried(_T, _F, 3)),
        SamplerCase("verdict with its rates exchanged", vote_then_verify(generator, _answer, swapped) >> Map(_value),
                    _N, target=_voted_then_verified()),
        SamplerCase("vote whose winner nobody verifies", judged >> Choose(Majority(_judged_answer, Measure()))
                    >> Map(_value), _N, target=_voted_then_verified()),
        SamplerCase("vote in which the rejected have a vote", judged >> Choose(EveryoneVotes(_answer))
                    >> Reweight(log_accepted) >> Map(_value), _N, target=_chosen(_accepted_mode, _T, _F)),
        SamplerCase("log-odds without those of rejections", weighted >> Map(_value), _N, target=_weighted_law()),
        SamplerCase("majority that shares no ties", _majority(), 4, target=_unshared()),
        SamplerCase("knockout in which the loser goes on", _players() >> Choose(LoserGoesOn(_compare(), 2)), 4,
                    target=_knocked_out(4, 2)),
        SamplerCase("league in which a lane meets itself", _players() >> Choose(MeetsItself(_compare(), 1)), 3,
                    target=_leagued(3, 1)),
    )  # fmt: skip


def _generator() -> Sampler:
    return Draw(Categorical(np.log(_P), name="p"))


def _verdict() -> NoisyVerdict:
    return NoisyVerdict(_right, _T, _F)


def _weighted_verdict() -> NoisyVerdict:
    return NoisyVerdict(_right, _T_WEIGHTED, _F_WEIGHTED)


def _right(x: Int[Array, ""]) -> Bool[Array, ""]:
    return x == 0


def _answer(x: Int[Array, ""]) -> Int[Array, ""]:
    return jnp.array(list(_ANSWERS))[x]


def _judged_answer(x: Judged) -> Int[Array, ""]:
    return _answer(x.value)


def _value(x: Judged) -> Int[Array, ""]:
    return x.value


def _retry(t: float, f: float, budget: int) -> Sampler:
    return retry_until_accepted(
        _generator(), NoisyVerdict(_right, jnp.asarray(t), jnp.asarray(f)), budget=budget
    ) >> Map(_value)


def _retried(t: float, f: float, budget: int) -> FiniteMeasure:
    """P(right) = v (1 - (1 - q)^K), and P(wrong) = (1 - v) (1 - (1 - q)^K) shared out as the generator has it."""
    p = _chances(_P)
    q = p[0] * t + (1 - p[0]) * f
    v, returned = p[0] * t / q, 1 - (1 - q) ** budget
    wrong = p[1:] / (1 - p[0])
    return _measure({x: m for x, m in enumerate([v * returned, *((1 - v) * returned * wrong)]) if m > 0})


def _chances(p: Sequence[float]) -> Float[np.ndarray, " K"]:
    """Normalized in double precision from the single-precision logs that the samplers hold."""
    x = np.exp(np.log(p).astype(np.float32).astype(float))
    return x / x.sum()


def _judgments(t: float, f: float) -> Iterator[tuple[tuple[Judgment, ...], float]]:
    """All tuples of N values and verdicts, with their probabilities."""
    p = _chances(_P)
    one = [((x, a), p[x] * (r if a else 1 - r)) for x in range(4) for a in (True, False) for r in (t if x == 0 else f,)]
    for row in itertools.product(one, repeat=_N):
        yield tuple(judgment for judgment, _ in row), float(np.prod([q for _, q in row]))


def _chosen(choose: Callable[[tuple[Judgment, ...]], int | None], t: float, f: float) -> FiniteMeasure:
    """The law of the value that a rule takes; where it takes none, mass is missing."""
    law: Mass = defaultdict(float)
    for row, p in _judgments(t, f):
        lane = choose(row)
        if lane is not None:
            law[row[lane][0]] += p
    return _measure(law)


def _mode(lanes: Sequence[int], row: tuple[Judgment, ...]) -> int | None:
    """Of some lanes, the first whose answer is most frequent among them; one without an answer if all are so."""
    counts = Counter(_ANSWERS[row[i][0]] for i in lanes)
    if len(counts) > 1:
        counts.pop(-1, None)
    return next((i for i in lanes if counts[_ANSWERS[row[i][0]]] == max(counts.values())), None)


def _accepted_mode(row: tuple[Judgment, ...]) -> int | None:
    return _mode([i for i, (_, accepted) in enumerate(row) if accepted], row)


def _voted_then_verified() -> FiniteMeasure:
    """The law of the vote, times the chance that the winner is accepted."""
    law: Mass = defaultdict(float)
    for row, p in _judgments(_T, _F):
        winner = row[_mode(range(_N), row) or 0][0]
        law[winner] += p * (_T if winner == 0 else _F)
    return _measure(law)


def _weighted_law() -> FiniteMeasure:
    """The vote with log-odds, of sums so far apart that no rounding decides."""
    t, f = _T_WEIGHTED, _F_WEIGHTED

    def choose(row: tuple[Judgment, ...]) -> int:
        total: dict[int, float] = defaultdict(float)
        for x, accepted in row:
            total[_ANSWERS[x]] += np.log(t / f) if accepted else np.log((1 - t) / (1 - f))
        total[-1] = -np.inf
        top = max(total[_ANSWERS[x]] for x, _ in row)
        return next(i for i, (x, _) in enumerate(row) if np.isclose(total[_ANSWERS[x]], top) or top == -np.inf)

    return _chosen(choose, t, f)


def _majority() -> Sampler:
    return Draw(Categorical(np.log(_P[:3]), name="p")) >> Choose(Majority(_identity, Measure()))


def _identity(x: Int[Array, ""]) -> Int[Array, ""]:
    return x


def _law_of_majority() -> FiniteMeasure:
    with jax.enable_x64(True):
        return _measure(dict(enumerate(np.asarray(majority_law(jnp.log(_chances(_P[:3])), 4)).tolist())))


def _unshared() -> FiniteMeasure:
    """Every tie goes to the smallest answer."""
    law: Mass = defaultdict(float)
    p = _chances(_P[:3])
    for row in itertools.product(range(3), repeat=4):
        law[max(range(3), key=lambda a: (row.count(a), -a))] += float(np.prod(p[list(row)]))
    return _measure(law)


def _players() -> Sampler:
    return Draw(Categorical(np.log([_RIGHT, 1 - _RIGHT]), name="p"))


def _compare() -> NoisyComparison:
    return NoisyComparison(_right, _ACCURACY)


def _preferred(x: int, y: int) -> float:
    """The chance that one comparison prefers x; 0 is right."""
    return 0.5 if x == y else _ACCURACY if x == 0 else 1 - _ACCURACY


def _tuples(n: int) -> Iterator[tuple[tuple[int, ...], float]]:
    p = _chances([_RIGHT, 1 - _RIGHT])
    for row in itertools.product(range(2), repeat=n):
        yield row, float(np.prod(p[list(row)]))


def _knocked_out(n: int, votes: int) -> FiniteMeasure:
    """All courses of all tournaments."""

    def played(standing: tuple[int, ...], p: float) -> None:
        if len(standing) == 1:
            law[standing[0]] += p
            return
        pairs = [standing[i : i + 2] for i in range(0, len(standing), 2)]
        for winners in itertools.product(*([0, 1] if len(pair) == 2 else [0] for pair in pairs)):
            q = p
            for pair, w in zip(pairs, winners, strict=True):
                if len(pair) == 2:
                    first = _at_least_half(votes, _preferred(*pair))
                    q *= first if w == 0 else 1 - first
            played(tuple(pair[w] for pair, w in zip(pairs, winners, strict=True)), q)

    law: Mass = defaultdict(float)
    for row, p in _tuples(n):
        played(row, p)
    return _measure(law)


def _at_least_half(votes: int, p: float) -> float:
    bits = itertools.product((0, 1), repeat=votes)
    return sum(p ** sum(b) * (1 - p) ** (votes - sum(b)) for b in bits if 2 * sum(b) >= votes)


def _leagued(n: int, rounds: int) -> FiniteMeasure:
    """All games of all leagues: a lane's wins are binomial, with the chance against an opponent drawn at random."""
    law: Mass = defaultdict(float)
    for row, p in _tuples(n):
        chance = [np.mean([_preferred(row[i], row[j]) for j in range(n) if j != i]) for i in range(n)]
        for bits in itertools.product((0, 1), repeat=n * rounds):
            games = np.array(bits).reshape(n, rounds)
            q = np.prod([c if won else 1 - c for c, line in zip(chance, games, strict=True) for won in line])
            law[row[int(np.argmax(games.sum(axis=1)))]] += p * float(q)
    return _measure(law)


def _bounded(law: FiniteMeasure, bound: Float[Array, ""]) -> FiniteMeasure:
    """The law; where its failures exceed the bound, none, so that the row is flagged."""
    failures = float(np.exp(law.log_mass)[np.asarray(law.values) == 1].sum())
    return law if failures <= float(bound) else _measure({0: 0.0})


def _measure(law: Mass) -> FiniteMeasure:
    with np.errstate(divide="ignore"):
        return FiniteMeasure(np.array(list(law)), np.log(list(law.values())))


class Answers(Sampler):
    """Gives a rejected value its weight back."""

    inner: Sampler

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """The wrong cloud."""
        result, info = self.inner(key, cloud)
        return result.replace(log_weights=jnp.zeros_like(result.log_weights)), info

    def meaning(self, m: Measure) -> Measure:
        """That of the right one."""
        return self.inner.meaning(m)


class EveryoneVotes(AcceptedMajority):
    """Takes the answer that most samples give, and of it the first that was accepted."""

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The wrong lane."""
        answers = answers_of(self.answer, cloud.values.value, cloud.n)
        winner = answers[voted_lane(answers, jnp.zeros(cloud.n), cloud.log_weights)]
        return jnp.argmax((answers == winner) & cloud.values.accepted)


class RejectedAbstain(LogOddsMajority):
    """Counts the accepted only."""

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The wrong lane."""
        answers = answers_of(self.answer, cloud.values.value, cloud.n)
        return voted_lane(answers, jnp.where(cloud.values.accepted, 0.0, -jnp.inf), cloud.log_weights)


class LoserGoesOn(Knockout):
    """Keeps the lane that fewer votes prefer."""

    def first_goes_on(self, won: Int[Array, " pairs"]) -> Bool[Array, " pairs"]:
        """The wrong way round."""
        return ~super().first_goes_on(won)


class MeetsItself(League):
    """Draws opponents among all lanes."""

    def opponents(self, key: PRNGKeyArray, players: Int[Array, " games"], n: int) -> Int[Array, " games"]:
        """One of n."""
        return choice(key, jnp.zeros((len(players), n)))
