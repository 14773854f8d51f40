"""Errors for priors and data that a network was not trained for."""

from __future__ import annotations

from typing import Any

import numpy as np

from probinf.distributions import GMM


def check_mixture(prior: Any, dimension: int, components: int) -> None:
    """Raises TypeError for what is no mixture, ValueError for one with other dimensions or too many components."""
    if not isinstance(prior, GMM):
        raise TypeError(f"the prior must be a probinf.distributions.GMM, got {type(prior).__name__}")
    if prior.dimension != dimension:
        raise ValueError(
            f"these weights were trained for {dimension} dimensions, the prior has {prior.dimension}: load others, or "
            "train with `python -m probinf.transformers_dist.train`"
        )
    present = int(np.sum(np.asarray(prior.log_weights) > -np.inf))
    if present > components:
        raise ValueError(
            f"these weights were trained for at most {components} components, the prior has {present}: reduce it with "
            f"merge_components(prior, {components})"
        )


def check_rows(what: str, y: Any, present: np.ndarray, *more: Any) -> None:
    """Raises ValueError for no data at all, and for numbers that are not finite."""
    if not present.any():
        raise ValueError(f"there are no {what}: without data the posterior is the prior")
    if not all(np.isfinite(np.asarray(array)[present]).all() for array in (y, *more)):
        raise ValueError(f"the {what} must be finite, got NaN or an infinity: leave out what is missing")
