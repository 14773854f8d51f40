"""What came of samples, task by task."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_attempts, as_float, check_part
from probinf.verifiers.imperfect._gamma import log_beta_moment
from probinf.verifiers.imperfect._payoff import Payoff
from probinf.verifiers.imperfect._population import Outcomes


class SampleCounts(eqx.Module):
    """Of the samples of each task: how many were accepted and correct, accepted and wrong, and rejected.

    Raises: ValueError for negative or broken counts, tasks without samples, and lengths that differ.
    """

    correct: Float[Array, " N"] = eqx.field(converter=as_float)
    wrong: Float[Array, " N"] = eqx.field(converter=as_float)
    rejected: Float[Array, " N"] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Rejects what cannot have been counted."""
        rows = (self.correct, self.wrong, self.rejected)
        if self.correct.ndim != 1 or not self.correct.size or len({row.shape for row in rows}) > 1:
            raise ValueError(f"counts are three arrays [tasks] of one length, got {[row.shape for row in rows]}")
        if any(isinstance(row, Tracer) for row in rows):
            return
        values = np.stack([np.asarray(row) for row in rows])
        if not np.all(values >= 0) or np.any(values != np.floor(values)):
            raise ValueError("counts must be whole numbers of at least zero")
        if not np.all(values.sum(axis=0) > 0):
            raise ValueError(f"task {int(np.argmin(values.sum(axis=0)))} has no samples: leave it out")

    @property
    def accepted(self) -> Float[Array, " N"]:
        """Accepted samples, correct or wrong."""
        return self.correct + self.wrong

    @property
    def total(self) -> Float[Array, " N"]:
        """Samples."""
        return self.accepted + self.rejected


def estimate_outcomes(counts: SampleCounts, attempts: Any) -> Outcomes:
    """Estimates [tasks, *K] of the outcomes of K attempts at each task; their mean over tasks is the benchmark's.

    Law: unbiased for each task and K: the mean over all orders of the samples, of which the first K are the attempts.
    By symmetry the first accepted of them is any of the accepted ones alike, so that
    correct(K) = x / (x + y) (1 - C(z, K) / C(n, K)). NaN under tracing where K > n; logs throughout, for n to 1e6.

    Raises: ValueError for a concrete K above the samples of some task, about which only a model can tell.
    """
    k = _attempts(counts, attempts)

    def of(x: Array, y: Array, z: Array) -> Outcomes:
        n, accepted = x + y + z, x + y
        rejected = jnp.exp(_log_none(z, accepted, k))
        ppv = jnp.where(accepted > 0, x / jnp.maximum(accepted, 1), 0.0)
        fdr = jnp.where(accepted > 0, y / jnp.maximum(accepted, 1), 0.0)
        samples = (n + 1 - rejected * (n - k + 1)) / (accepted + 1)
        found = (ppv * (1 - rejected), fdr * (1 - rejected), rejected, samples)
        return Outcomes(*(jnp.where(k <= n, value, jnp.nan) for value in found))

    return jax.vmap(of)(counts.correct, counts.wrong, counts.rejected)


def estimate_utilities(counts: SampleCounts, attempts: Any, payoff: Payoff) -> Float[Array, "N *K"]:
    """Estimates of the utility of K attempts at each task: scores for `task_interval`, `simultaneous_band` and others.

    Law: unbiased, as `estimate_outcomes`.
    """
    return payoff.of(*estimate_outcomes(counts, attempts))


def pass_at(correct: Any, total: Any, attempts: Any) -> Float[Array, "N *K"]:
    """pass@K, the chance that one of K samples is correct, from `correct` of `total` samples of each task.

    Law: unbiased, 1 - C(n - c, K) / C(n, K).

    Raises: ValueError as `SampleCounts`, for more correct samples than there are, and for a concrete K above a total.

    Source: Chen et al., arXiv 2107.03374, section 2.1.
    """
    check_part("correct", correct, "total", total)
    correct, total = jnp.broadcast_arrays(as_float(correct), as_float(total))
    counts = SampleCounts(correct, jnp.zeros_like(correct), total - correct)
    return estimate_outcomes(counts, attempts).correct


def pass_all(correct: Any, total: Any, attempts: Any) -> Float[Array, "N *K"]:
    """pass^K, the chance that all of K samples are correct.

    Law: unbiased, C(c, K) / C(n, K).

    Raises: ValueError as `SampleCounts`, for more correct samples than there are, and for a concrete K above a total.
    """
    check_part("correct", correct, "total", total)
    correct, total = jnp.broadcast_arrays(as_float(correct), as_float(total))
    counts = SampleCounts(total - correct, jnp.zeros_like(correct), correct)
    return estimate_outcomes(counts, attempts).abstain


def _attempts(counts: SampleCounts, attempts: Any) -> Float[Array, "*K"]:
    k = as_attempts(attempts)
    if not isinstance(k, Tracer) and not isinstance(counts.total, Tracer):
        least = float(np.min(np.asarray(counts.total)))
        if np.any(np.asarray(k) > least):
            raise ValueError(
                f"{np.max(np.asarray(k)):g} attempts cannot be estimated from {least:g} samples without a model: take "
                "fewer, or extrapolate by sample_concentrations, fit_beta_binomial or fit_power_law"
            )
    return k


def _log_none(z: Array, accepted: Array, k: Array) -> Array:
    """Log C(z, K) / C(n, K): the chance that none of the accepted is among the first K of all."""
    log_none = log_beta_moment(jnp.maximum(z - k, 0.0) + 1, accepted, k)
    # Nothing to be found, or not enough rejected.
    return jnp.where(accepted == 0, 0.0, jnp.where(k > z, -jnp.inf, log_none))
