"""What the figure on pairs from a language model is to decide; written before it was run.

Seen before, on other words (ranks 1281 to 1920 of the vocabulary, the figure's are 1 to 640) and one fold. Lower case,
eight components, no noise on the features: the probe knew its training words by heart, its doubt 1 - C told impossible
letters from possible ones worse than log-probability did (AUROC .61 to .62 against .72 to .75 for its own answers, .62
to .64 against .80 for those of the language model), and did not bound their share. Noise, 32 components, a larger step,
and a second world in which annotators write one letter in five as a capital were added for that; then, with capitals:
.66 against .74, .72 against .80 and, by the probe's log-probability, .85; bound .52 above a share of .50. (A joint
head: .73 against .78, .80 against .80 and .87; bound .44 below a share of .55.) The criteria ask for what the method
promises, not for what was seen.

Said after the run: five folds are no independent runs, for any two share three quarters of their training words. The t
interval of their mean is not exact, and may be too short.
"""

from __future__ import annotations

from typing import Any

import xarray

from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._transformer_metrics import mean_interval

_PAPER = "arXiv:2402.08733"


def pairs_lm_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts: five of each world."""
    return [finding for world in dataset["world"].values.tolist() for finding in _of_world(dataset, world)]


def _of_world(dataset: xarray.Dataset, world: str) -> list[Finding]:
    part = dataset.sel(world=world)
    auroc = lambda answers, score: part["auroc"].sel(answers=answers, score=score).values  # noqa: E731
    rows: list[tuple[str, str, str, Relation, float, Any]] = [
        ("probe/surprise", "Doubt tells the probe's impossible answers better than its log-probability",
         "AUROC of 1 - C less that of -log p", ">", 0.0, auroc("probe", "doubt") - auroc("probe", "surprise")),
        ("model/choice", "and the language model's better than the model's own log-probability",
         "AUROC of 1 - C less that of -log q", ">", 0.0, auroc("model", "doubt") - auroc("model", "choice")),
        ("model/surprise", "and better than the probe's log-probability does",
         "AUROC of 1 - C less that of -log p", ">", 0.0, auroc("model", "doubt") - auroc("model", "surprise")),
        ("probe/bound", "Doubt bounds the share of the probe's impossible answers",
         "1 - E[confidence] less their share", ">", -0.01,
         (part["bound"] - part["wrong"]).sel(answers="probe").values),
        ("probe/filter", "At most three in ten answers that pass a filter at beta = .3 are impossible",
         "share of its answers", "<", 0.3, part["filtered_wrong"].sel(answers="probe", beta=0.3).values),
    ]  # fmt: skip
    return [_claim(world, *row[:-1]).judge(*mean_interval(row[-1])) for row in rows]


def _claim(world: str, name: str, statement: str, quantity: str, relation: Relation, bound: float) -> Claim:
    return Claim(f"pairs_lm/{world.replace(' ', '-')}/{name}", _PAPER, statement,
                 f"{quantity}, mean over five folds of the words and t interval (inexact: folds share training words)",
                 relation, bound)  # fmt: skip
