"""League: each candidate plays against others drawn at random, and the one that wins most often is taken."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count, real
from probinf._choice import choice
from probinf._measure import Guarantee
from probinf._particles import Particles
from probinf._primitives import Choose, Rule
from probinf._sampler import Sampler
from probinf.samplers._comparison import Comparison, games


def league(generator: Sampler, comparison: Comparison, *, rounds: int = 3) -> Sampler:
    """Draws N candidates, lets each play `rounds` games against others, and takes the one that won most of its own.

    Law: none claimed (HEURISTIC). Each opponent is drawn uniformly among the other lanes, with replacement; ties go to
    the first lane. N * rounds comparisons are asked for. How often it fails: see `league_failure_bound`.

    Raises: ValueError for fewer than one round.

    Source: Chen et al., arXiv 2411.19477.
    """
    return generator >> Choose(League(comparison, rounds))


class League(Rule):
    """The lane that wins most of its games.

    Law: none claimed (HEURISTIC). Values are all compared, dead lanes too: draw candidates with equal weights.
    """

    comparison: Comparison
    rounds: int = eqx.field(static=True)
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.HEURISTIC, init=False)

    def __check_init__(self):
        """Rejects a league without games."""
        if not is_count(self.rounds):
            raise ValueError(f"a league plays at least one round, got {self.rounds}")

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """The lane."""
        n, rounds = cloud.n, self.rounds
        if n == 1:
            return jnp.zeros((), jnp.int32)
        opponent_key, game_key = jax.random.split(key)
        players = jnp.repeat(jnp.arange(n), rounds)
        won = games(game_key, self.comparison, cloud.values, players, self.opponents(opponent_key, players, n), 1)
        return jnp.argmax(jnp.sum(won.reshape(n, rounds), axis=1))

    def opponents(self, key: PRNGKeyArray, players: Int[Array, " games"], n: int) -> Int[Array, " games"]:
        """One of the n - 1 others for each game: the own lane is stepped over."""
        drawn = choice(key, jnp.zeros((len(players), n - 1)))
        return drawn + (drawn >= players)


def league_failure_bound(
    n: int, rounds: int, p_strong: float | Float[Array, ""], gap: float | Float[Array, ""]
) -> Float[Array, ""]:
    """A bound on the chance that a league ends with a wrong candidate, at most one.

    (1 - p)^n + 2 n exp(-K D^2 / 8) + 2 n exp(-(n - 1) D^2 / 8): no candidate is strong; or some share of games won, of
    K, is D / 4 off its expectation against the candidates that were drawn; or that is D / 4 off the expectation
    against a new candidate. Both by Hoeffding's inequality; otherwise every strong candidate is ahead of every wrong
    one.

    p_strong: chance p that a candidate is right and strong: it wins against a new candidate with a chance that exceeds
    that of any wrong candidate by at least `gap` = D.

    Raises: ValueError for fewer than two candidates or one round, a p_strong outside [0, 1], and a gap outside (0, 1].

    Source: Chen et al., arXiv 2411.19477, theorem on the league algorithm, second-hand; shown by the argument above.
    """
    if not is_count(n, 2) or not is_count(rounds):
        raise ValueError(f"a league needs at least two candidates and one round, got n={n} and rounds={rounds}")
    p_strong, gap = real("p_strong", p_strong, ""), real("gap", gap, "")
    if not isinstance(p_strong, Tracer) and not 0 <= float(p_strong) <= 1:
        raise ValueError(f"p_strong is a probability and lies in [0, 1], got {float(p_strong)}")
    if not isinstance(gap, Tracer) and not 0 < float(gap) <= 1:
        raise ValueError(f"the bound needs a gap in (0, 1] between strong and wrong candidates, got {float(gap)}")
    p, d = p_strong, gap
    off = jnp.exp(-rounds * d**2 / 8) + jnp.exp(-(n - 1) * d**2 / 8)
    return jnp.minimum(jnp.exp(n * jnp.log1p(-p)) + 2 * n * off, 1.0)
