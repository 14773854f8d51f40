"""The calibrated prediction of a grouping: what a perfect learner that cannot tell a group's inputs apart would say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probinf._arguments import floating, whole
from probinf.verifiers.pairs._checks import check_probabilities
from probinf.verifiers.pairs._prediction import PairTable


def grouped_pairs(truth: Float[Array, "N K"], group: Int[Array, " N"], groups: int) -> PairTable:
    """The joint distribution of two responses in each group, with a leading axis of groups; inputs count alike.

    Law: exact: calibrated for pairs, so second-order calibrated.

    Raises: ValueError for rows that are no distributions, and for groups outside 0 to groups - 1.

    Source: arXiv 2402.08733, sections 2 and 3.
    """
    truth, group = floating("truth", truth, "inputs classes"), whole("group", group, "inputs", low=0, high=groups - 1)
    if group.shape != truth.shape[:1]:
        raise ValueError(f"{truth.shape[0]} inputs need as many groups, got {group.shape[0]}")
    check_probabilities(truth)
    both = truth[:, :, None] * truth[:, None, :]
    count = jax.ops.segment_sum(jnp.ones(truth.shape[0], truth.dtype), group, groups)
    # A group without inputs is never asked for; a uniform table keeps it a distribution.
    joint = jax.ops.segment_sum(both, group, groups) / jnp.maximum(count, 1)[:, None, None]
    uniform = jnp.full_like(joint, 1 / truth.shape[1] ** 2)
    return jax.vmap(PairTable)(jnp.where(count[:, None, None] > 0, joint, uniform))
