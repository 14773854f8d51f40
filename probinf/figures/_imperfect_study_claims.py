"""What the study is to decide; written before its answers were looked at by any of these measures.

Seen before: the chance of a right answer of each task, from a pilot by which the tasks were chosen (between about .02
and .6), and that the checks of a verifier never reject a right answer, by construction. The ceiling of the particles is
computed from the rates that were set; that both kinds of particles tend to it was seen on 20 runs of other keys.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray

from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._transformer_metrics import mean_interval

_FLAWS, _MAJORITY, _RPC = "arXiv:2411.17501", "arXiv:2510.03199", "arXiv:2510.15444"
_SHORT = "arXiv:2505.17813"


def imperfect_verifiers_study_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts."""
    attempts, wrong, judged = (dataset["by_task"].sel(outcome=o).values for o in ("correct", "wrong", "rejected"))
    total = attempts + wrong + judged
    # What the first 128 attempts return wrongly; the least likely to be accepted are the most often wrong.
    gap = np.where(attempts + wrong > 0, wrong / np.maximum(attempts + wrong, 1), 0.0)
    at = lambda name, cost: dataset[f"utility_{name}"].sel(cost=cost).values  # noqa: E731
    rule = lambda name, n: dataset["accuracy"].sel(rule=name, n=n).values  # noqa: E731
    many = dataset["share_right"].sel(particles=4096)
    rows: list[tuple[str, str, str, str, Relation, float, Any]] = [
        ("gap", _FLAWS, "Against a single check, retrying returns a wrong answer for a tenth of the tasks or more",
         "share of tasks, t interval over tasks", ">", 0.1, gap),
        ("chosen-once", _FLAWS, "A number of attempts chosen on 32 samples beats trying once on others (cost .5)",
         "utility less that of one attempt, t interval over tasks", ">", 0.0, at("chosen", 0.5) - at("once", 0.5)),
        ("chosen-all", _FLAWS, "and beats trying 32 times where wrong answers cost 4",
         "utility less that of 32 attempts, t interval over tasks", ">", 0.0, at("chosen", 4.0) - at("all", 4.0)),
        ("chosen-best", _FLAWS, "It loses less than .02 to the best number of attempts (cost 1)",
         "utility of the best less that of the chosen, t interval over tasks", "<", 0.02,
         at("best", 1.0) - at("chosen", 1.0)),
        ("majority", _MAJORITY, "Best-of-majority beats best-of-n where many answers were drawn (N = 64)",
         "accuracy less that of best-of-n, t interval over tasks", ">", 0.0,
         rule("best of majority", 64) - rule("best of n", 64)),
        ("grows", _MAJORITY, "and does not get worse with N", "accuracy at 64 less that at 8, t interval over tasks",
         ">", -0.02, rule("best of majority", 64) - rule("best of majority", 8)),
        ("perplexity", _RPC, "Perplexity consistency needs fewer answers than a majority (N = 8)",
         "accuracy less that of the majority, t interval over tasks", ">", 0.0,
         rule("perplexity consistency", 8) - rule("majority", 8)),
        ("accepted", _FLAWS, "Voting among what one check accepts beats voting among all (N = 16)",
         "accuracy less that of the majority, t interval over tasks", ">", 0.0,
         rule("accepted vote", 16) - rule("majority", 16)),
        ("short", _SHORT, "The shortest of 8 answers is right more often than a single one",
         "accuracy less that of one answer, t interval over tasks", ">", 0.0,
         (dataset["short_accuracy"].sel(n=8) - dataset["short_accuracy"].sel(n=1)).values),
        ("filter", _FLAWS, "A particle filter runs into the ceiling that retrying has",
         "share right of 4,096 particles less the ceiling, t interval over runs", "within", 0.01,
         many.sel(kind="filter").values - dataset.attrs["step_ceiling"]),
        ("retries", _FLAWS, "and so does retrying whole solutions",
         "share right of 4,096 attempts less the ceiling, t interval over runs", "within", 0.01,
         many.sel(kind="retries").values - dataset.attrs["step_ceiling"]),
    ]  # fmt: skip
    assert total.min() > 0
    judged_rows = [
        Claim(f"imperfect_verifiers_study/{name}", paper, says, quantity, relation, bound).judge(*mean_interval(value))
        for name, paper, says, quantity, relation, bound, value in rows
    ]
    own = Claim(
        "imperfect_verifiers_study/self", _FLAWS, "The model's own verdict tells right answers from wrong ones",
        "AUROC of its log-odds over all asked answers less one half, as recorded", ">", 0.1, None, True,
    )  # fmt: skip
    return [*judged_rows, own.judge(dataset.attrs["auroc"] - 0.5)]
