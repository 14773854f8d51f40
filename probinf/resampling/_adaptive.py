"""Resampling only where the weights have degenerated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import real
from probinf.resampling._ess import effective_sample_size
from probinf.resampling._scheme import Scheme


def ess_below(log_weights: Float[Array, " N"], threshold: float | Float[Array, ""]) -> Bool[Array, ""]:
    """Whether the effective sample size is below `threshold * N`; False for a dead cloud: nothing can mend
    it."""
    threshold = real("threshold", threshold, "")
    ess = effective_sample_size(log_weights)
    return (ess > 0) & (ess < threshold * log_weights.shape[0])


def adaptive_ancestors(
    scheme: Scheme,
    threshold: float | Float[Array, ""],
    key: PRNGKeyArray,
    log_weights: Float[Array, " N"],
    *,
    conditional: bool = False,
) -> tuple[Int[Array, " N"], Bool[Array, ""]]:
    """The scheme's ancestors where the effective sample size is below `threshold * N`, else each lane its
    own.

    Law: the scheme's (its conditional twin's with `conditional`), given the weights; the decision is
    symmetric in the lanes, so resampling on demand stays unbiased and conditional SMC exact. Also returns
    whether it resampled: if not, the weights must be kept.
    """
    draw = scheme.conditional if conditional else scheme
    resampled = ess_below(log_weights, threshold)
    lanes = jnp.arange(log_weights.shape[0], dtype=jnp.int32)
    return jax.lax.cond(resampled, lambda: draw(key, log_weights), lambda: lanes), resampled
