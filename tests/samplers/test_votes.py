"""Votes and tournaments: against brute force over all samples, at their ties, and where the input makes no sense."""

import itertools
import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from probinf import Draw, Status, sample, spawn
from probinf.cases._votes import _leagued
from probinf.distributions import Categorical
from probinf.samplers import (
    NoisyComparison,
    NoisyVerdict,
    accepted_vote,
    knockout,
    knockout_failure_bound,
    league,
    league_failure_bound,
    log_odds_vote,
    majority_at_k,
    majority_law,
    retry_until_accepted,
    verify_then_vote,
    weighted_vote,
)

KEY = jax.random.key(0)
LAW, AT_K = (jax.jit(f, static_argnums=1) for f in (majority_law, majority_at_k))


def is_zero(x):
    return x == 0


def identity(x):
    return x


def shares(row, answers):
    """The chance of each answer to win one vote, ties shared."""
    counts = Counter(row)
    modes = [a for a in counts if counts[a] == max(counts.values())]
    return np.array([(a in modes) / len(modes) for a in range(answers)])


@pytest.mark.parametrize(("p", "n"), [([0.5, 0.3, 0.2], 1), ([0.4, 0.4, 0.2, 0.0], 4), ([0.1, 0.2, 0.3, 0.4], 6)])
def test_majority_law_is_that_of_all_votes(p, n, x64):
    by_hand = sum(
        np.prod([p[a] for a in row]) * shares(row, len(p)) for row in itertools.product(range(len(p)), repeat=n)
    )
    with np.errstate(divide="ignore"):
        law = LAW(jnp.log(jnp.array(p)), n)
    np.testing.assert_allclose(law, by_hand, atol=1e-14)
    assert float(law.sum()) == pytest.approx(1, abs=1e-13)


def test_majority_law_at_many_voters():
    # In float32 and at 101 voters: two answers, whose law is a binomial tail.
    law = LAW(jnp.log(jnp.array([0.55, 0.45])), 101)
    assert float(law[0]) == pytest.approx(binom.sf(50, 101, 0.55), abs=1e-4)


@pytest.mark.parametrize("k", [2, 5])
def test_majority_at_k_is_the_average_over_all_subsets(k, x64):
    samples = [0, 1, 1, 2, 0, 3]
    counts = jnp.bincount(jnp.array(samples), length=5)
    subsets = list(itertools.combinations(samples, k))
    by_hand = np.mean([shares(row, 5) for row in subsets], axis=0)
    np.testing.assert_allclose(AT_K(counts, k), by_hand, atol=1e-14)


def test_majority_at_k_of_many_samples_keeps_its_digits():
    """In float32 too; by differences of logs of factorials the chances summed to .986."""
    found = AT_K(jnp.array([6000, 4000]), 16)
    assert found.dtype == jnp.float32
    assert abs(float(found.sum()) - 1) < 1e-5
    # Ties, of eight votes each, are shared.
    expected = hypergeom.sf(8, 10_000, 6000, 16) + hypergeom.pmf(8, 10_000, 6000, 16) / 2
    assert float(found[0]) == pytest.approx(expected, abs=1e-5)


def test_majority_at_k_is_unbiased(x64):
    # Over all samples of n = 4, where the plug-in estimate is not.
    p, n, k = np.array([0.5, 0.3, 0.2]), 4, 3
    rows = [tuple(row) for row in itertools.product(range(3), repeat=n)]
    chance = np.array([np.prod(p[list(row)]) for row in rows])
    counts = jnp.array([[row.count(a) for a in range(3)] for row in rows])
    truth = np.asarray(LAW(jnp.log(p), k))
    unbiased = chance @ np.asarray(jax.vmap(AT_K, (0, None))(counts, k))
    np.testing.assert_allclose(unbiased, truth, atol=1e-13)
    with np.errstate(divide="ignore"):
        plug_in = jax.vmap(LAW, (0, None))(jnp.log(counts / n), k)
    assert np.abs(chance @ np.asarray(plug_in) - truth).max() > 0.01


def test_accepted_vote_at_ties_and_without_answers():
    yes, no = True, False
    rows = [
        ([3, 8, 8, 3], [yes] * 4, 0),  # a tie goes to the answer that came first
        ([3, 8, 8, 3], [no, yes, yes, yes], 1),
        ([3, 8, 8, 3], [no, no, no, yes], 3),
        ([-1, -1, 8, 3], [yes, yes, no, yes], 3),  # no answer loses against any
        ([-1, -1, 8, 3], [yes, yes, no, no], 0),
        ([3, 8, 8, 3], [no] * 4, -1),
    ]
    answers, accepted, expected = (jnp.array(column) for column in zip(*rows, strict=True))
    assert jax.vmap(accepted_vote)(answers, accepted).tolist() == expected.tolist()


