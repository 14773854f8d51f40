"""What the figure on the reasoning gap is to decide; written before it was run.

No estimator had been measured before: the sizes of the smoke budget were set by the time that training takes. The
directions are those of the paper's figures (100 variables, 1,000,000 strings, a transformer of 10 layers); the
published values are differences of its mean squared errors.

Changed after the run: `tables/direct` compared the answer with the marginals that its own tables are made of, and could
not fail; now these are summed over all values of the joint law. Its distance was 2.2e-16 and is 6.7e-16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray

from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._transformer_metrics import mean_interval

_PAPER = "arXiv:2304.03843"
# Draws of the paper's main figure.
_DRAWS = 10


def reasoning_gap_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts: t intervals over seeds of differences between estimators on the same networks."""
    error = lambda training, estimator, draws=_DRAWS: (  # noqa: E731
        dataset["error"].sel(training=training, estimator=estimator, draws=draws).values
    )
    direct, through, chosen = (error("local", name) for name in ("direct", "scaffolded", "free"))
    full_gap = error("fully observed", "direct") - error("fully observed", "free")
    wrong = dataset.sel(training="wrong local")
    rows: list[tuple[str, str, str, Relation, float, float | str | None, Any]] = [
        ("tables/shrunk", "Tables mixed with uniform ones, as in the theorem, answer better through the path",
         "squared error at once less through the path", ">", 0.0, None,
         (dataset["shrunk_direct_error"] - dataset["shrunk_scaffolded_error"]).values),
        ("local/scaffolded", "Trained on local strings, a network answers better through given steps than at once",
         "squared error at once less through the path", ">", 0.0, 0.0110, direct - through),
        ("local/free", "and better through steps that it chooses itself", "squared error at once less by free choice",
         ">", 0.0, 0.0132, direct - chosen),
        ("local/irrelevant", "Steps help because they lead there: irrelevant ones are worse than those of the path",
         "squared error through others less through the path", ">", 0.0, 0.0108,
         error("local", "irrelevant scaffold") - through),
        ("local/one draw", "With one draw reasoning is worse than the direct answer",
         "squared error by free choice with one draw less at once", ">", 0.0, 0.0349,
         error("local", "free", 1) - direct),
        ("fully observed/gap", "The gap of free choice is a matter of local data: it is larger there than where all "
         "variables are seen together", "gap after local strings less after full ones", ">", 0.0, 0.0147,
         direct - chosen - full_gap),
        ("wrong local/direct", "Locality must be that of the dependences: with that of another tree direct answers are "
         "worse", "squared error at once, wrong local less local", ">", 0.0, 0.0500,
         error("wrong local", "direct") - direct),
        ("wrong local/marginal", "and lie nearer to the marginal than to the truth",
         "squared distance to the truth less to the marginal", ">", 0.0, 0.0480,
         error("wrong local", "direct") - wrong["direct_to_marginal"].values),
    ]  # fmt: skip
    sampled = [_claim(*row[:-1]).judge(*mean_interval(row[-1])) for row in rows]
    return [*_computed(dataset), *sampled]


def _computed(dataset: xarray.Dataset) -> list[Finding]:
    """What tables do exactly."""
    rows = [
        ("tables/scaffolded", "Tables of neighbors that back off to marginals are right through the path",
         "largest distance to the truth over all questions", "table_scaffolded_to_truth"),
        ("tables/direct", "and give the marginal at once", "largest distance to the marginal over all questions",
         "table_direct_to_marginal"),
    ]  # fmt: skip
    return [
        Claim(f"reasoning_gap/{name}", _PAPER, statement, quantity, "<", 1e-12, computed=True)
        .judge(float(np.max(dataset[variable].values)))
        for name, statement, quantity, variable in rows
    ]  # fmt: skip


def _claim(
    name: str, statement: str, quantity: str, relation: Relation, bound: float, published: float | str | None
) -> Claim:
    quantity = f"{quantity}, mean and t interval over seeds"
    return Claim(f"reasoning_gap/{name}", _PAPER, statement, quantity, relation, bound, published)
