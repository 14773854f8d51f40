"""The figures about validity: numbers that must come out, claims that can fail, and drawings that can be made."""

import jax
import numpy as np
import pytest
import xarray

from probinf.cases._attacks_claims import attacks_claims
from probinf.cases._attacks_distributions import attacks_distributions
from probinf.cases._attacks_lies import attacks_lies
from probinf.cases._core import core_cases
from probinf.cases._unusual import unusual_cases
from probinf.figures import (
    Verdict,
    plot_validity_bias,
    plot_validity_errors,
    plot_validity_evidence,
    plot_validity_power,
    validity_bias_claims,
    validity_bias_data,
    validity_errors_claims,
    validity_errors_data,
    validity_evidence_claims,
    validity_evidence_data,
    validity_power_claims,
    validity_power_data,
)
from probinf.figures._benchmark_posteriors import benchmark_posteriors
from probinf.figures._evidence_runs import run_tempered
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


def test_samples_until_the_alarm_are_counted(monkeypatch):
    monkeypatch.setattr("probinf.figures.validity_power._SAMPLES", {"smoke": 2048})
    monkeypatch.setattr("probinf.figures.validity_power._SEEDS", {"smoke": 2})
    names = (
        "Metropolis-Hastings, ratio upside down",
        "Metropolis-Hastings, ratio times 1.001",
        "one key for two draws",
    )
    wrong = [bug for bug in planted_bugs() if bug.name in names]
    right = [case for case in core_cases() if case.name in ("MetropolisHastings", "tempered_smc, Gaussian")]
    fooling = ("batched score divided by the length", "kernel of period two", "density of the other side of a coin")
    attacks = [a for a in (*attacks_lies(), *attacks_claims(), *attacks_distributions()) if a.case.name in fooling]
    odd = [case for case in unusual_cases() if case.name == "delayed acceptance"]
    data = validity_power_data(KEY, shipped=right, planted=wrong, attacks=attacks, unusual=odd)
    runs = dict(zip(data["bug"].values.tolist(), data["samples"].values, strict=True))
    assert np.all((runs[names[0]] > 0) & (runs[names[0]] < 500))
    assert np.all(runs[names[1]] == -1)
    assert np.all(np.isnan(runs[names[2]])) and "key reuse" in data["caught_by"].values
    # The Gaussian case has no finite law; the other one alarms falsely in one of a thousand experiments, each of ten.
    assert data["right"].values.tolist() == ["MetropolisHastings"]
    assert np.all(data["false_samples"] == -1)
    found = verdicts(validity_power_claims(data))
    assert found["continuous"] is Verdict.HOLDS
    # The first two keep the measure of a fresh cloud, and all their runs are right; a distribution has no cloud.
    assert dict(zip(data["attack"].values.tolist(), data["alone"].values.tolist(), strict=True)) == dict(
        zip(fooling, ("passes", "passes", "none"), strict=True)
    )
    assert np.all(data["attack_samples"].sel(attack=list(fooling[:2])) == -1)
    assert np.all(np.isnan(data["attack_samples"].sel(attack=fooling[2])))
    assert found["attacks"] is found["unusual"] is found["alone"] is Verdict.HOLDS
    fooled = data.assign(
        verdict=("attack", ["pass"] * 3), alone=("attack", ["sees"] * 3), unusual_verdict=("unusual", ["flagged"])
    )
    lost = verdicts(validity_power_claims(fooled))
    assert lost["attacks"] is lost["unusual"] is lost["alone"] is Verdict.FAILS
    noisy = data.assign(false_samples=data["false_samples"] * 0 + 5)
    assert verdicts(validity_power_claims(noisy))["false-alarms"] is Verdict.FAILS
    figure = plot_validity_power(data)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["caught by", "e-process", "silent in 2,048 runs"]
    shown = {text.get_text() for text in figure.axes[0].texts}
    assert {"planted bugs (3)", "invariance (1)", "the same lie (2)", "right designs (1)"} <= shown


def evidence(bias):
    """A result as it might have been, with log Z-hat off by `bias`."""
    rng = np.random.default_rng(0)
    nuts = {"ess": 0.4, "r_hat": 1.0, "mean_error": 0.1, "seconds": 1.0}
    table = lambda center, spread: (("posterior", "seed"), center + spread * rng.normal(size=(2, 6)))  # noqa: E731
    return xarray.Dataset(
        {
            "log_z": table(3.0 + bias, 0.05),
            "ess": table(0.7, 0.01),
            "mean_error": table(0.1, 0.01),
            "seconds": table(1.0, 0.1),
            "rungs": ("posterior", [5, 6]),
            "exact_log_z": ("posterior", [3.0, 3.0]),
            "exact_error": ("posterior", [0.0, 0.02]),
            **{f"nuts_{name}": ("posterior", [x, x]) for name, x in nuts.items()},
        },
        coords={"posterior": ["a", "b"], "title": ("posterior", ["A", "B, of two"])},
        attrs={"budget": "custom", "particles": 10, "draws": 10},
    )


def test_evidences_are_judged_by_their_distance_from_quadrature():
    assert set(verdicts_of(validity_evidence_claims(evidence(0.0)))) == {Verdict.HOLDS}
    far = validity_evidence_claims(evidence(0.6))
    assert [f.verdict for f in far if f.claim.id.endswith("log-z")] == [Verdict.FAILS] * 2
    assert len(plot_validity_evidence(evidence(0.1)).axes) == 3
    with pytest.raises(ValueError, match="budget must be one of"):
        validity_evidence_data(KEY, "huge")


def verdicts_of(findings):
    return [finding.verdict for finding in findings]


def test_tempering_finds_the_evidence_of_the_eight_schools():
    pytest.importorskip("inference_gym.version", reason="the data are in inference-gym: pip install 'probinf[data]'")
    schools = benchmark_posteriors()[0]
    run = run_tempered(schools, KEY, 256, 3)
    # The standard deviation of log Z-hat is about 0.25 here, so the bound is seven standard errors.
    assert abs(np.mean(run["log_z"]) - schools.log_evidence) < 1.0
    assert run["rungs"] >= 3 and all(0.2 < ess <= 1 for ess in run["ess"]) and max(run["mean_error"]) < 1
