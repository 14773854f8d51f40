"""Estimates without truth are unbiased, ties are kept together, and bounds hold as often as they say."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.verifiers.pairs import (
    Admitted,
    Dirichlet,
    covered,
    error_ratio_bound,
    error_ratio_bounds,
    expected_calibration_error,
    half_width,
    mean_upper_bound,
    second_order_calibration_error,
    squared_error_from_counts,
    squared_error_from_pairs,
    worst_decile,
)
from probinf.verifiers.pairs._intervals import _stakes
from tests.verifiers.pairs.worlds import moments, predictions, rough_world

METHODS = ["betting", "bernstein", "hoeffding"]


def test_pairs_estimate_the_squared_error_without_bias(x64):
    p, truth = 0.3, 0.45
    mean = sum(
        (truth if a else 1 - truth)
        * (truth if b else 1 - truth)
        * float(squared_error_from_pairs(jnp.asarray(p), jnp.asarray(a), jnp.asarray(b)))
        for a, b in itertools.product((False, True), repeat=2)
    )
    assert mean == pytest.approx((p - truth) ** 2, abs=1e-15)


def test_counts_estimate_it_without_bias_and_equal_the_mean_over_pairs(x64):
    truth, n = 0.45, 7
    counts, p = np.arange(n + 1), jnp.full(n + 1, 0.3)
    estimates = np.asarray(squared_error_from_counts(p, jnp.asarray(counts), n))
    assert stats.binom.pmf(counts, n, truth) @ estimates == pytest.approx((0.3 - truth) ** 2, abs=1e-15)
    votes = jnp.arange(n) < 3
    pairs = [squared_error_from_pairs(p[0], votes[i], votes[j]) for i, j in itertools.permutations(range(n), 2)]
    assert float(estimates[3]) == pytest.approx(float(np.mean(pairs)), abs=1e-15)


def test_a_calibrated_model_has_no_error_of_either_order_though_most_are_ties(x64):
    truth, group = rough_world()
    p, v, _ = moments(predictions(truth, group))
    for y in range(4):
        error = jnp.asarray((p[:, y] - truth[:, y]) ** 2)
        assert float(second_order_calibration_error(jnp.asarray(v[:, y]), error)) < 1e-10
        assert float(expected_calibration_error(jnp.asarray(p[:, y]), jnp.asarray(truth[:, y]))) < 1e-10
        # Bins by rank alone would split groups, and call their noise an error.
        split = np.argsort(np.argsort(v[:, y], kind="stable")) * 20 // len(v)
        gaps = np.bincount(split, v[:, y] - np.asarray(error))
        assert np.abs(gaps).sum() / len(v) > 1e-3


def test_a_model_that_is_sure_has_the_squared_error_as_its_error_of_second_order(x64):
    truth, group = rough_world()
    p, _, _ = moments(predictions(truth, group))
    error = jnp.asarray((p[:, 0] - truth[:, 0]) ** 2)
    found = float(second_order_calibration_error(jnp.zeros(len(p)), error))
    assert found == pytest.approx(float(error.mean()), abs=1e-12)


def test_an_error_of_zero_is_covered_and_the_worst_decile_is_found():
    variance = jnp.concatenate([jnp.zeros(90), jnp.ones(10)])
    assert bool(covered(jnp.zeros(1), jnp.zeros(1), 0.05)[0])
    assert not bool(covered(jnp.zeros(1), jnp.full(1, 1e-6), 0.05)[0])
    assert bool(covered(jnp.zeros(1), jnp.full(1, 1e-6), 0.05, floor=1e-4)[0])
    assert float(worst_decile(variance, variance < 0.5)) == 0.0
    assert float(worst_decile(variance, variance >= 0)) == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_bound_fails_no_more_often_than_it_says(method, x64):
    # Skewed, with a long way to the upper end: what an error ratio looks like.
    n, runs, alpha = 200, 2000, 0.1
    keys = jax.random.split(jax.random.key(0), runs)
    draw = lambda key: jax.random.choice(key, jnp.array([-1.0, 0.0, 9.0]), (n,), p=jnp.array([0.4, 0.5, 0.1]))  # noqa: E731
    bounds = np.asarray(
        jax.jit(jax.vmap(lambda k: mean_upper_bound(draw(k), -2.5, 10.0, alpha=alpha, method=method)))(keys)
    )
    failures = int((bounds < 0.5).sum())
    # A bound that failed with probability alpha exactly would fail this with probability 1e-6.
    assert failures <= stats.binom.isf(1e-6, runs, alpha)


def test_bounds_by_formula_are_those_of_their_theorems(x64):
    x = jnp.array([0.1, 0.4, 0.2, 0.3, 0.9])
    assert float(mean_upper_bound(x, 0.0, 1.0, alpha=0.1, method="hoeffding")) == pytest.approx(
        0.38 + np.sqrt(np.log(10) / 10), abs=1e-12
    )
    spread = np.var([0.1, 0.4, 0.2, 0.3, 0.9], ddof=1)
    assert float(mean_upper_bound(x, 0.0, 1.0, alpha=0.1, method="bernstein")) == pytest.approx(
        0.38 + np.sqrt(2 * spread * np.log(20) / 5) + 7 * np.log(20) / 12, abs=1e-12
    )


def test_a_bet_does_not_know_what_it_is_on(x64):
    z = jnp.asarray(np.random.default_rng(0).uniform(size=50))
    goal = jnp.log(20.0)
    before, after = _stakes(z, 0.2, goal), _stakes(z.at[30].set(1.0), 0.2, goal)
    np.testing.assert_allclose(before[:31], after[:31], atol=1e-12)
    assert float(jnp.abs(before[31:] - after[31:]).max()) > 0
    # Even if every value comes out as bad as it can, something is left.
    assert float(jnp.max(before)) * (1 - 0.2) < 1


def test_bets_bound_more_tightly_than_bernstein_and_hoeffding(x64):
    rng = np.random.default_rng(0)
    x = jnp.asarray(np.where(rng.uniform(size=5000) < 0.01, 20.0, 0.2))
    betting, bernstein, hoeffding = (float(mean_upper_bound(x, -25.0, 100.0, method=m)) for m in METHODS)
    assert float(x.mean()) < betting < bernstein < hoeffding


def test_intervals_from_pairs_hold_for_a_model_that_is_wrong(x64):
    rng = np.random.default_rng(0)
    n = 20000
    # One in ten is certain.
    truth = np.where(rng.uniform(size=n) < 0.1, rng.integers(0, 2, size=n), 0.5)
    first, second = rng.uniform(size=(2, n)) < truth
    # Says a half always, and is sure of it.
    p, variance = jnp.full(n, 0.5), jnp.full(n, 1e-3)
    bound = error_ratio_bound(p, variance, jnp.asarray(first), jnp.asarray(second))
    assert float(bound) > 0.1 * 0.25 / 0.01
    # At the last beta the interval is short enough to miss what it may miss.
    for beta, least in ((0.05, 0.0), (0.1, 0.0), (0.15, 0.05)):
        assert least <= np.mean(np.abs(0.5 - truth) >= np.asarray(half_width(bound, variance, beta))) <= beta


@pytest.mark.parametrize("method", METHODS)
def test_the_bounds_of_all_classes_are_those_of_each_at_a_part_of_alpha(method, x64):
    rng = np.random.default_rng(0)
    p, v = jnp.asarray(rng.dirichlet(np.ones(4), 50)), jnp.asarray(rng.uniform(size=(50, 4)) * 0.1)
    first, second = jnp.asarray(rng.integers(0, 4, size=(2, 50)))
    found = error_ratio_bounds(p, v, first, second, floor=0.02, alpha=0.1, method=method)
    for y in range(4):
        one = error_ratio_bound(p[:, y], v[:, y], first == y, second == y, floor=0.02, alpha=0.025, method=method)
        assert float(found[y]) == pytest.approx(float(one), abs=1e-12)


def test_the_bounds_of_all_classes_fail_together_no_more_often_than_alpha(x64):
    # Three kinds of inputs that the model cannot tell apart: sure of one class each, so that all ratios are the same.
    n, runs, alpha, floor = 100, 2000, 0.3, 0.05
    p, v = jnp.full((n, 3), 1 / 3), jnp.zeros((n, 3))
    ratio = (2 / 3 * (1 / 3) ** 2 + 1 / 3 * (2 / 3) ** 2) / floor

    def bounds(key):
        y = jax.random.randint(key, (n,), 0, 3)
        return error_ratio_bounds(p, v, y, y, floor=floor, alpha=alpha)

    found = np.asarray(jax.jit(jax.vmap(bounds))(jax.random.split(jax.random.key(0), runs)))
    failures = int((found.min(axis=1) < ratio).sum())
    # Bounds that failed together with probability alpha exactly would fail this with probability 1e-6.
    assert failures <= stats.binom.isf(1e-6, runs, alpha)


def test_rates_and_methods_that_do_not_exist_are_refused():
    half = jnp.full(10, 0.5)
    with pytest.raises(ValueError, match="in \\(0, 1\\)"):
        half_width(1.0, half, 1.0)
    with pytest.raises(ValueError, match="in \\(0, 1\\)"):
        Admitted(Dirichlet(half[:2], 0.1), 0.0)
    with pytest.raises(ValueError, match="floor of the variance"):
        error_ratio_bound(half, half, half > 0, half > 0, floor=0.0)
    with pytest.raises(ValueError, match="in \\(0, 1\\)"):
        error_ratio_bounds(half[:, None], half[:, None], jnp.zeros(10, int), jnp.zeros(10, int), alpha=1.5)
    with pytest.raises(ValueError, match="the method is"):
        mean_upper_bound(half, 0.0, 1.0, method="exact")
    for alpha in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="in \\(0, 1\\)"):
            mean_upper_bound(half, 0.0, 1.0, alpha=alpha)
    with pytest.raises(ValueError, match="in \\(0, 1\\)"):
        covered(half, half, 0.0)


def test_what_would_be_nan_or_no_bound_is_refused():
    half = jnp.full(10, 0.5)
    for x, low, high in ((half, 0.0, 0.4), (half, 0.6, 1.0), (half.at[3].set(jnp.nan), 0.0, 1.0)):
        with pytest.raises(ValueError, match="are not all in|must be finite"):
            mean_upper_bound(x, low, high)
    with pytest.raises(ValueError, match="a lower end below"):
        mean_upper_bound(half, 1.0, 0.0)
    for annotators in (1, 0, jnp.arange(10)):
        with pytest.raises(ValueError, match="two annotators or more"):
            squared_error_from_counts(half, jnp.zeros(10, int), annotators)
