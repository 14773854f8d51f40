"""Claims about constrained generation, with criteria fixed before the run that they judge.

A pilot at temperature 1, with four filters of 16 particles for each kind of task, decided little: nearly
nothing was accepted by any method. Before the present run the temperature became that of the paper and the
batches larger, and intervals that end on a bound became undecided, which makes no criterion easier.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xarray

from probinf.figures._claims import Claim, Finding
from probinf.figures._estimators import Bootstrap, interval
from probinf.figures._lm_constraints_curves import masses, mean, pooled_masses, replicates

_PAPER = "arXiv:2502.01618"
_KINDS = {
    "words": "given words",
    "count": "exact word count",
    "json": "JSON object",
    "answer": "word problem",
}
_SEED = 11
# At this N particles both budgets are compared.
_N = 16
_MARGIN = 0.05


def lm_constraints_claims(dataset: xarray.Dataset) -> list[Finding]:
    """Judges each claim on the data; all claims are returned, whatever their verdict.

    Intervals are bootstraps over prompts, seeds and replicates with fixed seeds. The criteria were written
    down before the data existed.
    """
    findings = list(_by_kind(dataset))
    if "words" in dataset["kind"].values:
        findings.append(_half_tokens(dataset))
    return [*findings, _evidence(dataset)]


class _Comparison(NamedTuple):
    """Something that particle filtering is said to do better than a rival."""

    slug: str
    quantity: str
    rival: str
    statement: str


_COMPARISONS = (
    _Comparison("fraction", "success fraction", "best-of-n", "a larger part of the texts is accepted"),
    _Comparison("any", "any success", "best-of-n", "some text is accepted more often"),
    _Comparison("equal-tokens", "any success", "rejection", "some text is accepted more often"),
    _Comparison("distinct", "distinct successes", "best-of-n", "more different texts are accepted"),
)


def _by_kind(dataset: xarray.Dataset) -> Iterator[Finding]:
    for kind in dataset["panel"].values.tolist():
        for slug, quantity, rival, statement in _COMPARISONS:
            against = f"best-of-{_N}" if rival == "best-of-n" else "rejection with as many tokens"
            claim = Claim(
                id=f"lm_constraints/{kind}/{slug}",
                paper=_PAPER,
                statement=f"{_KINDS.get(kind, kind)}: with {_N} particles {statement} than with {against}",
                quantity=f"{quantity}, particle filtering with N={_N} minus {against}, mean over prompts",
                relation=">",
                bound=0.0,
            )
            yield _difference(
                claim,
                replicates(dataset, quantity, "particle filtering", _N, kind),
                replicates(dataset, quantity, rival, _N, kind),
            )


def _half_tokens(dataset: xarray.Dataset) -> Finding:
    claim = Claim(
        id="lm_constraints/words/half-tokens",
        paper=_PAPER,
        statement=f"given words: {_N // 2} particles succeed more often than best-of-{_N}",
        quantity=f"any success, particle filtering with N={_N // 2} minus best-of-{_N}, mean over prompts",
        relation=">",
        bound=0.0,
    )
    few = replicates(dataset, "any success", "particle filtering", _N // 2, "words")
    return _difference(claim, few, replicates(dataset, "any success", "best-of-n", _N, "words"))


def _evidence(dataset: xarray.Dataset) -> Finding:
    claim = Claim(
        id="lm_constraints/evidence",
        paper=_PAPER,
        statement="particle filtering and plain sampling estimate the same P(accepted)",
        quantity="P(accepted), filters of all N > 1 minus plain samples, mean over all prompts",
        relation="within",
        bound=_MARGIN,
    )
    return _difference(claim, pooled_masses(dataset), masses(dataset, 1))


def _difference(claim: Claim, ours: np.ndarray, theirs: np.ndarray) -> Finding:
    bootstrap = Bootstrap(len(ours), seed=_SEED)
    value = mean(ours) - mean(theirs)
    return claim.judge(value, interval(bootstrap.means(ours) - bootstrap.means(theirs)))
