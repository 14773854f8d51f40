"""Claims: what is stated before a run, what was measured, and the verdict that follows."""

import enum
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from probinf.figures._atomic import write_text

Relation = Literal[">", "<", "within"]


class Verdict(enum.Enum):
    """What a measurement says about a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A statement with a criterion that is fixed before the run.

    `relation` and `bound` say where the `quantity` must lie: "> bound", "< bound", or "within" [-bound, bound].
    `published` is the value that the paper prints, None where it prints none. `computed` marks a quantity that is read
    off exactly, without sampling, so that its interval has no width by right.
    """

    id: str
    paper: str
    statement: str
    quantity: str
    relation: Relation
    bound: float
    published: float | str | None = None
    computed: bool = False

    @property
    def criterion(self) -> str:
        """The rule, as text."""
        side = f"within {self.bound:g} of zero" if self.relation == "within" else f"{self.relation} {self.bound:g}"
        if self.computed:
            return f"{self.quantity}, computed without sampling, lies {side} (else fails)"
        return f"the 95 % interval of {self.quantity} lies wholly {side} (fails: wholly outside; else undecided)"

    def judge(self, value: float, interval: tuple[float, float] | None = None) -> "Finding":
        """The claim with what was measured.

        Raises: ValueError where a sampled quantity comes without its interval, or a computed one with it.
        """
        if (interval is None) != self.computed:
            raise ValueError(f"claim '{self.id}': give an interval exactly where the quantity is sampled")
        return Finding(self, value, (value, value) if interval is None else interval)


@dataclass(frozen=True)
class Finding:
    """A claim, the measured value, and its interval."""

    claim: Claim
    value: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> Verdict:
        """The verdict that the criterion gives."""
        return decide(self.interval, self.claim.relation, self.claim.bound, computed=self.claim.computed)

    def as_dict(self) -> dict[str, Any]:
        """The entry of `claims.json`; numbers that are not finite are null."""
        return {
            "id": self.claim.id,
            "paper": self.claim.paper,
            "statement": self.claim.statement,
            "criterion": self.claim.criterion,
            "value": _finite(self.value),
            "interval": [_finite(bound) for bound in self.interval],
            "published": self.claim.published,
            "verdict": self.verdict.value,
        }


def decide(interval: tuple[float, float], relation: Relation, bound: float, *, computed: bool = False) -> Verdict:
    """Compare an interval with a criterion.

    Law: `HOLDS` if the whole interval lies inside, `FAILS` if it lies wholly outside, else `UNDECIDED`. An
    interval that ends on the bound decides nothing, nor does one of no width or without an end: a bootstrap
    whose replicates all agree knows nothing about the next one. A `computed` value is a point by right.
    """
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)) or (low == high and not computed):
        return Verdict.UNDECIDED
    if relation == "within":
        holds, fails = -bound < low and high < bound, low > bound or high < -bound
    elif relation == "<":
        holds, fails = high < bound, low > bound
    else:
        holds, fails = low > bound, high < bound
    return Verdict.HOLDS if holds else Verdict.FAILS if fails else Verdict.UNDECIDED


def update_claims(path: Path, figure: str, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Put a figure's findings into `claims.json` in place of its older ones; those of other figures stay.

    Returns all entries of the file. Identifiers start with the figure's name and a slash.

    Raises: ValueError where the file holds something else; OSError where it cannot be written.
    """
    others = [entry for entry in _read(path) if not str(entry.get("id", "")).startswith(f"{figure}/")]
    entries = others + [finding.as_dict() for finding in findings]
    write_text(path, json.dumps(entries, indent=2) + "\n")
    return entries


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path} is not a list of claims: move it away, or choose another folder.")
    return entries


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
