"""What an attack on the checks is: a wrong design, why it might pass, and the verdict that it must get."""

from __future__ import annotations

from typing import NamedTuple

from probinf.validity import DistributionCase, KernelCase, SamplerCase

CAUSES = (
    "not a number",
    "the same lie",
    "stronger guarantee",
    "small n",
    "stages",
    "invariance",
    "randomness",
    "precision",
)


class Attack(NamedTuple):
    """A wrong design that was written to fool the checks: `cause` says by what, `verdict` is what it must get."""

    case: SamplerCase | KernelCase | DistributionCase
    cause: str
    verdict: str = "flagged"
