"""How well a score tells one kind of things from another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def auroc(
    score: Float[np.ndarray, "*any"], positive: Bool[np.ndarray, "*any"], weight: Float[np.ndarray, "*any"]
) -> float:
    """The probability that a positive has the higher score than a negative, both drawn by weight; ties count a half.

    Raises: ValueError where all weight is on one side.
    """
    up, down = weight * positive, weight * ~positive
    if not (up.sum() > 0 and down.sum() > 0):
        raise ValueError("all answers are right or all are wrong, so there is nothing to tell apart")
    level = np.unique(score, return_inverse=True)[1].ravel()
    up, down = (np.bincount(level, side.ravel()) for side in (up, down))
    below = np.cumsum(down) - down / 2
    return float((up * below).sum() / (up.sum() * down.sum()))
