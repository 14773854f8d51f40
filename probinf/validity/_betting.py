"""Tests of known probabilities that may be looked at after every draw, and how soon they alarm."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinf._arguments import floating, real, whole


@eqx.filter_jit
def log_wealth_of_categories(x: Int[Array, " R"], log_p: Float[Array | np.ndarray, " K"]) -> Float[Array, " R"]:
    """Log-wealth, after each draw, of a gambler who bets that x is not distributed as p.

    Law: under independent x ~ p, p proportional to `exp(log_p)`, the wealth is a non-negative martingale of mean one,
    so by Ville's inequality P(it ever reaches 1/alpha) <= alpha, however often and whenever one looks. The stake on
    category k is the share of its earlier draws with half a draw added to each possible category. A draw of an
    impossible category, or outside 0..K-1, makes the wealth infinite.

    Source: Krichevsky and Trofimov, IEEE Transactions on Information Theory 27 (1981); Shafer, Journal of the Royal
    Statistical Society A 184 (2021).
    """
    x, log_p = whole("x", x, "draws"), jax.nn.log_softmax(real("log_p", log_p, "categories"))
    if not log_p.size:
        raise ValueError("a bet needs at least one category, got none")
    possible = log_p > -jnp.inf
    count, size = jnp.sum(possible), log_p.shape[0]

    def bet(seen: Array, value: Array) -> tuple[Array, Array]:
        k = jnp.clip(value, 0, size - 1)
        known = possible[k] & (value == k)
        stake = (seen[k] + 0.5) / (jnp.sum(seen) + 0.5 * count)
        gain = jnp.where(known, jnp.log(stake) - jnp.where(known, log_p[k], 0.0), jnp.inf)
        return seen.at[k].add(jnp.where(known, 1.0, 0.0)), gain

    _, gains = jax.lax.scan(bet, jnp.zeros(size, log_p.dtype), x)
    return jnp.cumsum(gains)


@eqx.filter_jit
def log_wealth_of_ranks(ranks: Int[Array, " R"], outcomes: int, *, cells: int = 16) -> Float[Array, " R"]:
    """Log-wealth, after each draw, of a gambler who bets that ranks are not uniform on 0..outcomes-1.

    Law: under independent uniform ranks a non-negative martingale of mean one: P(wealth ever >= 1/alpha) <= alpha. The
    ranks are put into at most `cells` cells of nearly equal width, whose exact probabilities are bet against.

    Raises: ValueError for fewer than two cells or outcomes.
    """
    ranks = whole("ranks", ranks, "draws")
    size = cell_count(outcomes, cells)
    return log_wealth_of_categories(cell_of(ranks, outcomes, size), np.log(cell_probabilities(outcomes, size)))


def samples_to_alarm(log_wealth: Float[Array, " R"], alpha: float = 1e-3) -> Int[Array, ""]:
    """After how many draws a wealth first reaches 1/alpha; -1 if it never does.

    Law: where the tested claim is true, P(the result is not -1) <= alpha, for any number of draws. A wealth that is NaN
    alarms: a claim that cannot be judged has not passed.
    """
    log_wealth, level = floating("log_wealth", log_wealth, "draws"), real("alpha", alpha, "", low=0, high=1)
    reached = ~(log_wealth < -jnp.log(level))
    return jnp.where(jnp.any(reached), jnp.argmax(reached) + 1, -1).astype(jnp.int32)


def cell_count(outcomes: int, cells: int) -> int:
    """How many cells `outcomes` ranks are put into.

    Raises: ValueError for fewer than two.
    """
    size = min(outcomes, cells)
    if size < 2:
        raise ValueError(f"a test of ranks needs at least two cells, got cells={cells} and {outcomes} outcomes")
    return size


def cell_of(ranks: Int[Array, "..."], outcomes: int, cells: int) -> Int[Array, "..."]:
    """The cell of each rank."""
    return (ranks * cells) // outcomes


def cell_probabilities(outcomes: int, cells: int) -> Float[np.ndarray, " cells"]:
    """Probability of each cell under uniform ranks."""
    return np.bincount((np.arange(outcomes) * cells) // outcomes, minlength=cells) / outcomes
