"""Unbiased estimates for short-m@k from n recorded samples: accuracy, tokens and time."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import alike, is_count, mask, real, whole
from probinf._primitives._choose import voted_lane

# Votes to count one by one: more take minutes.
_MOST_VOTES = 2_000_000


class ShortCost(NamedTuple):
    """`tokens`: the sum over all k samples of min(length, m-th shortest length); `time`: the m-th shortest length."""

    tokens: Float[Array, ""]
    time: Float[Array, ""]


def short_1_at_k(correct: Bool[Array, " n"], lengths: Float[Array, " n"], k: int) -> Float[Array, ""]:
    """The chance that the shortest of k of the n samples is right: sum_j correct_(j) C(n - j, k - 1) / C(n, k).

    Law: the average over all subsets of size k, unbiased for the accuracy of short-1@k (a U-statistic). Here (j) is the
    j-th shortest sample; equally long ones share their places. lengths: inf for a sample that did not finish, which is
    never right.

    Raises: ValueError for k below one or above the number of samples.

    Source: arXiv 2505.17813, appendix, its rank-score@k.
    """
    correct, lengths = mask("correct", correct, "samples"), real("lengths", lengths, "samples", low=0)
    alike(correct=correct, lengths=lengths)
    n = _checked(1, k, lengths.shape[0])
    same = lengths[:, None] == lengths[None, :]
    right = correct & jnp.isfinite(lengths)
    shared = jnp.sum(same & right[None, :], axis=1) / jnp.sum(same, axis=1)
    return jnp.sum(shared[jnp.argsort(lengths)] * _chances(1, k, n))


def short_m_at_k(
    answers: Int[Array, " n"], lengths: Float[Array, " n"], right: Int[Array, ""] | int, m: int, k: int
) -> Float[Array, ""]:
    """The chance that the vote of the m shortest of k of the n samples gives the answer `right`.

    Law: the average over all subsets of size k, unbiased for the accuracy of short-m@k (a U-statistic): m samples of
    which j is the longest are the m shortest of C(n - j, k - m) subsets. Ties and samples that did not finish: as in
    `short_m_lane`. All C(n, m) votes are counted.

    Raises: ValueError where not 1 <= m <= k <= n, and for more than 2,000,000 votes.
    """
    answers, lengths = whole("answers", answers, "samples"), real("lengths", lengths, "samples", low=0)
    alike(answers=answers, lengths=lengths)
    right = whole("right", right, "")
    n = _checked(m, k, lengths.shape[0])
    votes = math.comb(n, m)
    if votes > _MOST_VOTES:
        raise ValueError(f"{votes:,} votes of m={m} of n={n} samples are too many: use fewer samples, or m=1")
    order = jnp.argsort(lengths, stable=True)
    answers, finished = answers[order], jnp.isfinite(lengths[order])
    voters = np.array(list(itertools.combinations(range(n), m)), np.int32)

    def won(voters: Int[Array, " m"]) -> Bool[Array, ""]:
        living = jnp.where(finished[voters], 0.0, -jnp.inf)
        winner = voters[voted_lane(answers[voters], jnp.zeros(m), living)]
        return finished[winner] & (answers[winner] == right)

    after = n - 1 - voters[:, -1]
    weight = np.array([math.comb(int(later), k - m) / math.comb(n, k) for later in range(n)])[after]
    return jnp.sum(jnp.where(jax.vmap(won)(jnp.asarray(voters)), jnp.asarray(weight, float), 0.0))


def short_cost(lengths: Float[Array, " n"], m: int, k: int | None = None) -> ShortCost:
    """What short-m@k costs: tokens written by all k until the m-th has finished, and the time until then, in tokens.

    Law: the average over all subsets of size k of the n samples, unbiased (a U-statistic); by default k = n, the
    samples as they are.

    lengths: finite; for a sample that was cut off, the length at which it was.

    Raises: ValueError where not 1 <= m <= k <= n, and for lengths that are not finite, unless traced.

    Source: arXiv 2505.17813, section 4.
    """
    lengths = real("lengths", lengths, "samples", low=0)
    n = lengths.shape[0]
    k = n if k is None else k
    _checked(m, k, n)
    if not isinstance(lengths, Tracer) and not bool(jnp.all(jnp.isfinite(lengths))):
        raise ValueError("lengths must be finite: give a sample that was cut off the length at which it was")
    ordered = jnp.sort(lengths)
    chance = _chances(m, k, n)
    # Given which one is the m-th, the m - 1 before it are any of the shorter ones.
    shorter = (jnp.cumsum(ordered) - ordered) / jnp.maximum(jnp.arange(n), 1)
    return ShortCost(jnp.sum(chance * ((m - 1) * shorter + (k - m + 1) * ordered)), jnp.sum(chance * ordered))


def _chances(m: int, k: int, n: int) -> Float[Array, " n"]:
    """For each place in the order of n samples, the chance that the m-th shortest of k of them stands there.

    C(j - 1, m - 1) C(n - j, k - m) / C(n, k), by whole numbers: logs of factorials would leave no digits.
    """
    subsets = math.comb(n, k)
    return jnp.asarray([math.comb(j, m - 1) * math.comb(n - 1 - j, k - m) / subsets for j in range(n)], float)


def _checked(m: int, k: int, n: int) -> int:
    if not (is_count(m) and is_count(k) and m <= k <= n):
        raise ValueError(f"the first m of k of n samples need 1 <= m <= k <= n, got m={m}, k={k}, n={n}")
    return n
