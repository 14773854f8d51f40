"""True and false positive rates from samples whose truth is known, the rejected ones too."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_float, check_part
from probinf.verifiers.imperfect._composition import Rates
from probinf.verifiers.imperfect._counts import SampleCounts


class RateEstimates(NamedTuple):
    """Rates of each task (NaN without a sample of the kind), their mean over tasks that have one, and pooled ones."""

    by_task: Rates
    macro: Rates
    pooled: Rates


def estimate_rates(counts: SampleCounts, rejected_correct: Float[Array, " N"]) -> RateEstimates:
    """Rates of a verifier: P(accept | correct), and P(accept | wrong), which is no false discovery rate.

    Law: the rates of a task are unbiased given that it has a sample of the kind. `macro` counts such tasks alike and
    `pooled` counts samples alike: they differ where the verifier errs more on some tasks, so report both.

    Raises: ValueError where more of the rejected samples are correct than were rejected.
    """
    kept = as_float(rejected_correct)
    if kept.shape != counts.rejected.shape:
        raise ValueError(
            f"rejected_correct counts the correct ones among the rejected samples of {counts.rejected.shape[0]} tasks, "
            f"got shape {kept.shape}"
        )
    check_part("rejected_correct", kept, "rejected", counts.rejected)
    pairs = ((counts.correct, counts.correct + kept), (counts.wrong, counts.wrong + counts.rejected - kept))
    by_task = Rates(*(jnp.where(n > 0, x / jnp.maximum(n, 1), jnp.nan) for x, n in pairs))
    pooled = Rates(*(jnp.sum(x) / jnp.sum(n) for x, n in pairs))
    return RateEstimates(by_task, Rates(*(jnp.nanmean(rate) for rate in by_task)), pooled)
