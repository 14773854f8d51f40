"""What the study is to decide; written before its answers were looked at by any of these measures.

Seen before: the chance of a right answer of each task, from a pilot by which the tasks were chosen (between about .02
and .6), and that the checks of a verifier never reject a right answer, by construction. The ceiling of the particles is
computed from the rates that were set; that both kinds of particles tend to it was seen on 20 runs of other keys.

Changed after a reading of the code, before numbers of a run were seen: "perplexity" spoke of perplexity consistency,
which on answers of one line is the baseline that it is compared with, the answer of highest probability per token; and
"self" pooled the answers of all tasks without an interval, where tasks of unlike difficulty alone can tell right from
wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray

from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._imperfect_study_runs import LIKELIEST
from probinf.figures._transformer_metrics import mean_interval

_FLAWS, _MAJORITY, _PERPLEXITY = "arXiv:2411.17501", "arXiv:2510.03199", "arXiv:2510.15444"
_SHORT = "arXiv:2505.17813"


def imperfect_verifiers_study_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts."""
    right, wrong = (dataset["by_task"].sel(outcome=outcome).values for outcome in ("correct", "wrong"))
    # What the first 128 attempts return wrongly; the least likely to be accepted are the most often wrong.
    gap = wrong / np.maximum(right + wrong, 1)
    at = lambda name, cost: dataset[f"utility_{name}"].sel(cost=cost).values  # noqa: E731
    rule = lambda name, n: dataset["accuracy"].sel(rule=name, n=n).values  # noqa: E731
    own = dataset["self_auroc"].values
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
         "accuracy less that of best-of-n, both by probability per token, t interval over tasks", ">", 0.0,
         rule("best of majority", 64) - rule(LIKELIEST, 64)),
        ("grows", _MAJORITY, "and does not get worse with N", "accuracy at 64 less that at 8, t interval over tasks",
         ">", -0.02, rule("best of majority", 64) - rule("best of majority", 8)),
        ("perplexity", _PERPLEXITY, "Taking the answer of highest probability per token beats a majority (N = 8)",
         "accuracy less that of the majority, t interval over tasks", ">", 0.0,
         rule(LIKELIEST, 8) - rule("majority", 8)),
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
        ("self", _FLAWS, "The model's own verdict tells right answers to a task from wrong ones",
         "AUROC of its log-odds less one half, within each task that was asked about both, t interval over tasks",
         ">", 0.1, own[np.isfinite(own)] - 0.5),
    ]  # fmt: skip
    return [
        Claim(f"imperfect_verifiers_study/{name}", paper, says, quantity, relation, bound).judge(*mean_interval(value))
        for name, paper, says, quantity, relation, bound, value in rows
    ]
