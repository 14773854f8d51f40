"""Geweke's joint test, as independent replicates: parameters and data updated in turn stay in their joint law.

Source: Geweke, "Getting it right", Journal of the American Statistical Association 99 (2004).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._measure import Distribution, as_distribution
from probinf._sampler import Kernel
from probinf.validity._ranks import (
    EntriesAndJoint,
    RankCheck,
    Simulate,
    Statistics,
    check_counts,
    draw_joint,
    rank_among,
    replicated,
)


def geweke_test(
    kernel: Callable[[Any], Kernel],
    prior: Any,
    simulate: Simulate,
    key: PRNGKeyArray,
    *,
    replicates: int = 1024,
    steps: int = 16,
    references: int = 15,
    statistics: Statistics | None = None,
    batch: int = 256,
) -> RankCheck:
    """Ranks of successive-conditional draws among marginal-conditional ones.

    Law: a replicate starts at a draw (theta, data) from the joint law and `steps` times moves theta by `kernel(data)`
    and draws data anew given theta. If the kernel keeps the posterior given any data, the pair still has the joint
    law, so the rank of its statistic among `references` fresh draws is uniform on 0..references; no reversibility
    is needed. False alarms: at most alpha for `result.log_wealth() >= log(1/alpha)`, exactly and at any time. Geweke's
    own form compares averages along one long chain, whose error has to be estimated; independent short chains have a
    known level instead, and see a wrong law as far as `steps` transitions lead towards it.

    `statistics(theta, data)` returns a vector; by default all numbers of theta and the log-density that the kernel
    claims to keep.

    Raises: TypeError for a legacy key or a prior that cannot be drawn from; ValueError for no step or no reference.
    """
    check_counts(replicates=(replicates, 1), steps=(steps, 1), references=(references, 1), batch=(batch, 1))
    chosen = EntriesAndJoint(kernel) if statistics is None else statistics
    one = _Alternation(as_distribution(prior), simulate, kernel, chosen, steps, references)
    return RankCheck(replicated(one, key, replicates, batch), references + 1)


class _Alternation(eqx.Module):
    """One short successive-conditional chain and its references."""

    prior: Distribution
    simulate: Simulate
    kernel: Callable[[Any], Kernel]
    statistics: Statistics
    steps: int
    references: int

    def __call__(self, key: PRNGKeyArray) -> Int[Array, " S"]:
        joint_key, chain_key, reference_key, tie_key = jax.random.split(key, 4)

        def step(pair: tuple, key: PRNGKeyArray) -> tuple[tuple, None]:
            theta, data = pair
            move_key, data_key = jax.random.split(key)
            theta = self.kernel(data)(move_key, theta)[0]
            return (theta, self.simulate(data_key, theta)), None

        # A weak type would change in the first step.
        start = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), draw_joint(joint_key, self.prior, self.simulate)
        )
        (theta, data), _ = jax.lax.scan(step, start, jax.random.split(chain_key, self.steps))

        def fresh(key: PRNGKeyArray) -> Array:
            return self.statistics(*draw_joint(key, self.prior, self.simulate))

        others = jax.vmap(fresh)(jax.random.split(reference_key, self.references))
        return rank_among(tie_key, self.statistics(theta, data), others)
