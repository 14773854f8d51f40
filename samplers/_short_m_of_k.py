"""short-m@k: the first m of k generations to finish vote, and the others are stopped."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import alike, is_count, real, whole
from probinf._measure import Guarantee
from probinf._particles import Particles
from probinf._primitives import Choose, Rule
from probinf._primitives._choose import voted_lane
from probinf._sampler import Sampler
from probinf.lm import Reasoning, Solutions
from probinf.samplers._answers import Answer, answers_of
from probinf.samplers._solution_pool import solution_pool


def short_m_of_k(writer: Reasoning, answer: Answer, *, m: int = 3) -> Sampler:
    """Writes k solutions, one a lane, and takes the answer that most of the m shortest give; of equals the shortest's.

    Law: none claimed (HEURISTIC). Equally long solutions finish in the order of their lanes. With m = 1 it is
    First-Finish Search, with m = k self-consistency. Here all lanes are written to their end: what stopping the others
    would have saved is what `short_cost` counts.

    Raises: ValueError for m below one, and, when called, for more than there are lanes.

    Source: arXiv 2505.17813, section 4.
    """
    return solution_pool(writer) >> Choose(ShortestMajority(answer, m))


class ShortestMajority(Rule):
    """The shortest lane of the answer that most of the m shortest lanes give.

    Law: none claimed (HEURISTIC). A dead lane never finishes.
    """

    answer: Answer
    m: int = eqx.field(static=True)
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def __check_init__(self):
        """Rejects a vote of nobody."""
        _check_m(self.m)

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane."""
        del key
        answers = answers_of(self.answer, cloud.values, cloud.n)
        lengths = jnp.where(cloud.log_weights > -jnp.inf, self.lengths(cloud.values), jnp.inf)
        return jnp.maximum(short_m_lane(answers, lengths, self.m), 0)

    def lengths(self, values: Solutions) -> Float[Array, " n"]:
        """The length of each lane, in tokens."""
        return values.generation.length.astype(float)


def short_m_lane(answers: Int[Array, " n"], lengths: Float[Array, " n"], m: int) -> Int[Array, ""]:
    """The shortest sample of the answer that most of the m shortest samples give; -1 where none finished.

    answers: negative for none. lengths: inf for a sample that did not finish, which has no vote. Of equally long
    samples the first counts as shorter; of answers with equally many votes the shortest sample's wins. For many tasks
    use `jax.vmap`.

    Raises: ValueError for m below one or above the number of samples, and for lengths that are NaN or below zero.
    """
    answers, lengths = whole("answers", answers, "samples"), real("lengths", lengths, "samples", low=0)
    alike(answers=answers, lengths=lengths)
    _check_m(m, answers.shape[0])
    order = jnp.argsort(lengths, stable=True)[:m]
    finished = jnp.isfinite(lengths[order])
    winner = voted_lane(answers[order], jnp.zeros(m), jnp.where(finished, 0.0, -jnp.inf))
    return jnp.where(finished[0], order[winner], -1)


def _check_m(m: int, n: int | None = None) -> None:
    if not is_count(m) or (n is not None and m > n):
        raise ValueError(f"the first m samples vote, from 1 to {n or 'all'} of them, got m={m}")
