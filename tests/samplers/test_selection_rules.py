"""Rules that choose by rewards, probabilities and lengths: against brute force, at their ties, and with bad input."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln

from probinf.cases._search_models import SearchModel, answer
from probinf.samplers import (
    best_of_majority,
    best_of_majority_lanes,
    perplexity_consistency,
    reasoning_pruning,
    short_1_at_k,
    short_cost,
    short_m_at_k,
    short_m_lane,
    short_m_of_k,
    weibull_mixture,
)

LANES = jax.jit(best_of_majority_lanes, static_argnums=2)


def by_hand(answers, rewards, k, alpha):
    """Best-of-Majority by sorting in Python: the lanes, -1 where no answer is left."""
    given = list(dict.fromkeys(a for a in answers if a >= 0))
    count = {a: answers.count(a) for a in given}
    mean = {a: np.mean([r for b, r in zip(answers, rewards, strict=True) if a == b]) for a in given}
    rest = lambda a: count[a] < alpha * len(answers)  # noqa: E731
    order = sorted(given, key=lambda a: (rest(a), -count[a] if rest(a) else 0, -mean[a], answers.index(a)))
    return ([answers.index(a) for a in order] + [-1] * k)[:k]


def test_best_of_majority_against_sorting():
    rng = np.random.default_rng(0)
    answers = rng.integers(-1, 4, (60, 8))
    # Multiples of 1/4: ties of means are frequent, and exact.
    rewards = rng.integers(0, 3, (60, 8)) / 4
    for k, alpha in ((1, 0.0), (1, 0.375), (3, 0.25), (2, 1.0)):
        lanes = jax.vmap(LANES, (0, 0, None, None))(jnp.asarray(answers), jnp.asarray(rewards), k, alpha)
        expected = [by_hand(list(a), list(r), k, alpha) for a, r in zip(answers, rewards, strict=True)]
        assert lanes.tolist() == expected


def test_best_of_majority_falls_back_on_frequency():
    answers, rewards = jnp.array([1, 1, 2, 3, -1]), jnp.array([0.1, 0.3, 0.9, 0.8, 1.0])
    assert best_of_majority_lanes(answers, rewards, 2, 0.4).tolist() == [0, 2]  # 1 is frequent; 2 fills up
    assert best_of_majority_lanes(answers, rewards, 5, 0.0).tolist() == [2, 3, 0, -1, -1]  # best-of-n over answers
    assert best_of_majority_lanes(answers, rewards, 1, 0.9).tolist() == [0]  # nobody is: the most frequent
    assert best_of_majority_lanes(jnp.full(5, -1), rewards, 2, 0.4).tolist() == [-1, -1]
    assert best_of_majority_lanes(answers, rewards.at[2].set(jnp.nan), 3, 0.0).tolist() == [3, 0, 2]


def log_likelihood(parameters, x):
    w, k, lam = np.array([parameters[0], 1 - parameters[0]]), parameters[[1, 3]], parameters[[2, 4]]
    z = np.log(x)[None] - np.log(lam)[:, None]
    parts = np.log(w * k / lam)[:, None] + (k - 1)[:, None] * z - np.exp(k[:, None] * z)
    return float(np.logaddexp(*parts).sum())


def test_weibull_mixture_is_as_likely_as_what_scipy_finds(x64):
    rng = np.random.default_rng(1)
    fits = []
    for n, gap in ((40, 0.5), (64, 0.3), (100, 0.1)):
        x = np.clip(np.r_[rng.normal(0.8, 0.05, n // 2), rng.normal(0.8 - gap, 0.08, n - n // 2)], 0.02, 1.0)
        fit = jax.jit(weibull_mixture)(jnp.log(x))
        mine = np.array([fit.weight[0], fit.shape[0], fit.scale[0], fit.shape[1], fit.scale[1]])
        bounds = [(0.2, 0.8)] + [(0.01, 100.0)] * 4
        # The released code's start and bounds.
        theirs = minimize(lambda q: -log_likelihood(q, x), [0.5, 1.0, 1.0, 1.5, 2.0], bounds=bounds)  # noqa: B023
        fits.append((log_likelihood(mine, x), -theirs.fun))
        assert 0.2 <= mine[0] <= 0.8 and np.all(mine > 0)
    print("\nlog-likelihood, ours and L-BFGS-B: " + ", ".join(f"{a:.3f} {b:.3f}" for a, b in fits))
    assert all(a >= b - 0.1 for a, b in fits)


def test_no_step_of_the_fit_lowers_the_likelihood(x64, monkeypatch):
    from probinf.samplers import _weibull_mixture as module

    x = np.random.default_rng(2).beta(4, 2, 30)
    found = []
    for steps in (0, 1, 2, 5, 20, 80):
        monkeypatch.setattr(module, "_STEPS", steps)
        fit = module.weibull_mixture(jnp.log(x))
        found.append(log_likelihood(np.array([fit.weight[0], *np.stack([fit.shape, fit.scale], 1).ravel()]), x))
    assert np.all(np.diff(found) >= -1e-9)


def test_parts_of_the_mixture_are_densities(x64):
    fit = weibull_mixture(jnp.log(jnp.array([0.2, 0.25, 0.6, 0.7, 0.75])))
    grid = jnp.linspace(-12.0, 3.0, 20001)
    mass = np.exp(np.asarray(fit.log_parts(grid))).sum(axis=1) * float(grid[1] - grid[0])
    np.testing.assert_allclose(mass, fit.weight, atol=1e-6)
    mean = (np.exp(np.asarray(fit.log_parts(grid) + grid[None])).sum(axis=1)) * float(grid[1] - grid[0]) / mass
    np.testing.assert_allclose(np.exp(fit.log_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(fit.log_mean, np.log(fit.scale) + gammaln(1 + 1 / np.asarray(fit.shape)))


PRUNED = jax.jit(jax.vmap(reasoning_pruning))


def test_pruning_drops_the_implausible_and_always_keeps_one():
    rng = np.random.default_rng(3)
    u = np.clip(np.concatenate([rng.normal(0.85, 0.03, (5, 24)), rng.normal(0.3, 0.05, (5, 8))], axis=1), 0.01, 1)
    kept = np.asarray(PRUNED(jnp.log(u)))
    assert kept[:, :24].all() and not kept[:, 24:].any()
    # Nothing to tell apart, spread over many magnitudes, and one that stands out.
    odd = np.stack([np.full(32, 0.5), 10.0 ** -np.arange(32), np.r_[1.0, np.full(31, 1e-6)]])
    kept = np.asarray(PRUNED(jnp.log(odd)))
    assert kept.any(axis=1).all() and kept[0].all() and kept[:, 0].all()


def test_perplexity_consistency_counts_texts_once_and_shares_ties():
    answers, texts = jnp.array([1, 1, 2, 2, -1, 3]), jnp.array([0, 0, 1, 2, 3, 4])
    log_probs, everyone = jnp.log(jnp.array([0.5, 0.5, 0.25, 0.25, 0.9, 0.125])), jnp.ones(6, bool)
    scores = perplexity_consistency(answers, texts, log_probs, everyone)
    np.testing.assert_allclose(scores.score, [0.5, 0.5, 0.5, 0.5, 0, 0.125])
    np.testing.assert_allclose(scores.confidence, scores.score / 1.125, rtol=1e-6)
    assert scores.credit.tolist() == [0.5, 0, 0.5, 0, 0, 0]
    # Where the first copy is pruned, the second counts; what is pruned does not.
    scores = perplexity_consistency(answers, texts, log_probs, everyone.at[jnp.array([0, 2])].set(False))
    np.testing.assert_allclose(scores.score, [0.5, 0.5, 0.25, 0.25, 0, 0.125])
    assert scores.credit.tolist() == [1, 0, 0, 0, 0, 0]
    none = perplexity_consistency(jnp.full(6, -1), texts, log_probs, everyone)
    assert none.credit.tolist() == [1, 0, 0, 0, 0, 0] and not none.confidence.any()


LENGTHS = np.array([4.0, 2.0, 7.0, 2.0, 5.0, np.inf])
ANSWERS = np.array([3, 8, 3, 9, 8, 3])


@pytest.mark.parametrize(("m", "k"), [(1, 1), (2, 3), (3, 4), (3, 3)])
def test_short_m_at_k_is_the_average_over_all_subsets(m, k, x64):
    for right in (3, 8):
        won = []
        for subset in itertools.combinations(range(6), k):
            first = sorted((i for i in subset if np.isfinite(LENGTHS[i])), key=lambda i: LENGTHS[i])[:m]
            votes = [ANSWERS[i] for i in first]
            winner = max(first, key=lambda i: (votes.count(ANSWERS[i]), -first.index(i)), default=None)  # noqa: B023
            won.append(winner is not None and ANSWERS[winner] == right)
        found = short_m_at_k(jnp.asarray(ANSWERS), jnp.asarray(LENGTHS), right, m, k)
        assert float(found) == pytest.approx(np.mean(won), abs=1e-14)


def test_short_1_at_k_shares_ties_of_length(x64):
    correct = np.array([1, 1, 0, 0, 1, 1], bool)
    shortest_one = jax.jit(short_1_at_k, static_argnums=2)
    for k in (1, 2, 4, 6):
        by_hand = []
        for subset in map(list, itertools.combinations(range(6), k)):
            tied = [i for i in subset if LENGTHS[i] == LENGTHS[subset].min()]
            by_hand.append(np.mean([correct[i] and np.isfinite(LENGTHS[i]) for i in tied]))
        found = shortest_one(jnp.asarray(correct), jnp.asarray(LENGTHS), k)
        assert float(found) == pytest.approx(np.mean(by_hand), abs=1e-14)


def test_short_1_at_k_of_many_samples_in_single_precision():
    n, k = 10_000, 100
    correct = np.random.default_rng(0).random(n) < 0.3
    with jax.enable_x64(True):
        exact = float(short_1_at_k(jnp.asarray(correct), jnp.arange(1.0, n + 1), k))
    found = float(short_1_at_k(jnp.asarray(correct), jnp.arange(1.0, n + 1, dtype=jnp.float32), k))
    assert found == pytest.approx(exact, rel=1e-5)


def test_the_shortest_of_many_samples_keep_their_digits():
    """In float32 too: lengths 1 to 4,000, of which the shortest of 16 has the mean (n + 1) / (k + 1)."""
    lengths = jnp.arange(1.0, 4001)
    assert float(short_1_at_k(jnp.ones(4000, bool), lengths, 16)) == pytest.approx(1, abs=1e-5)
    assert float(short_cost(lengths, 1, 16).time) == pytest.approx(4001 / 17, rel=1e-5)


def test_short_cost_is_the_average_over_all_subsets(x64):
    lengths = np.array([4.0, 2.0, 7.0, 2.0, 5.0, 11.0])
    for m, k in ((1, 1), (1, 4), (2, 3), (3, 6)):
        rows = [sorted(lengths[list(subset)]) for subset in itertools.combinations(range(6), k)]
        tokens, time = np.mean([(np.minimum(row, row[m - 1]).sum(), row[m - 1]) for row in rows], axis=0)
        cost = short_cost(jnp.asarray(lengths), m, k)
        assert float(cost.tokens) == pytest.approx(tokens, abs=1e-12)
        assert float(cost.time) == pytest.approx(time, abs=1e-12)


def test_short_m_lane_at_ties_and_without_finishers():
    lane = lambda answers, lengths, m: int(short_m_lane(jnp.array(answers), jnp.array(lengths), m))  # noqa: E731
    assert lane([3, 8, 8, 3], [9.0, 5.0, 6.0, 4.0], 4) == 3  # a tie goes to the answer of the shortest
    assert lane([3, 8, 8, 3], [9.0, 5.0, 6.0, 4.0], 3) == 1
    assert lane([3, 8, 8, 3], [5.0, 5.0, 6.0, 5.0], 1) == 0
    assert lane([-1, 8, 8, 3], [1.0, 5.0, 6.0, 4.0], 2) == 3  # no answer loses against any
    assert lane([3, 8], [np.inf, np.inf], 1) == -1
    assert lane([3, 8], [np.inf, 2.0], 2) == 1


def test_knobs_out_of_range_are_refused():
    writer, three = SearchModel().writer(), jnp.arange(3)
    lengths = jnp.arange(3.0)
    for call, message in (
        (lambda: best_of_majority(writer, answer, alpha=1.5), "alpha is a frequency"),
        (lambda: best_of_majority(writer, answer, alpha=0.5, k=0), "at least one answer"),
        (lambda: best_of_majority_lanes(three, lengths, 1, -0.5), "alpha is a frequency"),
        (lambda: short_m_of_k(writer, answer, m=0), "the first m samples vote"),
        (lambda: short_m_lane(three, lengths, 4), "from 1 to 3"),
        (lambda: short_1_at_k(three > 0, lengths, 4), "1 <= m <= k <= n"),
        (lambda: short_m_at_k(three, lengths, 1, 3, 2), "1 <= m <= k <= n"),
        (lambda: short_m_at_k(jnp.zeros(60, int), jnp.zeros(60), 1, 12, 20), "too many"),
        (lambda: short_cost(jnp.asarray([3.0, jnp.inf]), 1), "lengths must be finite"),
        (lambda: short_cost(lengths, 0), "1 <= m <= k <= n"),
        (lambda: weibull_mixture(jnp.zeros(1)), "at least two numbers"),
        (lambda: reasoning_pruning(jnp.zeros(1)), "at least two numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_nan_never_takes_the_credit_away():
    answers, texts, kept = jnp.array([1, 1, 0]), jnp.arange(3), jnp.ones(3, bool)
    log_probs = jnp.array([jnp.nan, -1.0, -0.5])
    with pytest.raises(ValueError, match="log_probs must be numbers, not NaN"):
        perplexity_consistency(answers, texts, log_probs, kept)
    # Inside a trace NaN counts as no probability: before, every score was NaN and the credit zero.
    scores = jax.jit(perplexity_consistency)(answers, texts, log_probs, kept)
    assert np.array_equal(scores.credit, [0, 0, 1]) and float(jnp.max(scores.confidence)) <= 1
