"""The figure of constrained generation on a toy model, against exact numbers."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from probinf.figures import Budget, Cells, lm_constraints_claims, lm_constraints_data, plot_lm_constraints
from probinf.figures._lm_constraints_run import Settings, run_cell
from probinf.lm import enumerate_sequences

BUDGET = Budget(lanes=16, seeds=3, particles=(1, 2, 8, 16), prompts=None, pools=2, tokens_per_step=1)


@pytest.fixture(scope="module")
def dataset(toy_model, toy_tasks):
    return lm_constraints_data(jax.random.key(0), BUDGET, model=toy_model, tasks=toy_tasks)


def exact_mass(model, task):
    lm = dataclasses.replace(model.lm, table=model.lm.table / Settings(1, 1).temperature)
    texts, log_prob = enumerate_sequences(lm, np.array([3]), task.max_new_tokens)
    good = [task.verifier.accepts(model.tokenizer.decode(t).partition("\n")[0]) for t in texts]
    return float(np.exp(log_prob)[good].sum())


def test_both_estimates_of_the_mass_surround_the_exact_one(dataset, toy_model, toy_tasks):
    exact = np.array([exact_mass(toy_model, task) for task in toy_tasks])
    assert 0.02 < exact.min() and exact.max() < 0.9
    np.testing.assert_allclose(dataset["mass_plain"], exact, atol=0.12)
    np.testing.assert_allclose(dataset["mass_filtered"], exact, atol=0.12)
    (evidence,) = [f for f in lm_constraints_claims(dataset) if f.claim.id == "lm_constraints/evidence"]
    assert abs(evidence.value) < 0.5


def test_filters_that_are_the_whole_batch_estimate_the_exact_mass(toy_model, toy_tasks):
    # Their evidence is banked, not kept in the weights. Fixed seeds; five standard errors.
    settings = Settings(lanes=4, tokens_per_step=1)
    runs = [run_cell(jax.random.key(i), toy_model, toy_tasks[2], settings, 4) for i in range(150)]
    z = np.array([0.0 if run["log_z"][0] is None else np.exp(run["log_z"][0]) for run in runs])
    error = z.std(ddof=1) / np.sqrt(len(z))
    exact = exact_mass(toy_model, toy_tasks[2])
    assert abs(z.mean() - exact) < 5 * error
    assert error < 0.15 * exact


def test_the_row_of_one_particle_is_plain_sampling(dataset):
    pool = dataset.sel(particles=1)
    assert pool["successes"].shape == (3, 3, 32)
    np.testing.assert_allclose(pool["best_of_n"].mean("replicate"), pool["successes"].mean("replicate"))
    np.testing.assert_allclose(np.exp(pool["log_z"]), pool["successes"])
    assert (pool["tokens"] >= 1).all() and (pool["tokens"] <= 5).all()


def test_filters_count_each_token_that_the_network_computed(dataset):
    filters = dataset.sel(particles=16)
    assert np.isfinite(filters["tokens"]).sum() == 9
    used = filters["tokens"].mean("replicate")
    assert (used <= 16 * 5).all() and (used > 16).all()


def test_curves_are_ordered_and_inside_their_intervals(dataset):
    curve, low, high = dataset["curve"], dataset["curve_low"], dataset["curve_high"]
    known = np.isfinite(curve.values)
    assert (low.values[known] <= curve.values[known] + 1e-9).all()
    assert (curve.values[known] <= high.values[known] + 1e-9).all()
    best = curve.sel(quantity="any success", algorithm="best-of-n")
    assert (np.diff(best.values, axis=-1) >= 0).all()
    # Rejection stops at its first success: only whether there is one is defined.
    assert np.isnan(curve.sel(algorithm="rejection", quantity="success fraction")).all()


def test_guided_particles_waste_fewer_lanes(dataset):
    fraction = dataset["curve"].sel(quantity="success fraction", particles=16, panel="words")
    assert float(fraction.sel(algorithm="particle filtering")) > 1.5 * float(fraction.sel(algorithm="best-of-n"))


def test_claims_name_every_kind_once(dataset):
    findings = lm_constraints_claims(dataset)
    ids = [finding.claim.id for finding in findings]
    assert len(set(ids)) == len(ids) == 2 * 4 + 2
    entry = findings[0].as_dict()
    assert list(entry) == [
        "id", "paper", "statement", "criterion", "value", "interval", "published", "verdict",
    ]  # fmt: skip
    json.dumps([finding.as_dict() for finding in findings], allow_nan=False)


def test_the_drawing_shows_each_kind(dataset, tmp_path):
    drawing = plot_lm_constraints(dataset)
    # Three quantities of two kinds, the comparison of the estimates, and the tokens.
    assert len(drawing.axes) == 3 * 2 + 2
    words = drawing.axes[0]
    assert words.get_title(loc="left") == "Sentence with given words"
    drawn = np.asarray(words.lines[0].get_ydata(), float)
    curve = dataset["curve"].sel(panel="words", quantity="any success", algorithm="particle filtering")
    np.testing.assert_allclose(drawn, curve.values)
    drawing.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_an_interrupted_run_goes_on_where_it_was(toy_model, toy_tasks, tmp_path):
    small = dataclasses.replace(BUDGET, seeds=1, particles=(1, 8, 16))
    parts = []

    class Interrupted(Exception):
        pass

    def stop_at_three(done, total, current):
        parts.append(current)
        if done == 3:
            raise Interrupted

    options = {"model": toy_model, "tasks": toy_tasks, "cells": Cells(tmp_path)}
    with pytest.raises(Interrupted):
        lm_constraints_data(jax.random.key(0), small, progress=stop_at_three, **options)
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(stored) == 3
    resumed = lm_constraints_data(jax.random.key(0), small, **options)
    assert all(path.stat().st_mtime_ns == when for path, when in stored.items())
    assert len(list(tmp_path.iterdir())) == 3 * 4
    afresh = lm_constraints_data(jax.random.key(0), small, **{**options, "cells": None})
    np.testing.assert_array_equal(resumed["log_z"], afresh["log_z"])


def test_other_settings_do_not_read_the_stored_cells(toy_model, toy_tasks, tmp_path):
    small = Budget(lanes=16, seeds=1, particles=(1, 8, 16), prompts=None, pools=1, tokens_per_step=1)
    for seed in (0, 1):
        lm_constraints_data(jax.random.key(seed), small, model=toy_model, tasks=toy_tasks[:1], cells=Cells(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2 * 3


def test_an_unknown_budget_is_refused(toy_model):
    with pytest.raises(ValueError, match="smoke, paper"):
        lm_constraints_data(jax.random.key(0), "huge", model=toy_model)
