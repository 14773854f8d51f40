"""The figures on Distribution Transformers at a size of their own: numbers, claims, and a drawing."""

import jax
import numpy as np
import pytest

from probinf.figures import FIGURES, distribution_transformer_filter
from probinf.figures._transformer_filter_scenes import SCENES

GROUP = [name for name, figure in FIGURES.items() if figure.group == "distribution_transformer"]


def test_the_group_is_whole():
    parts = ("conjugate", "filter", "sequential", "tasks")
    assert sorted(GROUP) == [f"distribution_transformer_{part}" for part in parts]


@pytest.mark.parametrize("name", GROUP)
def test_an_unknown_budget_is_refused(name):
    with pytest.raises(ValueError, match="budget must be one of"):
        FIGURES[name].data(jax.random.key(0), "large")


def test_the_filter_of_a_few_steps_is_near_the_truth(monkeypatch):
    figure = FIGURES["distribution_transformer_filter"]
    # The smaller scene; the network of the other one is compiled in tests of its own.
    scene = "stochastic_volatility"
    monkeypatch.setattr(distribution_transformer_filter, "SCENES", {scene: SCENES[scene]})
    dataset = distribution_transformer_filter.distribution_transformer_filter_data(
        jax.random.key(0), distribution_transformer_filter.Plan(8, 4, (200,))
    )
    assert np.isfinite(dataset["score"]).all()
    # Nats: the first prior alone scores 4.26 on average.
    assert float(dataset["score"].sel(filter="transformer").mean()) < 4.1
    findings = figure.claims(dataset)
    names = ["finite", "distinct", "extended", "particles", "copies"]
    assert [finding.claim.id.split("/", 1)[1] for finding in findings] == [f"{scene}/{name}" for name in names]
    assert findings[0].value == 0
    figure.plot(dataset)
