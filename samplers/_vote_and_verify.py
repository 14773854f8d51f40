"""Voting with a verifier at hand: before it, after it, or weighted by it."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._measure import Guarantee, Measure
from probinf._particles import Particles
from probinf._primitives import Choose, Draw, Majority, Reweight, Rule
from probinf._sampler import Sampler
from probinf.samplers._answers import Answer, answers_of
from probinf.samplers._noisy_verdict import NoisyVerdict, log_accepted
from probinf.samplers._verified_votes import accepted_vote, log_odds_vote


def vote_then_verify(generator: Sampler, answer: Answer, verdict: NoisyVerdict) -> Sampler:
    """Takes the answer that most samples give, and returns it if the verifier accepts it; abstains otherwise.

    Law: none claimed (HEURISTIC). The answer a comes out with probability P(a wins the vote of N) P(accept | a): see
    `majority_law`. Where the verifier rejects, the lane has weight zero. One verdict is asked for.
    """
    return generator >> Choose(Majority(answer, Measure())) >> Draw(verdict) >> Reweight(log_accepted)


def verify_then_vote(generator: Sampler, answer: Answer, verdict: NoisyVerdict) -> Sampler:
    """Takes the answer that most of the accepted samples give; abstains where none was accepted.

    Law: none claimed (HEURISTIC): the winner of a vote with as many voters as were accepted, each from the law
    proportional to p(x) P(accept | x). N verdicts are asked for. What is returned is an accepted sample.
    """
    return generator >> Draw(verdict) >> Choose(AcceptedMajority(answer)) >> Reweight(log_accepted)


def weighted_vote(generator: Sampler, answer: Answer, verdict: NoisyVerdict) -> Sampler:
    """Takes the answer with the largest sum of log-odds: log(t / f) where accepted, log((1 - t) / (1 - f)) where not.

    Law: none claimed (HEURISTIC); the rates are those of the verdict. Never abstains: see `log_odds_vote`.

    Raises: ValueError for a rate that is zero or one.
    """
    rates = verdict.true_positive_rate, verdict.false_positive_rate
    return generator >> Draw(verdict) >> Choose(LogOddsMajority(answer, *rates))


class AcceptedMajority(Rule):
    """The first accepted lane of the answer that most accepted lanes give; lane 0 where none is accepted.

    Law: none claimed (HEURISTIC). Values are `Judged`; dead lanes count as rejected.
    """

    answer: Answer
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane by vote among the accepted."""
        del key
        accepted = cloud.values.accepted & (cloud.log_weights > -jnp.inf)
        return jnp.maximum(accepted_vote(answers_of(self.answer, cloud.values.value, cloud.n), accepted), 0)


class LogOddsMajority(Rule):
    """The first lane of the answer with the largest sum of log-odds of the lanes' verdicts.

    Law: none claimed (HEURISTIC). Values are `Judged`; a dead lane has no vote.
    """

    answer: Answer
    true_positive_rate: Float[Array, ""]
    false_positive_rate: Float[Array, ""]
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def __check_init__(self):
        """Rejects rates without log-odds."""
        log_odds_vote(jnp.zeros(1, jnp.int32), jnp.ones(1, bool), self.true_positive_rate, self.false_positive_rate)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane by weighted vote."""
        del key
        answers = answers_of(self.answer, cloud.values.value, cloud.n)
        answers = jnp.where(cloud.log_weights > -jnp.inf, answers, -1)
        return log_odds_vote(answers, cloud.values.accepted, self.true_positive_rate, self.false_positive_rate)
