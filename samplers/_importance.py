"""Importance sampling.

Law: from nothing to `target` (PROPER): Z-hat = mean weight is unbiased for the target's mass; self-normalized
averages are consistent.

Source: Kahn and Harris, National Bureau of Standards Applied Mathematics Series 12 (1951).
"""

from __future__ import annotations

from typing import Any

from probinf._measure import Factor, as_distribution, as_factor
from probinf._primitives import Draw, Reweight
from probinf._sampler import Sampler


def importance(proposal: Any, target: Factor) -> Sampler:
    """Draws from `proposal` and weighs by `target / proposal`; what both share cancels.

    Law: m -> m * target (PROPER), if the proposal is positive wherever the target is.

    Raises: TypeError where `proposal` cannot be drawn from, or `target` is no factor.
    """
    proposal = as_distribution(proposal)
    return Draw(proposal) >> Reweight(as_factor(target) / proposal)
