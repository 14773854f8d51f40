"""Estimators from counts against all orders of the samples; intervals, fits and posteriors against simple answers."""

import csv
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from probinf.figures._imperfect_tables import pythia_counts
from probinf.verifiers.imperfect import (
    BetaPopulation,
    Payoff,
    Population,
    PowerLaw,
    SampleCounts,
    acceptance_bound,
    ceiling_bounds,
    clopper_pearson,
    credible_interval,
    estimate_outcomes,
    estimate_rates,
    estimate_utilities,
    fit_beta_binomial,
    fit_power_law,
    pass_all,
    pass_at,
    plausible_attempts,
    sample_concentrations,
    select_attempts,
    simultaneous_band,
    task_interval,
    utility,
)


def every_order(x, y, z, attempts):
    """(correct, wrong, abstain, samples) averaged over all orders of the samples."""
    items = ["c"] * x + ["w"] * y + ["r"] * z
    totals, orders = np.zeros(4), list(itertools.permutations(items))
    for order in orders:
        first = next((i for i, item in enumerate(order[:attempts]) if item != "r"), None)
        hit = None if first is None else order[first]
        totals += [hit == "c", hit == "w", hit is None, attempts if first is None else first + 1]
    return totals / len(orders)


def test_estimates_are_the_mean_over_all_orders(x64):
    rows = np.array([(2, 1, 4), (0, 0, 7), (3, 4, 0), (0, 2, 5), (1, 0, 6)])
    found = estimate_outcomes(SampleCounts(*rows.T), np.arange(8))
    for i, row in enumerate(rows):
        for k in range(8):
            x, y, z = (int(count) for count in row)
            expected = every_order(x, y, z, k)
            assert [float(value[i, k]) for value in found] == pytest.approx(expected, abs=1e-12)


def test_estimates_are_unbiased_for_the_calculus(x64):
    """Over all counts of six samples, with their multinomial chances."""
    p, t, f, n = 0.35, 0.8, 0.25, 6
    chances = [p * t, (1 - p) * f, 1 - p * t - (1 - p) * f]
    rows = np.array([(x, y, n - x - y) for x in range(n + 1) for y in range(n + 1 - x)])
    mass = stats.multinomial.pmf(rows, n, chances)
    payoff, k = Payoff(1.0, 0.7, 0.1, 0.02), np.arange(n + 1)
    scores = estimate_utilities(SampleCounts(*rows.T), k, payoff)
    assert mass @ np.asarray(scores) == pytest.approx(np.asarray(utility(Population(p, t, f), k, payoff)), abs=1e-12)
    both, all_right = pass_at(rows[:, 0], n, k), pass_all(rows[:, 0], n, k)
    assert mass @ np.asarray(both) == pytest.approx(1 - (1 - p * t) ** k, abs=1e-12)
    assert mass @ np.asarray(all_right) == pytest.approx((p * t) ** k, abs=1e-12)


def test_a_million_samples_keep_their_digits(x64):
    x, n = np.array([3, 400_000, 0]), 1_000_000
    k = np.array([1, 1000, 900_000])
    found = np.asarray(pass_at(x, n, k))
    assert found[0] == pytest.approx(1 - np.prod([1 - k / (n - j) for j in range(3)], axis=0), abs=1e-12)
    assert found[1, 0] == pytest.approx(0.4, abs=1e-12)
    assert np.all(found[2] == 0) and found[1, 1] == 1
    # In single precision too, to what it has.
    with jax.enable_x64(False):
        assert np.asarray(pass_at(x, n, k))[0] == pytest.approx(found[0], abs=1e-5)


def test_more_attempts_than_samples_need_a_model():
    counts = SampleCounts([2, 1], [0, 1], [8, 3])
    with pytest.raises(ValueError, match="6 attempts cannot be estimated from 5 samples without a model"):
        estimate_outcomes(counts, 6)
    traced = jax.jit(lambda k: estimate_outcomes(counts, k).correct)(jnp.asarray(6.0))
    assert np.isfinite(traced[0]) and np.isnan(traced[1])


def test_rates_of_the_verifier_by_task_macro_and_pooled(x64):
    counts = SampleCounts([3, 0, 5], [1, 2, 0], [6, 8, 5])
    found = estimate_rates(counts, jnp.asarray([1.0, 0.0, 5.0]))
    assert found.by_task.true_positive_rate == pytest.approx([3 / 4, np.nan, 0.5], nan_ok=True)
    assert found.by_task.false_positive_rate == pytest.approx([1 / 6, 0.2, np.nan], nan_ok=True)
    assert [float(rate) for rate in found.macro] == pytest.approx([0.625, (1 / 6 + 0.2) / 2])
    assert [float(rate) for rate in found.pooled] == pytest.approx([8 / 14, 3 / 16])


