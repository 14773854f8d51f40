"""The figures about validity: numbers that must come out, claims that can fail, and drawings that can be made."""

import jax
import numpy as np
import pytest

from probinf.cases._core import core_cases
from probinf.figures import (
    Verdict,
    plot_validity_bias,
    plot_validity_errors,
    validity_bias_claims,
    validity_bias_data,
    validity_errors_claims,
    validity_errors_data,
)
from probinf.validity.planted import planted_bugs

KEY = jax.random.key(0)


def verdicts(findings):
    return {finding.claim.id.split("/")[1]: finding.verdict for finding in findings}


@pytest.fixture(scope="module")
def errors():
    right = [case for case in core_cases() if case.name in ("Draw >> Reweight", "MetropolisHastings")]
    wrong = [
        bug for bug in planted_bugs() if bug.name in ("twist not divided out", "Metropolis-Hastings, always accepted")
    ]
    return validity_errors_data(KEY, shipped=right, planted=wrong)


def test_right_ones_have_no_error_and_wrong_ones_do(errors):
    planted = errors["planted"].values
    assert np.all(errors["error"].values[~planted] < 1e-12)
    assert np.all(errors["error"].values[planted] > 1e-3)
    assert set(errors["verdict"].values[~planted]) == {"pass"}
    assert set(errors["caught_by"].values[planted]) == {"exact"}
    assert set(verdicts(validity_errors_claims(errors)).values()) == {Verdict.HOLDS}


def test_claims_fail_where_right_and_wrong_change_places(errors):
    swapped = errors.assign(planted=~errors["planted"])
    found = verdicts(validity_errors_claims(swapped))
    assert found["shipped"] is found["passed"] is found["planted"] is Verdict.FAILS


def test_errors_are_drawn(errors):
    figure = plot_validity_errors(errors)
    names = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert names == errors["case"].values[errors["planted"].values].tolist()


def test_an_unknown_budget_of_checks_is_refused():
    with pytest.raises(ValueError, match="budget must be one of"):
        validity_errors_data(KEY, "huge", shipped=(), planted=())
    with pytest.raises(ValueError, match="budget must be one of"):
        validity_bias_data(KEY, "huge")


def test_the_bias_is_computed_and_sampled_alike(monkeypatch):
    monkeypatch.setattr("probinf.figures.validity_bias._EXACT", (1, 2))
    monkeypatch.setattr("probinf.figures.validity_bias._SAMPLED", (8, 64))
    monkeypatch.setattr("probinf.figures.validity_bias._RUNS", {"smoke": 2**16})
    data = validity_bias_data(KEY)
    truth = float(data["truth"])
    # One particle is a draw from the prior: P(last state = 1) of the chain alone, by hand.
    start = np.array([0.6, 0.4]) @ np.linalg.matrix_power(np.array([[0.7, 0.3], [0.2, 0.8]]), 2)
    assert float(data["mean"].sel(particles=1, estimate="normalized")) == pytest.approx(start[1], abs=1e-12)
    exact = data["mean"].isel(particles=data["exact"].values)
    np.testing.assert_allclose(exact.sel(estimate="product"), truth, rtol=0, atol=1e-12)
    np.testing.assert_allclose(exact.sel(estimate="evidence"), 1.0, rtol=0, atol=1e-12)
    # Six standard errors: a false alarm once in 5e8.
    sampled = data.isel(particles=~data["exact"].values)
    assert np.all(np.abs(sampled["mean"].sel(estimate="evidence") - 1) < 6 * sampled["error"].sel(estimate="evidence"))
    found = verdicts(validity_bias_claims(data))
    assert found["normalized"] is found["product"] is Verdict.HOLDS
    unbiased = data.assign(mean=data["mean"].where(data["estimate"] != "normalized", truth))
    assert verdicts(validity_bias_claims(unbiased))["normalized"] is Verdict.FAILS
    assert len(plot_validity_bias(data).axes) == 2