def test_log_odds_vote_orders_answers_by_their_likelihood(x64):
    rng = np.random.default_rng(0)
    answers, accepted = rng.integers(-1, 4, (200, 7)), rng.random((200, 7)) < 0.5
    t, f = 0.7, 0.4
    lanes = jax.jit(jax.vmap(log_odds_vote, (0, 0, None, None)))(jnp.asarray(answers), jnp.asarray(accepted), t, f)
    for row, verdicts, lane in zip(answers, accepted, np.asarray(lanes), strict=True):
        chance = lambda a, rate: np.prod(np.where(verdicts, rate, 1 - rate)[row == a])  # noqa: B023, E731
        ratio = {a: chance(a, t) / chance(a, f) for a in row if a >= 0}
        top = max(ratio.values())
        assert lane == next(i for i, a in enumerate(row) if a >= 0 and np.isclose(ratio[a], top, rtol=1e-12))


def test_exact_ties_of_log_odds_stay_ties_in_single_precision():
    # Equal counts in another order: sums of floats would differ.
    answers = jnp.array([1, 2, 1, 2, 1, 2, 1, 2, 1, 2])
    accepted = jnp.array([1, 0, 1, 1, 0, 1, 1, 0, 0, 1]).astype(bool)
    assert int(log_odds_vote(answers, accepted, 0.9, 0.3)) == 0


def test_uninformative_verdicts_leave_the_first_answer():
    assert int(log_odds_vote(jnp.array([4, 5, 5]), jnp.array([False, True, True]), 0.5, 0.5)) == 0


