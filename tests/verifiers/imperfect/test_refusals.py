"""What cannot be counted, scored or calibrated is refused in one sentence that names it; lists are accepted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.verifiers import imperfect, pairs

KEY = jax.random.key(0)
HALF = jnp.full(4, 0.5)
COLUMN = HALF[:, None]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # 2.0, 0.0, 69.5, NaN and a TypeError before.
        (lambda: pairs.expected_calibration_error(HALF, COLUMN), r"got shapes \[\(4,\), \(4, 1\)\]"),
        (lambda: pairs.expected_calibration_error(HALF, HALF, bins=0), "bins=0"),
        (lambda: pairs.expected_calibration_error(100 * HALF, HALF), "divide percents by 100"),
        (lambda: pairs.expected_calibration_error(HALF, 100 * HALF), "truth must lie in"),
        (lambda: pairs.expected_calibration_error([], []), "N >= 1"),
        (lambda: pairs.expected_calibration_error([0.5, np.nan], [0, 1]), "probability must be finite"),
        (lambda: pairs.second_order_calibration_error(HALF, COLUMN), "squeeze or flatten"),
        (lambda: pairs.second_order_calibration_error(HALF, HALF, bins=-1), "bins=-1"),
        (lambda: pairs.second_order_calibration_error(-HALF, HALF), "variance must be at least zero"),
        (lambda: pairs.covered(HALF, COLUMN, 0.1), "must have one shape"),
        (lambda: pairs.covered(-HALF, HALF, 0.1), "variance must be at least zero"),
        (lambda: pairs.worst_decile(HALF, COLUMN > 0), "variance and good"),
        (lambda: pairs.worst_decile([], []), "N >= 1"),
        (lambda: pairs.hallucination_bound(100 * HALF, HALF > 0), "confidence must lie in"),
        (lambda: pairs.hallucination_bound(HALF, COLUMN > 0), "squeeze or flatten"),
        (lambda: pairs.mean_upper_bound(COLUMN, 0.0, 1.0), "arrays \\[N\\]"),
        (lambda: pairs.error_ratio_bound(HALF, HALF, COLUMN > 0, HALF > 0), "squeeze or flatten"),
        (lambda: pairs.error_ratio_bound(100 * HALF, HALF, HALF > 0, HALF > 0), "probability must lie in"),
        (lambda: pairs.error_ratio_bounds(HALF, HALF, HALF > 0, HALF > 0), "arrays \\[N, K\\]"),
        (lambda: pairs.squared_error_from_counts(HALF, jnp.full(4, 9), 5), "count up to 9 and annotators from 5"),
        (lambda: imperfect.pass_at([3, 12], [10, 10], 1), r"got correct=12 and total=10 at \[1\]"),
        (lambda: imperfect.pass_at([30.5], [100], 1), "pass counts, not rates"),
        (lambda: imperfect.pass_at([np.nan], [10], 1), "whole numbers"),
        (lambda: imperfect.pass_at([], [], 1), "one length"),
        (lambda: imperfect.pass_all([12], [10], 1), "correct=12 and total=10"),
        (lambda: imperfect.fit_beta_binomial([12, 3], [10, 10]), "correct=12 and total=10"),
        (lambda: imperfect.fit_beta_binomial([], []), "got shape"),
        (lambda: imperfect.SampleCounts([], [], []), "one length"),
        (lambda: imperfect.task_interval(KEY, [0.5, np.nan]), "scores must be finite"),
        (lambda: imperfect.task_interval(KEY, 0.5), "a row for each task"),
        (lambda: imperfect.task_interval(KEY, [0.5, 1.0], draws=0), "draws=0"),
        (lambda: imperfect.simultaneous_band(KEY, [0.5, 1.0]), "tasks, K"),
        (lambda: imperfect.select_attempts(KEY, HALF), "tasks, K"),
        (lambda: imperfect.fit_power_law(jnp.ones((3, 1)), jnp.ones((3, 1))), "two or more points"),
        (lambda: imperfect.BetaPopulation(1e-3, 1.0), "from 0.01 to 1e6, got alpha="),
        (lambda: imperfect.BetaPopulation(1.0, 1e8), "got beta="),
    ],
)
def test_what_was_answered_with_a_number_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_lists_are_arrays():
    # |(.2 + .9) - (0 + 1)| / 2 in one bin.
    assert float(pairs.expected_calibration_error([0.2, 0.9], [0, 1], bins=1)) == pytest.approx(0.05, abs=1e-7)
    assert float(pairs.second_order_calibration_error([0.2, 0.9], [0.0, 1.0], bins=1)) == pytest.approx(0.05, abs=1e-7)
    assert float(pairs.hallucination_bound([0.2, 0.9], [False, True])) == pytest.approx(0.1, abs=1e-7)
    assert imperfect.compose_all([0.9, 0.8], [0.1, 0.1]).true_positive_rate == pytest.approx(0.72)


def test_parameters_are_shown():
    assert "alpha=Array(0.5" in repr(imperfect.BetaPopulation(0.5, 3.0))
    assert "2.5" in repr(imperfect.Payoff(1.0, 2.5)) and "-0.25" in repr(
        imperfect.PowerLaw(-jnp.ones(()), jnp.asarray(-0.25))
    )
