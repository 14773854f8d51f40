"""A*-decoding: the partial solution whose reward has fallen least on its way goes on next."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Guarantee, Measure
from probinf._particles import Particles, take_lanes
from probinf._primitives import Draw
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.lm import History, Reasoning, Solutions, history_of


def a_star_decoding(writer: Reasoning, *, branching: int = 4) -> Sampler:
    """Expands the partial solution of least cost, until one that is finished has the least.

    Law: none claimed (HEURISTIC). With h = 1 - r for the reward r of the latest step, and h = 0 where nothing is
    written, a step costs the decrease of h, max(0, h - h'), and a solution f = g + h, where g sums up the costs. So h
    is consistent: f is the sum of the increases of h on the way, and never falls. Therefore the first finished solution
    that is taken has the least f of all that follow from what was drawn: one with less would have a beginning with
    less, which would have been taken before. That is a statement on the tree that was drawn; of the law of the solution
    nothing is claimed. (Second-hand reports have it that a step costs the increase of h; then f falls where a reward
    rises, and the first finished solution need not have the least.)

    An expansion draws `branching` next steps, which may be equal. The frontier is the cloud: N lanes are a budget of
    (N - 1) / branching expansions, after which the finished solution of least cost is taken (status BUDGET). Where none
    is finished the lane abstains with weight zero. Of equal costs the least h is taken, then the lane that was written
    first. A reward that is no number costs more than any other, and makes the status INVALID.

    A round evaluates the model on all lanes, though only the new ones write; the ledger counts what was written.

    Raises: ValueError for a branching below one, and, when called, for a cloud without room for one expansion;
    TypeError for a writer that runs on the host.

    Source: arXiv 2505.13672, whose heuristic this is; the cost is the least that makes it consistent.
    """
    return Draw(writer.start()) >> AStarSearch(writer, branching)


class AStarInfo(NamedTuple):
    """`expansions`: how many solutions were expanded; `cost`: f of the one that was taken."""

    status: Int[Array, ""]
    expansions: Int[Array, ""]
    cost: Float[Array, ""]


class Frontier(NamedTuple):
    """All solutions so far; `open` are those that may be taken next."""

    values: Solutions
    open: Bool[Array, " n"]
    expansions: Int[Array, ""]


class AStarSearch(Sampler):
    """The search of `a_star_decoding`, from a cloud of solutions of which nothing is written.

    Law: none claimed (HEURISTIC).
    """

    writer: Reasoning
    branching: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects what cannot be searched."""
        if not is_count(self.branching):
            raise ValueError(f"an expansion draws at least one next step, got branching={self.branching}")
        if not self.writer.traceable:
            raise TypeError("A*-decoding runs on the device: the writer's reward must be traceable")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, AStarInfo]:
        """The solution that was found, as a cloud of one."""
        check_key(key)
        frontier = self.frontier(key, cloud)
        costs = self.costs(frontier.values)
        finished = frontier.open & frontier.values.generation.finished
        index = _least(costs, finished)
        found = jnp.any(finished)
        log_z = cloud.log_z
        chosen = Particles(
            take_lanes(frontier.values, index[None]),
            jnp.where(found & (log_z > -jnp.inf), 0.0, -jnp.inf).astype(log_z.dtype)[None],
            jnp.where(log_z > -jnp.inf, log_z, 0.0),
            jnp.zeros(1, cloud.log_twist.dtype),
        )
        status = jnp.maximum(
            status_if(~self.next_open(frontier)[1], Status.BUDGET), status_if(~found, Status.ABSTAINED)
        )
        status = jnp.maximum(status, status_if(jnp.isnan(costs[0]), Status.INVALID))
        return chosen, AStarInfo(status, frontier.expansions, costs[0][index])

    def frontier(self, key: PRNGKeyArray, cloud: Particles) -> Frontier:
        """All that was written when the search ended.

        Raises: ValueError for a cloud without room for one expansion.
        """
        expansions = (cloud.n - 1) // self.branching
        if expansions < 1:
            raise ValueError(f"one expansion needs {self.branching + 1} lanes, got n={cloud.n}: raise n")
        start = Frontier(cloud.values, jnp.arange(cloud.n) == 0, jnp.zeros((), jnp.int32))

        def round(frontier: Frontier, at: tuple[Int[Array, ""], PRNGKeyArray]) -> tuple[Frontier, None]:
            index, done = self.next_open(frontier)
            expand = lambda frontier: self._expanded(frontier, index, *at)  # noqa: E731
            return jax.lax.cond(done, lambda frontier: frontier, expand, frontier), None

        keys = jax.random.split(key, expansions)
        return jax.lax.scan(round, start, (jnp.arange(expansions), keys))[0]

    def costs(self, values: Solutions) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """f, by which solutions are taken, and h, which decides between equal ones; NaN for a text drawn from NaN."""
        known = ~jnp.isnan(values.generation.log_prob)
        f, h = path_cost(history_of(values))
        return jnp.where(known, f, jnp.nan), jnp.where(known, h, jnp.nan)

    def next_open(self, frontier: Frontier) -> tuple[Int[Array, ""], Bool[Array, ""]]:
        """The open solution of least cost, and whether it is finished."""
        index = _least(self.costs(frontier.values), frontier.open)
        return index, frontier.values.generation.finished[index]

    def _expanded(
        self, frontier: Frontier, index: Int[Array, ""], round: Int[Array, ""], key: PRNGKeyArray
    ) -> Frontier:
        """The frontier after drawing next steps of one solution into the next free lanes."""
        n = len(frontier.open)
        lanes = jnp.arange(n)
        first = 1 + round * self.branching
        fresh = (lanes >= first) & (lanes < first + self.branching)
        values = take_lanes(frontier.values, jnp.where(fresh, index, lanes))
        # Only the new lanes write: for one step the others are said to be finished.
        finished = values.generation.finished
        values = eqx.tree_at(lambda s: s.generation.finished, values, finished | ~fresh)
        values = self.writer.step().sample_lanes(key, values, n)
        finished = jnp.where(fresh, values.generation.finished, finished)
        values = eqx.tree_at(lambda s: s.generation.finished, values, finished)
        return Frontier(values, (frontier.open & (lanes != index)) | fresh, frontier.expansions + 1)

    def meaning(self, m: Measure) -> Measure:
        """M with the steps that were written, of which nothing is claimed."""
        return (m * self.writer.step()).claiming(Guarantee.HEURISTIC)

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False


def path_cost(history: History) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """F and h of each solution: the increases of h = 1 - r over its steps, and h after the last; NaN with a reward.

    Law: f is non-decreasing along a path.
    """
    h = jax.nn.sigmoid(-history.log_odds)
    written = jnp.arange(h.shape[1])[None, :] < history.steps[:, None]
    before = jnp.pad(h[:, :-1], ((0, 0), (1, 0)))
    f = jnp.sum(jnp.where(written, jnp.maximum(h - before, 0.0), 0.0), axis=1)
    latest = jnp.arange(h.shape[1])[None, :] == history.steps[:, None] - 1
    return f, jnp.sum(jnp.where(latest, h, 0.0), axis=1)


def _least(costs: tuple[Float[Array, " n"], Float[Array, " n"]], eligible: Bool[Array, " n"]) -> Int[Array, ""]:
    """The first eligible lane of the least f, and of those of the least h; a NaN comes last of the eligible."""
    number = lambda x: jnp.where(jnp.isnan(x), jnp.finfo(x.dtype).max, x)  # noqa: E731
    f, h = map(number, costs)
    f = jnp.where(eligible, f, jnp.inf)
    return jnp.argmin(jnp.where(f == jnp.min(f), h, jnp.inf))
