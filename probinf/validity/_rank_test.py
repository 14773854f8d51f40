"""The exact rank test of a Markov kernel: uniform for every reversible invariant kernel, whatever its mixing.

Source: Gandy and Scott, "Unit testing for MCMC and other Monte Carlo methods" (arXiv 2001.06465).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._choice import choice
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


def exact_rank_test(
    kernel: Callable[[Any], Kernel],
    prior: Any,
    simulate: Simulate,
    key: PRNGKeyArray,
    *,
    replicates: int = 1024,
    length: int = 16,
    thin: int = 1,
    statistics: Statistics | None = None,
    reverse: Callable[[Any], Kernel] | None = None,
    batch: int = 256,
) -> RankCheck:
    """Ranks of a draw from the joint in a chain that runs forward and backward from it.

    Law: theta and data come from the joint law, theta stands at a uniform position of a stretch of `length` states, and
    `kernel(data)` fills the states after it, its reversal those before. If the kernel keeps the posterior given the
    data, the stretch is stationary wherever theta stands in it, so the rank of theta's statistic is uniform on
    0..length-1, whatever the mixing. False alarms: at most alpha for `result.log_wealth() >= log(1/alpha)`, exactly
    and at any time.

    A reversible kernel is its own reversal. For any other, such as a cycle, give `reverse`, the kernel run backward
    (for a cycle of reversible kernels, the same in the opposite order), or use `geweke_test`, which needs none.
    `thin` transitions lie between two states. `statistics(theta, data)` returns a vector; by default all numbers of
    theta and the log-density that the kernel claims to keep. Test both: a walk that accepts every move is reversible
    in theta alone, and a forgotten Jacobian hardly shows in the density.

    What it misses: acceptance ratios times 1.1 went unnoticed in 20,000 replicates, which one exact kernel matrix
    shows; where randomness is discrete, enumerate.

    Raises: TypeError for a legacy key or a prior that cannot be drawn from; ValueError for fewer than two states.
    """
    check_counts(replicates=(replicates, 1), length=(length, 2), thin=(thin, 1), batch=(batch, 1))
    chosen = EntriesAndJoint(kernel) if statistics is None else statistics
    one = _Stretch(as_distribution(prior), simulate, kernel, reverse, chosen, length, thin)
    return RankCheck(replicated(one, key, replicates, batch), length)


class _Stretch(eqx.Module):
    """One stretch of chain around one draw."""

    prior: Distribution
    simulate: Simulate
    kernel: Callable[[Any], Kernel]
    reverse: Callable[[Any], Kernel] | None
    statistics: Statistics
    length: int
    thin: int

    def __call__(self, key: PRNGKeyArray) -> Int[Array, " S"]:
        joint_key, place_key, chain_key, tie_key = jax.random.split(key, 4)
        theta, data = draw_joint(joint_key, self.prior, self.simulate)
        theta = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), theta)
        before = choice(place_key, jnp.zeros(self.length))

        def step(x: Any, row: tuple) -> tuple[Any, Array]:
            i, key = row
            # The first `before` steps lead back from theta; then the chain starts at theta again, forward.
            x = jax.tree.map(lambda start, leaf: jnp.where(i == before, start, leaf), theta, x)
            for k in jax.random.split(key, self.thin):
                x = self._move(k, x, data, i < before)
            return x, self.statistics(x, data)

        rows = (jnp.arange(self.length - 1), jax.random.split(chain_key, self.length - 1))
        _, others = jax.lax.scan(step, theta, rows)
        return rank_among(tie_key, self.statistics(theta, data), others)

    def _move(self, key: PRNGKeyArray, x: Any, data: Any, backward: Array) -> Any:
        if self.reverse is None:
            return self.kernel(data)(key, x)[0]
        forth_key, back_key = jax.random.split(key)
        forth, back = self.kernel(data)(forth_key, x)[0], self.reverse(data)(back_key, x)[0]
        return jax.tree.map(lambda a, b: jnp.where(backward, a, b), back, forth)