def test_clopper_pearson_is_the_exact_interval(x64):
    x, n = np.array([0, 3, 10, 0]), np.array([10, 10, 10, 0])
    low, high = clopper_pearson(x, n)
    for i in (0, 1, 2):
        exact = stats.binomtest(int(x[i]), int(n[i])).proportion_ci(0.95, "exact")
        assert (float(low[i]), float(high[i])) == pytest.approx((exact.low, exact.high), abs=1e-10)
    assert (float(low[3]), float(high[3])) == (0, 1)
    assert float(acceptance_bound(100)) == pytest.approx(1 - 0.05**0.01, abs=1e-14)
    # At the bound nothing is accepted with probability 1 - level.
    assert (1 - float(acceptance_bound(100))) ** 100 == pytest.approx(0.05)


def test_ceilings_are_known_in_part():
    counts = SampleCounts([3, 0, 0, 2], [1, 0, 4, 0], [0, 9, 1, 3])
    assert [float(end) for end in ceiling_bounds(counts)] == pytest.approx([1.75 / 4, 2.75 / 4])


def test_the_winner_of_noise_is_worth_nothing(x64):
    """Means of 200 tasks at 30 K, all zero: the largest is above zero, and its fair value is not."""
    key = jax.random.key(3)

    @jax.jit
    def run(key):
        noise, split = jax.random.split(key)
        found = select_attempts(split, jax.random.normal(noise, (200, 30)))
        return found.naive, found.utility

    naive, fair = (np.asarray(x) for x in jax.vmap(run)(jax.random.split(key, 400)))
    assert naive.mean() > 0.12
    # Five standard errors: a false alarm in 3.5 million.
    assert abs(fair.mean()) < 5 * fair.std() / 20


def test_plausible_attempts_are_those_that_reach_the_best():
    band = (np.array([0.0, 0.3, 0.2, -0.1]), np.array([0.2, 0.5, 0.35, 0.25]))
    scores = jnp.asarray(np.random.default_rng(0).normal(size=(50, 4)))
    found = simultaneous_band(jax.random.key(0), scores)
    interval = type(found)(*map(jnp.asarray, band))
    assert list(plausible_attempts(interval)) == [False, True, True, False]
    # Wider than each interval by itself, narrower than by Bonferroni; five percent either way is beyond the noise of c.
    single = task_interval(jax.random.key(1), scores)
    assert np.all(found.upper - found.lower > 1.05 * (single.upper - single.lower))


def test_power_law_is_found_again_and_matches_a_general_optimizer(x64):
    k = np.unique(np.round(np.geomspace(1, 10_000, 40)))
    exact = fit_power_law(jnp.asarray(k), PowerLaw(jnp.asarray(-4.0), jnp.asarray(-0.3)).coverage(k))
    assert (float(exact.a), float(exact.b)) == pytest.approx((-4, -0.3), abs=1e-6)
    miss = np.exp(special.betaln(0.3, 1.5 + k) - special.betaln(0.3, 1.5))
    found = fit_power_law(jnp.asarray(k), jnp.asarray(1 - miss))
    residuals = lambda a, b: np.sum((1 - miss - np.exp(a * k**b)) ** 2)  # noqa: E731
    best = residuals(float(found.a), float(found.b))
    assert all(
        best <= residuals(float(found.a) + da, float(found.b) + db)
        for da in (-1e-3, 0, 1e-3)
        for db in (-1e-4, 0, 1e-4)
    )


def test_power_law_is_the_published_fit(x64, shared_data):
    folder = shared_data / "repeated_sampling"
    with open(folder / "monkeys_math_fits_recomputed.csv", newline="") as file:
        fits = {row["model"]: (float(row["a"]), float(row["b"])) for row in csv.DictReader(file)}
    k = np.unique(np.round(np.geomspace(1, 10_000, 40)))
    for model, correct in pythia_counts(folder).items():
        curve = pass_at(correct, 10_000.0, k).mean(0)
        found = fit_power_law(jnp.asarray(k), curve)
        assert (float(found.a), float(found.b)) == pytest.approx(fits[model], rel=1e-4), model


