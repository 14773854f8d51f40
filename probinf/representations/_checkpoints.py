"""A traced program as a suspended one: a population of traces that is weighed checkpoint by checkpoint.

Law: finished, it means weight * Lebesgue measure on traces, whatever happens at the checkpoints.

Source: arXiv 1711.03219, the suspended representation over the traced one.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._measure import Measure
from probinf._particles import Particles
from probinf._primitives import Draw, Reweight, Scan
from probinf._sampler import Info, Sampler
from probinf.representations._suspended import Suspended
from probinf.representations._traced import Traced, TraceWeight, UniformTrace


class Segment(Sampler):
    """The part of a traced program that leads up to a checkpoint, on traces: it multiplies by the scores in between.

    Law: m -> m * weight(checkpoint) / weight(checkpoint - 1), and m * weight(0) for the first (PROPER).
    """

    traced: Traced
    checkpoint: Int[Array, ""] = eqx.field(converter=lambda c: jnp.asarray(c, jnp.int32))
    first: bool = eqx.field(static=True, default=False)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Re-runs the program on each trace."""
        return Reweight(self.scores)(key, cloud)

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: object) -> tuple[Particles, Info]:
        """Weights do not depend on which lane is held."""
        del reference
        return self(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        """The product with the scores in between."""
        return Reweight(self.scores).meaning(m)

    @property
    def scores(self) -> Measure:
        """The product of the scores in between, as a factor."""
        upto = TraceWeight(self.traced, self.checkpoint)
        return Measure((upto,), (1.0,)) if self.first else upto / TraceWeight(self.traced, self.checkpoint - 1)


class _Segments(eqx.Module):
    """The segment that leads up to a checkpoint."""

    traced: Traced

    def __call__(self, checkpoint: Int[Array, ""]) -> Segment:
        return Segment(self.traced, checkpoint)


def checkpoints(traced: Traced) -> Suspended:
    """Draws a trace and weighs it up to the first checkpoint; the segments up to the others are the rows of a scan.

    Law: m -> Lebesgue measure * weight of the whole program (PROPER).
    """
    head = Draw(UniformTrace(traced.length)) >> Segment(traced, 0, first=True)
    if traced.checkpoints == 1:
        return Suspended(head)
    return Suspended(head, (Scan(_Segments(traced), jnp.arange(1, traced.checkpoints, dtype=jnp.int32)),))
