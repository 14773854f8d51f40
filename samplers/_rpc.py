"""RPC: perplexity consistency after reasoning pruning; and perplexity alone, its baseline."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice
from probinf._measure import Factor, Guarantee
from probinf._particles import Particles
from probinf._primitives import Best, Choose, Rule
from probinf._sampler import Sampler
from probinf.lm import Reasoning, Solutions
from probinf.samplers._answers import Answer, answers_of
from probinf.samplers._perplexity_consistency import plausible, scored
from probinf.samplers._solution_pool import solution_pool


def rpc(writer: Reasoning, answer: Answer, *, pruned: bool = True) -> Sampler:
    """Takes the answer whose distinct solutions have the largest sum of probabilities per token, after pruning.

    Law: none claimed (HEURISTIC). Of equally good answers one is drawn, so that they share the credit; its first
    solution is returned. A solution's probability per token is exp(log p / length), no probability of the solution.
    Without pruning it is perplexity consistency. For the confidence use `perplexity_consistency`.

    `answer` maps a solution to an integer, negative where it has no answer. Run with at least two lanes.

    Source: arXiv 2502.00511, extended in 2510.15444.
    """
    return solution_pool(writer) >> Choose(PerplexityConsistency(answer, pruned))


def lowest_perplexity(writer: Reasoning) -> Sampler:
    """Takes the solution with the highest probability per token; the first of equals.

    Law: none claimed (HEURISTIC).

    Source: the baseline PPL of arXiv 2502.00511.
    """
    return solution_pool(writer) >> Choose(Best(MeanLogProb()))


class MeanLogProb(Factor):
    """The mean log-probability of a token of a solution, minus its log-perplexity.

    Law: log-density (log p) / length in nats, under the law that the tokens were drawn from.
    """

    name: str = eqx.field(static=True, default="probability per token")

    def log_density(self, x: Solutions) -> Float[Array, ""]:
        """Of one solution; zero where nothing is written."""
        return x.generation.log_prob / jnp.maximum(x.generation.length, 1)


class PerplexityConsistency(Rule):
    """Draws one of the answers that `perplexity_consistency` scores highest, and takes its first lane.

    Law: none claimed (HEURISTIC). A dead lane answers nothing.
    """

    answer: Answer
    pruned: bool = eqx.field(static=True, default=True)
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane."""
        answers = answers_of(self.answer, cloud.values, cloud.n)
        answers = jnp.where(cloud.log_weights > -jnp.inf, answers, -1)
        log_probs = MeanLogProb().log_density_lanes(cloud.values, cloud.n)
        kept = plausible(log_probs) if self.pruned else jnp.ones(cloud.n, bool)
        scores = scored(answers, self.texts(cloud.values), log_probs, kept)
        return choice(key, jnp.log(scores.credit))

    def texts(self, values: Solutions) -> Int[Array, " n"]:
        """For each lane the first lane of the same text."""
        tokens, length = values.generation.tokens, values.generation.length
        same = jnp.all(tokens[:, None, :] == tokens[None, :, :], axis=2) & (length[:, None] == length[None, :])
        return jnp.argmax(same, axis=1)
