"""The mark of a sampler that has a law of its own."""

from __future__ import annotations

from typing import Any

from jaxtyping import PRNGKeyArray

from probinf._measure import Guarantee, Measure
from probinf._particles import Particles
from probinf._sampler import Sampler


class OwnTarget(Sampler):
    """Runs a sampler whose law is well defined, but is not that of the model it draws from.

    Law: that of `inner` (CHANGES_TARGET).
    """

    inner: Sampler

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Runs it."""
        return self.inner(key, cloud)

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Runs it in place."""
        return self.inner.consume(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        """That of the inner sampler, which is no one else's target."""
        return self.inner.meaning(m).claiming(Guarantee.CHANGES_TARGET)

    @property
    def traceable(self) -> bool:
        """Whether the inner sampler is."""
        return self.inner.traceable

    @property
    def lanewise(self) -> bool:
        """Whether the inner sampler is."""
        return self.inner.lanewise
