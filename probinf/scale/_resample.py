"""Global resampling of a cloud whose lanes lie on several devices.

Law: m -> m (PROPER), that of the resampling on one device, whose outcome for the same key this is.

Source: particle filters on several processors are the subject of Bolic, Djuric and Hong, IEEE Transactions on Signal
Processing 53 (2005); here every processor draws all ancestors alike, so that only values move.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Measure
from probinf._particles import Particles
from probinf._primitives import Resample
from probinf._primitives._resample import ResampleInfo, decide
from probinf._sampler import Sampler
from probinf.scale._lanes import Layout
from probinf.scale._ring import ring_take


class ShardedResample(Sampler):
    """A `Resample` over all lanes of all devices: the same ancestors, weights and evidence as on one device.

    Every device gathers the N log-weights (and log-twists), reads the same ancestors from them, and keeps its block of
    the outcome; values go around a ring and are never gathered. Per device: O(N) numbers for the weights while it
    decides, O(N / devices) values. Islands may lie across devices.

    Law: that of the `Resample`, m -> m (PROPER), since for each key the outcome is the same.
    """

    resample: Resample
    layout: Layout

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ResampleInfo]:
        """Resamples where the weights ask for it."""
        check_key(key)
        if cloud.n % self.layout.devices:
            # One particle, as `Choose` leaves it, is on every device.
            return self.resample(key, cloud)
        layout, whole, split = self.layout, self.layout.whole, self.layout.split
        active = None if self.resample.active is None else self.resample.active(cloud.values)
        arrays, fixed = eqx.partition(self.resample, eqx.is_array)

        # The partitioner gathers what enters as a whole, here the weights, and leaves the decision as it is written.
        @layout.by_hand((whole, whole, whole, whole, split), (split, whole))
        def run(arrays: Any, key: PRNGKeyArray, weights: Particles, active: Any, values: Any) -> tuple[Any, Any]:
            cloud, info = decide(eqx.combine(arrays, fixed), key, weights, active, False)
            values = jax.lax.cond(
                jnp.any(info.resampled),
                lambda values: ring_take(values, info.ancestors, layout.axis, layout.devices),
                lambda values: values,
                values,
            )
            lanes = layout.block((cloud.log_weights, cloud.log_twist, info.ancestors))
            return (values, lanes), (cloud.log_evidence, info.status, info.resampled, info.ess)

        blocks, numbers = run(arrays, key, cloud.replace(values=()), active, cloud.values)
        (values, (log_weights, log_twist, ancestors)), (log_evidence, status, resampled, ess) = blocks, numbers
        return Particles(values, log_weights, log_evidence, log_twist), ResampleInfo(status, ancestors, resampled, ess)

    def meaning(self, m: Measure) -> Measure:
        """That of the resampling."""
        return self.resample.meaning(m)

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False
