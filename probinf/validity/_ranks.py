"""Ranks of one draw among exchangeable ones: what the rank tests here share, and what is read off the ranks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import count, whole
from probinf._choice import check_key, choice
from probinf._measure import Distribution
from probinf.validity._betting import cell_count, cell_of, cell_probabilities, log_wealth_of_ranks

Statistics = Callable[[Any, Any], Float[Array, " S"]]
Simulate = Callable[[PRNGKeyArray, Any], Any]


class RankCheck(eqx.Module):
    """Ranks of R independent replicates in S statistics, each uniform on 0..outcomes-1 if the tested claim is true.

    Law: under the claim the replicates are independent and every column is uniform; columns of one replicate depend on
    each other, which `log_wealth` and `p_value` allow for.

    Raises: ValueError for fewer than two outcomes, no ranks, and ranks outside 0 to outcomes - 1.
    """

    ranks: Int[Array, "R S"] = eqx.field(converter=partial(whole, "ranks", axes="replicates statistics"))
    outcomes: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects what are no ranks."""
        count("outcomes", self.outcomes, least=2)
        whole("ranks", self.ranks, low=0, high=self.outcomes - 1)
        if not self.ranks.size:
            raise ValueError(f"a check of ranks needs at least one replicate, got shape {self.ranks.shape}")

    @eqx.filter_jit
    def log_wealth(self, *, cells: int = 16) -> Float[Array, " R"]:
        """Log-wealth after each replicate, the stake divided equally among the statistics.

        Law: P(it ever reaches log(1/alpha)) <= alpha, exactly, at any number of replicates and looks.
        """
        wealths = jax.vmap(lambda r: log_wealth_of_ranks(r, self.outcomes, cells=cells), in_axes=1, out_axes=1)(
            self.ranks
        )
        return jax.nn.logsumexp(wealths, axis=1) - jnp.log(jnp.asarray(wealths.shape[1], wealths.dtype))

    @eqx.filter_jit
    def p_value(self, *, cells: int = 16) -> Float[Array, ""]:
        """Bonferroni's p-value over the statistics, each by Pearson's chi-squared test on cells of ranks.

        Law: P(p_value <= alpha) <= alpha up to the chi-squared approximation, which is good where a cell expects five
        replicates or more; for one look, at a number of replicates fixed beforehand. `log_wealth` needs neither.
        """
        size = cell_count(self.outcomes, cells)
        expected = jnp.asarray(cell_probabilities(self.outcomes, size) * len(self.ranks))[:, None]
        counts = jnp.sum(jax.nn.one_hot(cell_of(self.ranks, self.outcomes, size), size, axis=1), axis=0)
        statistic = jnp.sum((counts - expected) ** 2 / expected, axis=0)
        p = jax.scipy.special.gammaincc((size - 1) / 2, statistic / 2)
        return jnp.minimum(1.0, jnp.min(p) * p.shape[0])

    def ecdf_difference(self) -> Float[Array, "S outcomes"]:
        """Empirical distribution function of the ranks minus the uniform one, at each rank, for plotting."""
        grid = jnp.arange(self.outcomes)
        below = jnp.mean((self.ranks[:, :, None] <= grid[None, None]).astype(float), axis=0)
        return below - ((grid + 1) / self.outcomes)[None, :]

    def ecdf_band(self, alpha: float = 0.05) -> float:
        """Half-width of a band around zero that all of `ecdf_difference` leaves with probability at most alpha.

        Source: Massart, Annals of Probability 18 (1990), with Bonferroni over the statistics; it holds at every number
        of replicates, and for discrete ranks too.
        """
        replicates, statistics = self.ranks.shape
        return float(np.sqrt(np.log(2 * statistics / alpha) / (2 * replicates)))


def rank_among(key: PRNGKeyArray, one: Float[Array, " S"], others: Float[Array, "others S"]) -> Int[Array, " S"]:
    """Rank of a draw's statistics among those of the other draws, from 0 to their number; ties broken at random.

    Law: if the draws are exchangeable, each rank is uniform. NaN counts as the smallest value, like -inf.
    """
    one, others = (jnp.where(jnp.isnan(x), -jnp.inf, x) for x in (one, others))
    less, equal = (jnp.sum(f(others, one[None]).astype(jnp.int32), axis=0) for f in (jnp.less, jnp.equal))
    places = jnp.arange(others.shape[0] + 1)
    return (less + choice(key, jnp.where(places[None] <= equal[:, None], 0.0, -jnp.inf))).astype(jnp.int32)


def entries(theta: Any, data: Any) -> Float[Array, " S"]:
    """Every number of a parameter, as one vector: the default statistics."""
    del data
    leaves = [jnp.ravel(jnp.asarray(leaf)).astype(float) for leaf in jax.tree.leaves(theta)]
    return jnp.concatenate(leaves)


class EntriesAndJoint(eqx.Module):
    """Every number of the parameter, and the log-density that the kernel for these data claims to keep.

    Each sees bugs that the other cannot: a walk that accepts all moves is reversible in the parameter alone.
    """

    kernel: Callable[[Any], Any]

    def __call__(self, theta: Any, data: Any) -> Float[Array, " S"]:
        """The statistics."""
        log_joint = self.kernel(data).invariant.log_density(theta)
        return jnp.concatenate([entries(theta, data), jnp.asarray(log_joint, float)[None]])


def draw_joint(key: PRNGKeyArray, prior: Distribution, simulate: Simulate) -> tuple[Any, Any]:
    """A parameter from the prior, and data given it."""
    prior_key, data_key = jax.random.split(key)
    theta = prior.sample(prior_key, ())
    return theta, simulate(data_key, theta)


def check_counts(**counts: tuple[int, int]) -> None:
    """Raises: ValueError for a count below the least that a test can use; each name is given a pair of both."""
    for name, (given, least) in counts.items():
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
            raise ValueError(f"the test needs {name} >= {least}, got {name}={given!r}")


@eqx.filter_jit
def replicated(one: Callable[[PRNGKeyArray], Array], key: PRNGKeyArray, replicates: int, batch: int = 4096) -> Array:
    """Results of independent replicates, in one compiled call that holds `batch` of them in memory at a time."""
    check_key(key)
    batch = min(batch, replicates)
    batches = -(-replicates // batch)
    keys = jax.random.split(key, batches * batch).reshape(batches, batch)
    results = jax.lax.map(jax.vmap(one), keys) if batches > 1 else jax.vmap(one)(keys[0])[None]
    return jax.tree.map(lambda leaf: leaf.reshape(batches * batch, *leaf.shape[2:])[:replicates], results)
