"""Estimators of success, against enumeration and known rates."""

from itertools import combinations

import numpy as np
import pytest

from probinf.figures._estimators import Bootstrap, interval, pass_at, rejection_success


@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_pass_at_k_is_the_average_over_all_subsets(k):
    accepted = np.array([True, False, False, True, False, False])
    subsets = [accepted[list(chosen)].any() for chosen in combinations(range(6), k)]
    assert pass_at(accepted, k) == pytest.approx(np.mean(subsets))


def test_pass_at_k_needs_k_samples():
    with pytest.raises(ValueError, match="at least 7"):
        pass_at(np.zeros(6, bool), 7)


def test_rejection_counts_only_what_the_budget_pays_for():
    accepted, tokens = np.array([True, False, False, False]), np.array([5.0, 5.0, 5.0, 5.0])
    assert rejection_success(accepted, tokens, 4.9) == 0.0
    assert rejection_success(accepted, tokens, 10.0) == pytest.approx(0.5, abs=0.08)
    assert rejection_success(accepted, tokens, 20.0) == 1.0


def test_the_bootstrap_covers_the_mean_of_the_prompts():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(100):
        values = rng.normal(size=(12, 1, 1)) + 0.3 * rng.normal(size=(12, 2, 4))
        low, high = interval(Bootstrap(12, seed=trial, resamples=400).means(values))
        covered += low <= 0.0 <= high
    # Twelve prompts make bootstrap intervals somewhat short; half of them missing would be a bug.
    assert 85 <= covered <= 100


def test_padding_is_ignored():
    values = np.array([[[1.0, 3.0, np.nan]]])
    means = Bootstrap(1, seed=0, resamples=500).means(values)
    assert set(np.unique(means)) == {1.0, 2.0, 3.0}
