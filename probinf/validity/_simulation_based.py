"""Simulation-based calibration: does a posterior sampler, averaged over data, return the prior?

Source: Talts, Betancourt, Simpson, Vehtari and Gelman (arXiv 1804.06788); statistics that look at the data: Modrak et
al., Bayesian Analysis (2023), arXiv 2211.02383.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._measure import Distribution, as_distribution
from probinf.validity._ranks import (
    RankCheck,
    Simulate,
    Statistics,
    check_counts,
    draw_joint,
    entries,
    rank_among,
    replicated,
)


def simulation_based_calibration(
    prior: Any,
    simulate: Simulate,
    posterior_sampler: Callable[[PRNGKeyArray, Any], Any],
    key: PRNGKeyArray,
    *,
    simulations: int = 1024,
    draws: int = 31,
    statistics: Statistics = entries,
    batch: int = 256,
) -> RankCheck:
    """Ranks of parameters among posterior draws for data that they generated.

    Law: with theta ~ prior, data ~ `simulate(key, theta)` and `draws` independent draws from the exact posterior given
    the data, the rank of each statistic of theta among those of the draws is uniform on 0..draws. False alarms: at
    most alpha for `result.log_wealth() >= log(1/alpha)`, exactly and at any time. Draws that are dependent (a Markov
    chain that is not thinned) or approximate (a cloud of few particles, resampled) are not the posterior's, and with
    enough simulations the test says so; `exact_rank_test` tests kernels whatever their mixing.

    `posterior_sampler(key, data)` returns `draws` values (leading axis). `statistics(theta, data)` returns a vector;
    add the log-likelihood, since a sampler that ignores the data and returns the prior passes every statistic of theta
    alone. Compiled once, `batch` simulations in memory at a time.

    Raises: TypeError for a legacy key or a prior that cannot be drawn from; ValueError where the sampler returns
    another number of draws.
    """
    check_counts(simulations=(simulations, 1), draws=(draws, 1), batch=(batch, 1))
    one = _Calibration(as_distribution(prior), simulate, posterior_sampler, statistics, draws)
    return RankCheck(replicated(one, key, simulations, batch), draws + 1)


class _Calibration(eqx.Module):
    """One simulation."""

    prior: Distribution
    simulate: Simulate
    posterior_sampler: Callable[[PRNGKeyArray, Any], Any]
    statistics: Statistics
    draws: int

    def __call__(self, key: PRNGKeyArray) -> Int[Array, " S"]:
        joint_key, sampler_key, tie_key = jax.random.split(key, 3)
        theta, data = draw_joint(joint_key, self.prior, self.simulate)
        values = self.posterior_sampler(sampler_key, data)
        found = {leaf.shape[:1] for leaf in jax.tree.leaves(values)}
        if found != {(self.draws,)}:
            raise ValueError(f"the posterior sampler must return {self.draws} draws on the leading axis, got {found}")
        others = jax.vmap(lambda value: self.statistics(value, data))(values)
        return rank_among(tie_key, self.statistics(theta, data), others)
