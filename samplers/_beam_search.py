"""Beam search over steps of reasoning: the best prefixes go on, and nothing else does."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Factor, Measure
from probinf._particles import Particles
from probinf._primitives import Draw, Reweight, Scan
from probinf._sampler import Sampler
from probinf.lm import writing
from probinf.samplers._prune import Prune, check_divides
from probinf.samplers._reasoning_filter import Writer
from probinf.samplers._selection import FinalReward
from probinf.samplers._weight_rules import Aggregate


def beam_search(writer: Writer, *, width: int = 4, aggregate: Aggregate = "last") -> Sampler:
    """Writes a step in each of N beams, keeps the best N / width of them, copies each `width` times, and goes on.

    Law: none claimed (HEURISTIC); all weights stay equal. A beam scores by the aggregate of its rewards; ties go to the
    first. A reward that is no number gives weight zero, and the run the status INVALID. Nothing is pruned after the
    last step, nor once all beams are finished: choose from the cloud with any rule.

    Finished beams keep their score and compete for the places: one that wins takes up `width` of them. The released
    code sets finished beams aside and fills up with unfinished ones until it has N of them; it keeps more finished
    solutions, and spends more tokens.

    Raises: ValueError for a cloud that `width` does not divide, before anything is written.

    Source: search-and-learn (search/beam_search.py), the baseline of arXiv 2502.01618.
    """
    return pruned_search(writer, Prune(FinalReward(aggregate), width, None, writing))


def pruned_search(writer: Writer, prune: Prune) -> Sampler:
    """Writes solutions step by step, and prunes between steps.

    Law: none claimed (HEURISTIC).
    """
    write = Draw(writer.step()) >> Reweight(Rewarded(prune.score))
    sampler = SharedOut(prune.island_size or prune.width) >> Draw(writer.start()) >> write
    if writer.max_steps == 1:
        return sampler
    return sampler >> Scan(prune >> write, length=writer.max_steps - 1)


class Rewarded(Factor):
    """One where a solution has a score, NaN (which `Reweight` reports, and makes zero) where it has none."""

    score: Factor
    name: str = eqx.field(static=True, default="rewarded")

    @property
    def traceable(self) -> bool:
        """Whether the score is."""
        return self.score.traceable

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Zero or NaN."""
        return self.log_density_lanes(jax.tree.map(lambda leaf: leaf[None], x), 1)[0]

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """Zero or NaN for each lane."""
        return jnp.where(jnp.isnan(self.score.log_density_lanes(values, n)), jnp.nan, 0.0)


class SharedOut(Sampler):
    """Refuses a cloud that groups of `size` lanes do not divide, before anything is spent on it.

    Law: m -> m (EXACT).

    Raises: ValueError when called on such a cloud.
    """

    size: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, tuple[()]]:
        """The same cloud."""
        check_key(key)
        check_divides(self.size, cloud.n)
        return cloud, ()

    def meaning(self, m: Measure) -> Measure:
        """The same measure m."""
        return m