def test_beta_binomial_fit_is_the_largest_likelihood(x64):
    rng = np.random.default_rng(5)
    p = rng.beta(0.4, 1.2, 300)
    x, n = rng.binomial(50, p), 50
    fit = jax.jit(fit_beta_binomial)(jnp.asarray(x, float), jnp.full(300, 50.0))
    a, b = float(fit.population.alpha), float(fit.population.beta)

    def score(a, b):
        return stats.betabinom.logpmf(x, n, a, b).sum()

    assert all(score(a, b) >= score(a * ra, b * rb) - 1e-3 for ra in (0.98, 1, 1.02) for rb in (0.98, 1, 1.02))
    assert float(fit.coverage(10)) == pytest.approx(float(BetaPopulation(a, b).outcomes(10).correct), abs=1e-12)
    low, high = fit.interval(jnp.asarray([10.0, 1e6]))
    assert np.all(low < fit.coverage(jnp.asarray([10.0, 1e6]))) and np.all(
        fit.coverage(jnp.asarray([10.0, 1e6])) < high
    )
    with pytest.raises(ValueError, match="all samples are alike"):
        fit_beta_binomial([0, 0], [5, 5])


def test_posterior_of_concentrations_agrees_with_importance_sampling(x64):
    from probinf.verifiers.imperfect._concentration import log_posterior

    rng = np.random.default_rng(2)
    chances = rng.dirichlet([0.6, 0.3, 1.5], 80)
    rows = np.array([rng.multinomial(30, c) for c in chances])
    counts = SampleCounts(*rows.T)
    found = eqx.filter_jit(sample_concentrations)(jax.random.key(1), counts, draws=1000)
    assert 0.8 < float(found.accepted) <= 1
    logs = np.log(np.asarray(found.concentration))
    # Draws from a wide Student-t about the same place, weighted.
    proposal = stats.multivariate_t(loc=logs.mean(0), shape=np.cov(logs.T) * 1.3, df=6, seed=rng)  # pyright: ignore[reportArgumentType, reportCallIssue]
    theta = proposal.rvs(20_000)
    target = np.asarray(jax.jit(jax.vmap(lambda t: log_posterior(t, jnp.asarray(rows, float))))(jnp.asarray(theta)))
    weight = special.softmax(target - proposal.logpdf(theta))
    exact, ceiling = weight @ theta, weight @ (1 / (1 + np.exp(theta[:, 1] - theta[:, 0])))
    # 4,000 draws of which at least one in four is fresh, and 20,000 weighted ones: .04 deviations is five errors.
    spread = logs.std(0)
    assert np.all(np.abs(logs.mean(0) - exact) < 0.15 * spread)
    assert np.all(np.abs(spread**2 / (weight @ (theta - exact) ** 2) - 1) < 0.2)
    assert float(found.ceilings().mean()) == pytest.approx(ceiling, abs=0.15 * float(found.ceilings().std()))
    low, high = credible_interval(found.ceilings())
    assert low < ceiling < high

    # These very tasks: their expected utility is that of Dirichlet counts, and K* is among the offered.
    grid = jnp.asarray([0.0, 1, 2, 5, 20, 1e3, 1e6, jnp.inf])
    best = eqx.filter_jit(lambda d, k: d.best_attempts(k, grid, Payoff(1.0, 1.0)))(found, jax.random.key(2))
    assert set(np.asarray(best)) <= set(np.asarray(grid))
    free = eqx.filter_jit(lambda d, k: d.best_attempts(k, grid, Payoff(1.0, 0.0)))(found, jax.random.key(2))
    assert np.all(np.isinf(np.asarray(free)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SampleCounts([-1], [0], [3]), "at least zero"),
        (lambda: SampleCounts([1, 0], [0, 0], [3, 0]), "task 1 has no samples"),
        (lambda: SampleCounts([1, 2], [0], [3, 3]), "one length"),
        (lambda: SampleCounts([0.5], [0], [3]), "whole numbers"),
        (lambda: clopper_pearson(3, 2), "0 <= successes <= trials"),
        (lambda: clopper_pearson(1, 2, level=95.0), "level of an interval"),
        (lambda: task_interval(jax.random.key(0), jnp.ones((1, 3))), "at least two"),
        (lambda: select_attempts(jax.random.key(0), jnp.ones((4, 3)), folds=9), "2 to 4 folds"),
        (lambda: fit_power_law(jnp.asarray([0.0, 2.0]), jnp.asarray([0.3, 0.5])), "at least one"),
        (lambda: fit_power_law(jnp.asarray([1.0, 2.0]), jnp.asarray([0.0, 0.5])), "coverage must lie"),
        (
            lambda: estimate_rates(SampleCounts([1], [1], [3]), jnp.asarray([4.0])),
            "got rejected_correct=4 and rejected=3",
        ),
    ],
)
def test_bad_input_is_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()
