"""Knockout: candidates meet in pairs, and the one that most comparisons prefer goes on."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count, real
from probinf._measure import Guarantee
from probinf._particles import Particles
from probinf._primitives import Choose, Rule
from probinf._sampler import Sampler
from probinf.samplers._comparison import Comparison, games


def knockout(generator: Sampler, comparison: Comparison, *, votes: int = 3) -> Sampler:
    """Draws N candidates, and takes the winner of a tournament in which `votes` comparisons decide each match.

    Law: none claimed (HEURISTIC). Neighboring lanes meet; a lane without an opponent goes on; where votes are even the
    first of a pair goes on. Of independent candidates the order means nothing. N - 1 matches are played. How often it
    fails if each comparison errs with a chance below 1/2: see `knockout_failure_bound`.

    Raises: ValueError for fewer than one vote.

    Source: Chen et al., arXiv 2411.19477.
    """
    return generator >> Choose(Knockout(comparison, votes))


class Knockout(Rule):
    """The lane that wins all its matches.

    Law: none claimed (HEURISTIC). Values are all compared, dead lanes too: draw candidates with equal weights.
    """

    comparison: Comparison
    votes: int = eqx.field(static=True)
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def __check_init__(self):
        """Rejects a match that nobody judges."""
        if not is_count(self.votes):
            raise ValueError(f"a match needs at least one vote, got {self.votes}")

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane."""
        standing = jnp.arange(cloud.n)
        while len(standing) > 1:
            key, round_key = jax.random.split(key)
            pairs = len(standing) // 2
            first, second = standing[: 2 * pairs : 2], standing[1 : 2 * pairs : 2]
            won = games(round_key, self.comparison, cloud.values, first, second, self.votes)
            winners = jnp.where(self.first_goes_on(won), first, second)
            standing = jnp.concatenate([winners, standing[2 * pairs :]])
        return standing[0]

    def first_goes_on(self, won: Int[Array, " pairs"]) -> Bool[Array, " pairs"]:
        """Whether the first of each pair is ahead, of the votes it won."""
        return 2 * won >= self.votes


def knockout_failure_bound(
    n: int, votes: int, p_right: float | Float[Array, ""], accuracy: float | Float[Array, ""]
) -> Float[Array, ""]:
    """A bound on the chance that a knockout ends with a wrong candidate, at most one.

    (1 - p)^n + ceil(log2 n) exp(-2 K (a - 1/2)^2): none of n candidates is right, or one that is loses one of its
    matches, which by Hoeffding's inequality takes at least half of K votes against the odds.

    p_right: chance p that a candidate is right. accuracy: chance a that a comparison prefers right to wrong, on each
    pair; it must be above 1/2. This is what a verifier with a bias does not have.

    Raises: ValueError for fewer than one candidate or vote, a p_right outside [0, 1], and an accuracy outside (1/2, 1].

    Source: Chen et al., arXiv 2411.19477, theorem on the knockout algorithm, second-hand; shown by the argument above.
    """
    if not is_count(n) or not is_count(votes):
        raise ValueError(f"a knockout needs at least one candidate and one vote, got n={n} and votes={votes}")
    p_right, accuracy = real("p_right", p_right, ""), real("accuracy", accuracy, "")
    if not isinstance(p_right, Tracer) and not 0 <= float(p_right) <= 1:
        raise ValueError(f"p_right is a probability and lies in [0, 1], got {float(p_right)}")
    if not isinstance(accuracy, Tracer) and not 0.5 < float(accuracy) <= 1:
        raise ValueError(
            f"the bound needs comparisons that are right more often than not, up to always, got {float(accuracy)}"
        )
    p, a = p_right, accuracy
    lost = math.ceil(math.log2(n)) * jnp.exp(-2 * votes * (a - 0.5) ** 2)
    return jnp.minimum(jnp.exp(n * jnp.log1p(-p)) + lost, 1.0)
