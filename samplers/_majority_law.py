"""The exact law of a majority vote: over independent voters, and over the subsets of the samples at hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int

from probinf._arguments import is_count, log_law, whole

# A float, so that it survives addition where -inf would turn into NaN in a derivative.
_NEVER = -1e30
# Sums further from one are a mistake, not rounding.
_OFF = 1e-3


def majority_law(log_p: Float[Array, " answers"], n: int) -> Float[Array, " answers"]:
    """The chance of each answer to win the vote of n independent voters, ties shared equally.

    Law: P(a wins) = sum over counts of the multinomial probability times 1[a is a mode] / (number of modes). Where the
    first of equals wins, as in `self_consistency`, the chance is the same, because the order of the voters is random.

    log_p: log-probability of each answer, of sum one; what does not answer has no entry, and must be conditioned away.
    The first entry is maj@n where the first answer is the right one. Exact, in time cubic in n; for many tasks use
    `jax.vmap`.

    Raises: ValueError for fewer than one voter, and for logs whose exponentials do not sum to one; inside a trace those
    give NaN.
    """
    _check_voters(n)
    log_p = log_law("log_p", log_p, "answers")
    counts = jnp.arange(n + 1.0)[None, :]
    # Zero votes for an answer that never comes are certain.
    powers = jnp.where(counts == 0, 0.0, counts * jnp.maximum(log_p, _NEVER)[:, None])
    log_terms = powers - gammaln(counts + 1)
    law = jnp.exp(_log_won(log_terms, n) + gammaln(n + 1.0))
    return jnp.where(jnp.abs(jnp.sum(jnp.exp(log_p)) - 1) < _OFF, law, jnp.nan)


def majority_at_k(counts: Int[Array, " answers"], k: int) -> Float[Array, " answers"]:
    """The chance of each answer to win the vote of k of the samples at hand, ties shared equally.

    Law: the average over all subsets of k of the n samples, in which answer a was given counts[a] times: unbiased for
    `majority_law(log_p, k)` (a U-statistic). A sample without an answer counts as an answer of its own.

    Raises: ValueError for fewer than one voter, for counts below zero and for a subset larger than the samples, unless
    traced.
    """
    _check_voters(k)
    counts = whole("counts", counts, "answers", low=0)
    n = jnp.sum(counts)
    if not isinstance(n, Tracer) and int(n) < k:
        raise ValueError(f"a vote of k={k} needs at least as many samples, got {int(n)}")
    chosen, given, total = jnp.arange(k + 1.0)[None, :], counts.astype(float)[:, None], n.astype(float)
    log_terms = jnp.where(chosen <= given, _log_shares(given, total, k), _NEVER)
    log_all = jnp.where(total >= k, _log_shares(total[None, None], total, k)[0, k], jnp.nan)
    return jnp.exp(_log_won(log_terms, k) - log_all)


def _log_won(log_terms: Float[Array, "answers voters"], n: int) -> Float[Array, " answers"]:
    """Log of sum over counts c of prod_b exp(log_terms[b, c_b]) * 1[a is a mode] / modes, with sum c = n.

    Sharing a tie among 1 + t modes is the integral of s^t over s in [0, 1], so each other answer that ties gets a
    factor s; the integrand is a polynomial in s of degree below the number of answers, which Gauss's rule sums exactly.
    """
    answers = log_terms.shape[0]
    nodes, weights = np.polynomial.legendre.leggauss(answers // 2 + 1)
    log_s = jnp.asarray(np.log((nodes + 1) / 2), log_terms.dtype)
    log_w = jnp.asarray(np.log(weights / 2), log_terms.dtype)
    counts = jnp.arange(n + 1)

    def given(a: Int[Array, ""], c: Int[Array, ""], log_s: Float[Array, ""]) -> Float[Array, ""]:
        """Answer a wins with c votes, where every answer that ties counts s."""
        others = jnp.where(counts < c, 0.0, jnp.where(counts == c, log_s, _NEVER))
        winner = jnp.where(counts == c, 0.0, _NEVER)
        mine = (jnp.arange(answers) == a)[:, None]
        factors = jnp.maximum(log_terms + jnp.where(mine, winner[None, :], others[None, :]), _NEVER)
        start = jnp.where(counts == 0, 0.0, _NEVER)
        return jax.lax.scan(lambda total, row: (_convolved(total, row), None), start, factors)[0][n]

    over_s = jax.vmap(given, (None, None, 0))
    per_count = lambda a, c: jax.nn.logsumexp(over_s(a, c, log_s) + log_w)  # noqa: E731
    per_answer = lambda a: jax.nn.logsumexp(jax.vmap(lambda c: per_count(a, c))(counts[1:]))  # noqa: E731
    return jax.lax.map(per_answer, jnp.arange(answers))


def _convolved(a: Float[Array, " voters"], b: Float[Array, " voters"]) -> Float[Array, " voters"]:
    """The product of two power series given by the logs of their coefficients, to the same order."""
    order = jnp.arange(len(a))
    back = order[:, None] - order[None, :]
    terms = jnp.where(back >= 0, a[jnp.maximum(back, 0)] + b[None, :], _NEVER)
    return jnp.maximum(jax.nn.logsumexp(terms, axis=1), _NEVER)


def _log_shares(given: Float[Array, "answers 1"], total: Float[Array, ""], k: int) -> Float[Array, "answers voters"]:
    """Log of C(given, c) / total^c for c = 0 to k, no number that means anything above `given`.

    A product of fractions, because the logs of factorials of many samples would leave no digits to their difference.
    """
    fractions = jnp.maximum(given - jnp.arange(k)[None, :], 1.0) / jnp.maximum(total, 1.0)
    falling = jnp.cumsum(jnp.log(fractions), axis=1)
    return jnp.concatenate([jnp.zeros_like(given), falling], axis=1) - gammaln(jnp.arange(k + 1.0) + 1)[None, :]


def _check_voters(n: int) -> None:
    if not is_count(n):
        raise ValueError(f"a vote needs at least one voter, and a whole number of them, got {n}")
