"""The figures on Distribution Transformers at a size of their own: numbers, claims, and a drawing."""

import jax
import numpy as np
import pytest

from probinf.figures import FIGURES
from probinf.figures.distribution_transformer_filter import Plan as FilterPlan
from probinf.figures.distribution_transformer_filter import distribution_transformer_filter_data

GROUP = [name for name, figure in FIGURES.items() if figure.group == "distribution_transformer"]


def test_the_group_is_whole():
    parts = ("conjugate", "filter", "sequential", "tasks")
    assert sorted(GROUP) == [f"distribution_transformer_{part}" for part in parts]


@pytest.mark.parametrize("name", GROUP)
def test_an_unknown_budget_is_refused(name):
    with pytest.raises(ValueError, match="budget must be one of"):
        FIGURES[name].data(jax.random.key(0), "large")


@pytest.mark.slow
def test_the_filter_of_a_few_steps_is_near_the_truth():
    figure = FIGURES["distribution_transformer_filter"]
    dataset = distribution_transformer_filter_data(jax.random.key(0), FilterPlan(3, 4, (200,)))
    assert np.isfinite(dataset["score"]).all()
    # Nats: the first prior alone scores about 1.4 on average.
    assert float(dataset["score"].sel(scene="sensor_fusion", filter="transformer").mean()) < 2
    findings = figure.claims(dataset)
    assert [finding.claim.id.split("/")[-1] for finding in findings] == 2 * [
        "finite", "distinct", "extended", "particles", "copies"
    ]  # fmt: skip
    assert findings[0].value == 0
    figure.plot(dataset)
