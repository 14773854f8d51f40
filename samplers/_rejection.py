"""Rejection sampling within a budget.

Law: from nothing to the proposal restricted to what is accepted, normalized, with mass 1 - (1 - a)^budget for
an acceptance rate a (CHANGES_TARGET); lanes that never pass abstain.

Source: von Neumann, National Bureau of Standards Applied Mathematics Series 12 (1951).
"""

from __future__ import annotations

from typing import Any

from probinf._primitives import Draw, Verified
from probinf._sampler import Sampler


def rejection(proposal: Any, accept: Any, budget: int) -> Sampler:
    """Draws from `proposal` until `accept` is positive or true, at most `budget` times a lane.

    Law: m -> m * proposal(. | accepted) with mass 1 - (1 - a)^budget (CHANGES_TARGET).

    Raises: ValueError for a budget below one; TypeError where `proposal` cannot be drawn from.
    """
    return Verified(Draw(proposal), accept, budget)
