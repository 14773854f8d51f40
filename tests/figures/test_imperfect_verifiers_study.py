"""Measures of the study on recorded answers, on answers made up for the test."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from probinf.figures._claims import Verdict
from probinf.figures._imperfect_counts_claims import imperfect_verifiers_counts_claims
from probinf.figures._imperfect_study_claims import imperfect_verifiers_study_claims
from probinf.figures._imperfect_study_runs import LIKELIEST, RULES, self_aurocs
from probinf.figures._micro_tasks_data import MicroTaskSamples
from probinf.samplers import best_of_majority_lanes, perplexity_consistency


def asked(right, odds):
    """Samples of which only truth and the model's own verdict matter."""
    right, odds = np.array(right, bool), np.array(odds, float)
    whole = np.zeros(right.shape, int)
    return MicroTaskSamples((), (), whole, right, right[..., None], (1,), odds, odds, whole, 1.0)


def test_the_models_own_verdict_is_measured_within_tasks():
    """An easy task of high odds and a hard one of low odds: pooled they would give an AUROC of .75, within them .5."""
    right = [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]]
    odds = [[2.0] * 4, [-2.0] * 4, [1.0] * 4, [3.0, 1.0, 1.0, np.nan]]
    found = self_aurocs(asked(right, odds))
    assert found[[0, 1, 3]] == pytest.approx([0.5, 0.5, 0.75])
    assert np.isnan(found[2])


def test_perplexity_consistency_reduces_to_the_highest_probability_where_texts_are_answers():
    rng = np.random.default_rng(0)
    for _ in range(5):
        answers = jnp.asarray(rng.integers(0, 6, 12))
        log_probs = jnp.asarray(rng.normal(-1, 0.5, 6), jnp.float32)[answers]
        winner = jnp.argmax(perplexity_consistency(answers, answers, log_probs, jnp.ones(12, bool)).credit)
        assert winner == best_of_majority_lanes(answers, log_probs, 1, 0.0)[0]


def study(auroc):
    tasks = 6
    costs = ("cost", "task"), np.zeros((4, tasks))
    return xarray.Dataset(
        {
            "by_task": (("outcome", "task"), np.array([[9.0] * tasks, [0.0, 1, 2, 3, 4, 0], [5.0] * tasks])),
            **{f"{kind}_{name}": costs for kind in ("utility", "strong") for name in ("chosen", "once", "all", "best")},
            "accuracy": (("rule", "n", "task"), np.zeros((len(RULES), 4, tasks))),
            "short_accuracy": (("n", "task"), np.zeros((4, tasks))),
            "share_right": (("kind", "particles", "run"), np.full((2, 1, 3), 0.5)),
            "self_auroc": ("task", np.array(auroc)),
        },
        coords={
            "outcome": ["correct", "wrong", "rejected"],
            "cost": [0.5, 1.0, 2.0, 4.0],
            "rule": list(RULES),
            "n": [1, 8, 16, 64],
            "kind": ["filter", "retries"],
            "particles": [4096],
        },
        attrs={"step_ceiling": 0.5},
    )


@pytest.mark.parametrize(
    ("auroc", "verdict"),
    [
        ([0.8, 0.9, 0.8, 0.9, np.nan, 0.8], Verdict.HOLDS),
        ([0.5, 0.55, 0.5, 0.45, 0.5, np.nan], Verdict.FAILS),
        ([0.9, 0.4, 0.7, 0.2, 1.0, 0.6], Verdict.UNDECIDED),
    ],
)
def test_the_verdict_on_its_own_verdicts_has_an_interval(auroc, verdict):
    dataset = study(auroc)
    (own,) = [f for f in imperfect_verifiers_study_claims(dataset) if f.claim.id.endswith("/self")]
    assert own.verdict is verdict
    assert not own.claim.computed and LIKELIEST in RULES


@pytest.mark.parametrize(("ahead", "verdict"), [(6, Verdict.HOLDS), (3, Verdict.FAILS)])
def test_the_law_is_judged_by_a_count_of_models(ahead, verdict):
    models = [*(f"Pythia {i}" for i in range(6)), "Pythia 12B"]
    ends = ("end", np.array([0.1, 0.05, 0.2]))
    dataset = xarray.Dataset(
        {
            "fdr": ("bucket", [0.05, 0.15]),
            "fdr_interval": (("bucket", "end2"), np.array([[0.04, 0.06], [0.1, 0.2]])),
            **{name: ends for name in ("fall_of_accuracy", "gap", "gain_of_strength")},
            "coverage": (("model", "attempts"), np.full((7, 2), 0.5)),
            "law": (("model", "attempts"), np.full((7, 2), 0.5)),
            "error_of_law": ("model", np.where(np.arange(7) < ahead, 0.1, 0.3)),
            "error_of_beta": ("model", np.full(7, 0.2)),
            "apparent": ("attempts", [0.5, 1.0]),
            "true": ("attempts", [0.5, 0.8]),
        },
        coords={"bucket": ["1", "16-31"], "model": models},
    )
    (law,) = [f for f in imperfect_verifiers_counts_claims(dataset) if f.claim.id.endswith("/law")]
    assert law.verdict is verdict and law.claim.computed and law.value == ahead
