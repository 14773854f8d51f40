"""The exact interval of a proportion up to a billion trials, in both precisions, against SciPy's binomial tails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.verifiers.imperfect import acceptance_bound, clopper_pearson

BILLION = 10**9
# The first three gave [1.13e-6, 6.53e-6] for [6.19e-7, 8.77e-6], [.1, .1], and tails of .11 to .42 for .025.
COUNTS = np.array(
    [
        (3, 10**6),
        (10**6, 10**7),
        (20_000, 2 * 10**6),
        (0, 1),
        (1, 1),
        (5, 10),
        (30, 31),
        (100, 1000),
        (50_000, 10**5),
        (0, BILLION),
        (1, BILLION),
        (1000, BILLION),
        (333_333_333, BILLION),
        (999_999_997, BILLION),
        (BILLION, BILLION),
    ]
)
X, N = COUNTS.T


def left_out(low, high):
    """Probability of at least x where the chance is the lower end, and of at most x where it is the upper one."""
    return np.where(X > 0, stats.binom.sf(X - 1, N, low), 0.025), np.where(X < N, stats.binom.cdf(X, N, high), 0.025)


@pytest.mark.parametrize("traced", [False, True])
def test_each_end_leaves_out_what_it_says_up_to_a_billion_trials(x64, traced):
    interval = jax.jit(clopper_pearson)(jnp.asarray(X), jnp.asarray(N)) if traced else clopper_pearson(X, N)
    for tail in left_out(*map(np.asarray, interval)):
        # SciPy's own tails have six digits where the chance is within 1e-8 of one.
        assert tail == pytest.approx(np.full(len(X), 0.025), rel=1e-5)


@pytest.mark.parametrize("traced", [False, True])
def test_single_precision_is_rounded_outwards_and_to_the_next_float(traced):
    low, high = jax.jit(clopper_pearson)(jnp.asarray(X), jnp.asarray(N)) if traced else clopper_pearson(X, N)
    low, high = np.asarray(low), np.asarray(high)
    assert low.dtype == np.float32 and np.all(low >= 0) and np.all(high <= 1)
    for tail in left_out(low.astype(float), high.astype(float)):
        assert np.all(tail <= 0.025 * (1 + 1e-7))
    with jax.enable_x64(True):
        exact = [np.asarray(end) for end in clopper_pearson(X, N)]
    for end, sign, right in zip((low, high), (1, -1), exact, strict=True):
        away = sign * (right - end)
        assert np.all(away >= 0) and np.all(away <= np.spacing(end) + 1e-4 * np.abs(X / N - right))


def test_published_ends_are_met():
    """[6.19e-7, 8.77e-6] and [.09981, .10019] by `scipy.stats.binomtest(...).proportion_ci(.95, "exact")`."""
    low, high = clopper_pearson([3, 10**6], [10**6, 10**7])
    assert np.asarray(low) == pytest.approx([6.186725501906e-07, 0.099814127304906], rel=1e-4)
    assert np.asarray(high) == pytest.approx([8.767247788067677e-06, 0.1001861043221587], rel=1e-5)


def test_levels_near_one_keep_their_digits():
    # 1 - (5e-7)^(1 / 10) and 1 - (1e-6)^(1 / 1000): in single precision .999999 is 9.54e-7 from one.
    low, high = clopper_pearson([0, 1], [10, 1], level=0.999999)
    assert float(high[0]) == pytest.approx(0.765632708840120, rel=1e-5)
    assert float(low[1]) == pytest.approx(5e-7, rel=1e-4)
    assert float(acceptance_bound(1000, level=0.999999)) == pytest.approx(-np.expm1(np.log(1e-6) / 1000), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clopper_pearson(3, 2), "got successes=3 and trials=2: pass counts"),
        (lambda: clopper_pearson([1, 5], 4), r"got successes=5 and trials=4 at \[1\]"),
        (lambda: clopper_pearson(-1, 4), "0 <= successes <= trials"),
        (lambda: clopper_pearson(0.3, 1.0), "whole numbers"),
        (lambda: clopper_pearson(np.nan, 4), "whole numbers"),
        (lambda: acceptance_bound(-1), "trials=-1"),
        (lambda: acceptance_bound(2.5), "trials=2.5"),
    ],
)
def test_counts_that_are_no_counts_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
