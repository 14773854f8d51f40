"""What is published on imperfect verifiers, and what the published model implies."""

import csv

import jax
import numpy as np
import pytest

from probinf.figures._claims import Verdict
from probinf.figures._imperfect_published import ACCURACY, COSTS, OPTIMAL_ATTEMPTS
from probinf.figures.imperfect_verifiers_published import (
    imperfect_verifiers_published_claims,
    imperfect_verifiers_published_data,
    plot_imperfect_verifiers_published,
)


@pytest.fixture(scope="module")
def published():
    return imperfect_verifiers_published_data(jax.random.key(0))


def test_published_numbers_are_those_of_the_tables(shared_data):
    folder = shared_data / "repeated_sampling"
    with open(folder / "flaws_model_accuracy.csv") as file:
        for row in csv.DictReader(file):
            ours = {name: (p, v) for name, p, v in ACCURACY[row["verifier_tests"]]}[row["model"]]
            theirs = (float(row["pass1_truth"]), float(row["mean_task_P_correct_given_pass"]))
            assert ours == pytest.approx(theirs, abs=6e-5)
    with open(folder / "flaws_theory_kopt_heatmap.csv") as file:
        for row in csv.DictReader(file):
            place = COSTS.index(float(row["cost_benefit_ratio"]))
            assert OPTIMAL_ATTEMPTS[row["model"]][place] == int(row["k_opt_reported"])


def test_the_released_procedure_gives_the_printed_row_and_the_calculus_another(published):
    printed = published["printed"].sel(model="Llama 3.1 8B").values
    assert np.array_equal(published["released"].values, printed)
    assert np.isinf(published["optimum"].values[:6]).all()
    assert np.array_equal(published["optimum"].values[6:], printed[6:])


def test_the_released_utility_counts_rejections_twice(published):
    released, right = published["released_utility"], published["utility"]
    # At the first attempt nothing was rejected yet, so both agree.
    assert np.allclose(released.sel(attempt=1), right.sel(attempt=1), atol=1e-12)
    assert released.sel(shown_cost=0.0, attempt=15).item() == pytest.approx(0.864, abs=5e-4)
    assert published["limit"].sel(shown_cost=0.0).item() == pytest.approx(0.7133, abs=1e-4)
    assert released.sel(shown_cost=2.0, attempt=15).item() == pytest.approx(-0.066, abs=5e-4)
    assert right.sel(shown_cost=2.0, attempt=15).item() == pytest.approx(0.140, abs=5e-4)


def test_claims_hold_and_can_fail(published):
    assert {finding.verdict for finding in imperfect_verifiers_published_claims(published)} == {Verdict.HOLDS}
    spoiled = published.copy(deep=True)
    spoiled["optimum"][:] = 5.0
    spoiled["utility"][:] = -1.0
    failed = {
        f.claim.id.split("/")[1] for f in imperfect_verifiers_published_claims(spoiled) if f.verdict is Verdict.FAILS
    }
    assert failed == {"endless", "finite", "sign"}
    assert len(plot_imperfect_verifiers_published(published).axes) == 3
