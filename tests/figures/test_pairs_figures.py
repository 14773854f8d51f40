"""The measures of the figure on pairs are those of a model that knows the truth, and of one that knows a half."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from probinf.figures import FIGURES
from probinf.figures._pairs_runs import BETAS, MODELS, measure
from probinf.figures._pairs_worlds import WORLDS
from probinf.verifiers.pairs import Mixture

FIGURE = FIGURES["pairs_synthetic"]


class Oracle(eqx.Module):
    """Knows the truth."""

    def __call__(self, x):
        p = WORLDS["style"].truth((x[0] + 2) / 4)
        return Mixture(jnp.zeros(1), jnp.log(p)[None])


class Ignorant(eqx.Module):
    """Knows the style alone, and that it knows no more."""

    def __call__(self, x):
        style = 0.5 + 0.3 * jnp.sin(2 * jnp.pi * (x[0] + 2) / 4)
        rows = jnp.eye(4)[:, :, None] * jnp.stack([style, 1 - style])[None, None, :]
        return Mixture(jnp.full(4, jnp.log(0.25)), jnp.log(rows.reshape(4, 8)))


def test_a_model_that_knows_the_truth_has_no_error_and_always_answers():
    found = measure(jax.random.key(0), WORLDS["style"], Oracle())
    assert found["squared_error"] < 1e-10 and found["ece_2"] < 1e-10 and abs(found["kl"]) < 1e-4
    assert found["coverage"] == [1.0] * len(BETAS)
    assert found["hallucinated"] == 0 and found["hallucination_bound"] < 1e-4
    assert np.allclose(found["answered"], 1) and found["ratio_bound"] >= found["ratio"]


def test_a_model_that_knows_how_little_it_knows_is_calibrated_and_silent():
    found = measure(jax.random.key(0), WORLDS["style"], Ignorant())
    # The table of contents is not even to the last digit: 2,048 cells of four kinds.
    assert found["hallucinated"] == pytest.approx(0.75, abs=1e-3)
    assert found["hallucination_bound"] == pytest.approx(0.75, abs=1e-3)
    assert found["variance"] == pytest.approx(found["squared_error"], rel=0.02)
    # No class has a doubt below .75.
    assert found["answered"] == [0.0] * len(BETAS)
    assert found["ratio_bound"] >= found["ratio"]


def test_an_unknown_budget_is_refused():
    with pytest.raises(ValueError, match="budget must be one of"):
        FIGURE.data(jax.random.key(0), "large")


def test_claims_and_picture_come_from_the_data_alone():
    models = [*MODELS, "2 responses", "8 responses"]
    rng = np.random.default_rng(0)
    shape = (3, len(models), 5)
    names = ("variance", "squared_error", "ece_1", "ece_2", "kl", "ratio", "ratio_bound", "hallucinated",
             "hallucination_bound")  # fmt: skip
    by_beta = ("coverage", "worst_coverage", "answered", "filtered_hallucinated")
    dataset = xarray.Dataset(
        {name: (("world", "model", "seed"), rng.uniform(0.1, 0.2, shape)) for name in names}
        | {name: (("world", "model", "seed", "beta"), rng.uniform(0.1, 0.2, (*shape, 4))) for name in by_beta},
        coords={"world": ["chirp", "style", "finite"], "model": models, "beta": list(BETAS)},
        attrs={"inputs": 1000},
    )
    verdicts = {finding.claim.id: finding.verdict.name for finding in FIGURE.claims(dataset)}
    assert len(verdicts) == 11 + 3 * 5 + 1
    assert verdicts["pairs_synthetic/chirp/mixture/ece-2"] == "FAILS"
    assert verdicts["pairs_synthetic/chirp/ensemble/ece-2"] == "HOLDS"
    FIGURE.plot(dataset)
    assert FIGURE.table is not None
    table = FIGURE.table(dataset.where(dataset["world"] != "finite"))
    row = next(line for line in table.splitlines() if line.startswith("| epinet |"))
    mean = float(dataset["ece_2"].sel(world="chirp", model="epinet").mean())
    assert row.split("|")[5].split()[0] == f"{mean:.4f}" and "| 2 responses |" in table
    assert table.count("| epinet |") == 2 and "**chirp**" in table