def test_knockout_fails_less_often_than_its_bound(x64):
    informative = 0
    for accuracy, rounds, votes, p in itertools.product((0.6, 0.75, 0.9), (1, 3, 5), (1, 9, 41), (0.1, 0.5)):
        # Of a bracket of 2^r lanes: who is right beats who is wrong with a majority of votes.
        won = 1 - binom.cdf((votes - 1) // 2, votes, accuracy)
        right = p
        for _ in range(rounds):
            right = right**2 + 2 * right * (1 - right) * won
        bound = float(knockout_failure_bound(2**rounds, votes, p, accuracy))
        assert 1 - right <= bound
        informative += bound < 1
    assert informative > 15


def league_failures(n, rounds, p, accuracy):
    """Exact, by the number of right candidates: wins are binomial, and who came first wins a tie."""
    total = binom.pmf(0, n, p)
    # A tie of several at the top goes to each of them alike: the integral of a polynomial, by Gauss's rule.
    nodes, weights = np.polynomial.legendre.leggauss(n // 2 + 1)
    s, w = (nodes + 1)[:, None] / 2, weights / 2
    for right in range(1, n):
        chance = binom.pmf(right, n, p)
        if chance < 1e-12:
            continue
        wrong, others = n - right, n - 1
        wins = ((right - 1) * 0.5 + wrong * accuracy) / others, (right * (1 - accuracy) + (wrong - 1) * 0.5) / others
        grid = np.arange(rounds + 1)
        cdf, pmf = ([f(grid, rounds, w) for w in wins] for f in (binom.cdf, binom.pmf))
        below = [np.maximum(c - q, 0) for c, q in zip(cdf, pmf, strict=True)]
        tied = [b[None, :] + s * q[None, :] for b, q in zip(below, pmf, strict=True)]
        total += chance * wrong * float(w @ np.sum(pmf[1] * tied[1] ** (wrong - 1) * tied[0] ** right, axis=1))
    return total


def test_league_fails_less_often_than_its_bound():
    # With n = 3 the count is the exact law of the sampler, as in `probinf check`; where the bound says something, n
    # must be in the hundreds.
    counted = _leagued(3, 1)
    exact = float(np.exp(counted.log_mass)[counted.values == 1].sum())
    assert league_failures(3, 1, 0.375, 0.9375) == pytest.approx(exact, abs=1e-7)
    bounds = []
    for n, rounds, p, accuracy in ((8, 4, 0.3, 0.9), (300, 400, 0.5, 0.95)):
        # The gap in the chance to win against a new candidate.
        gap = (p * 0.5 + (1 - p) * accuracy) - (p * (1 - accuracy) + (1 - p) * 0.5)
        bounds.append(float(league_failure_bound(n, rounds, p, gap)))
        assert league_failures(n, rounds, p, accuracy) <= bounds[-1]
    assert bounds[-1] < 0.5


def test_failure_bounds_by_their_formulas(x64):
    expected = 0.75**8 + 3 * math.exp(-2 * 5 * 0.4**2)
    assert float(knockout_failure_bound(8, 5, 0.25, 0.9)) == pytest.approx(expected, rel=1e-12)
    expected = 0.75**300 + 600 * (math.exp(-800 * 0.16 / 8) + math.exp(-299 * 0.16 / 8))
    assert float(league_failure_bound(300, 800, 0.25, 0.4)) == pytest.approx(min(expected, 1), rel=1e-12)


GENERATOR = Draw(Categorical(np.log([0.25, 0.75])))


def test_status_tells_that_a_verifier_accepted_nothing():
    never = NoisyVerdict(is_zero, 0.0, 0.0)
    result = sample(retry_until_accepted(GENERATOR, never, budget=2), KEY, 4)
    assert result.status is Status.DEGENERATE and not result.info.accepted.any()
    result = sample(verify_then_vote(GENERATOR, identity, never), KEY, 4)
    assert result.status is Status.DEGENERATE and result.particles.log_z == -np.inf


def test_one_candidate_wins():
    compare = NoisyComparison(is_zero, 0.75)
    for tournament in (knockout(GENERATOR, compare), league(GENERATOR, compare)):
        cloud, _ = tournament(KEY, spawn(1))
        assert cloud.n == 1 and cloud.log_z == 0


def test_knobs_out_of_range_are_refused():
    compare = NoisyComparison(is_zero, 0.75)
    for call, message in (
        (lambda: NoisyVerdict(is_zero, 1.5), "true_positive_rate is a probability"),
        (lambda: NoisyVerdict(is_zero, 0.5, -0.1), "false_positive_rate is a probability"),
        (lambda: NoisyComparison(is_zero, 2.0), "accuracy is a probability"),
        (lambda: retry_until_accepted(GENERATOR, NoisyVerdict(is_zero), budget=0), "at least one attempt"),
        (lambda: weighted_vote(GENERATOR, identity, NoisyVerdict(is_zero, 1.0, 0.5)), "inside"),
        (lambda: log_odds_vote(jnp.zeros(1, int), jnp.ones(1, bool), 0.5, 0.0), "inside"),
        (lambda: majority_law(jnp.zeros(1), 0), "at least one voter"),
        (lambda: majority_at_k(jnp.array([1, 1]), 3), "needs at least as many samples, got 2"),
        (lambda: knockout(GENERATOR, compare, votes=0), "at least one vote"),
        (lambda: league(GENERATOR, compare, rounds=0), "at least one round"),
        (lambda: knockout_failure_bound(0, 1, 0.5, 0.7), "at least one candidate"),
        (lambda: knockout_failure_bound(4, 1, 0.5, 0.5), "right more often than not"),
        (lambda: league_failure_bound(1, 1, 0.5, 0.3), "at least two candidates"),
        (lambda: knockout_failure_bound(4, 1, 0.5, 1.1), "right more often than not"),
        (lambda: knockout_failure_bound(4, 1, -0.5, 0.7), "p_right is a probability"),
        (lambda: league_failure_bound(4, 1, 0.5, 0.0), "needs a gap"),
        (lambda: league_failure_bound(4, 1, 0.5, 1.5), "needs a gap"),
        (lambda: league_failure_bound(4, 1, 1.5, 0.5), "p_strong is a probability"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_probabilities_are_not_taken_for_logs():
    # Before, 29.2 for the chance of an answer to win.
    with pytest.raises(ValueError, match="log_p must be log-probabilities of sum one, got a sum of"):
        majority_law(jnp.array([0.2, 0.5, 0.3]), 3)
    # Inside a trace nothing can be raised, and NaN says so.
    assert np.all(np.isnan(LAW(jnp.array([0.2, 0.5, 0.3]), 3)))


def test_counts_and_lengths_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"counts must be whole numbers of at least 0, got -1"):
        majority_at_k(jnp.array([3, -1, 2]), 2)
    # The tests' run-time checks of shapes would refuse lengths before the library does.
    with pytest.raises((ValueError, TypeError)):
        accepted_vote(jnp.array([1, 0]), jnp.array([True]))
