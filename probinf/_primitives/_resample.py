"""Resample: weights become copies, and their mass is banked as evidence."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Guarantee, Measure
from probinf._particles import Particles, add_log, log_mean_exp, take_lanes
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.resampling import Scheme, Systematic, adaptive_ancestors, effective_sample_size


class ResampleInfo(NamedTuple):
    """`ancestors`: where each lane came from; `ess`: effective sample size of the selection weights before."""

    status: Int[Array, ""]
    ancestors: Int[Array, " N"]
    resampled: Bool[Array, ""]
    ess: Float[Array, ""]


class Resample(Sampler):
    """Replaces the cloud by copies of its lanes, chosen by weight (times twist), of equal selection weight.

    Law: m -> m (PROPER): E[copies of lane i] = N w_i, and the mean weight moves into `log_evidence`. With `ess`, only
    where the effective sample size is below `ess * N`; that keeps the law exactly as well. A dead cloud is left as it
    is. Under a twist g, selection is by w * g and survivors keep the weight 1 / g.

    Raises: ValueError where `ess` is outside (0, 1].
    """

    scheme: Scheme = Systematic()
    ess: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        """Rejects a threshold that never or always triggers by accident."""
        if self.ess is not None and not 0.0 < self.ess <= 1.0:
            raise ValueError(f"ess is a fraction of the number of particles in (0, 1], got {self.ess}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ResampleInfo]:
        """Resamples where the weights ask for it."""
        return self._apply(key, cloud, conditional=False)

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, ResampleInfo]:
        """Lane 0 survives in lane 0; the others follow the scheme's law given that."""
        del reference
        return self._apply(key, cloud, conditional=True)

    def _apply(self, key: PRNGKeyArray, cloud: Particles, *, conditional: bool) -> tuple[Particles, ResampleInfo]:
        check_key(key)
        selection = add_log(cloud.log_weights, cloud.log_twist)
        ancestors, resampled = _decide(self.scheme, self.ess, key, selection, conditional)
        alive = jnp.max(selection) > -jnp.inf
        resampled = resampled & alive
        info = ResampleInfo(status_if(False, Status.OK), ancestors, resampled, effective_sample_size(selection))

        def survivors(cloud: Particles) -> Particles:
            log_twist = jnp.take(cloud.log_twist, ancestors)
            return Particles(
                take_lanes(cloud.values, ancestors),
                -log_twist,
                cloud.log_evidence + log_mean_exp(selection),
                log_twist,
            )

        if isinstance(resampled, jax.core.Tracer):
            # The gather stands inside the branch: a cloud that is not resampled is not copied.
            return jax.lax.cond(resampled, survivors, lambda cloud: cloud, cloud), info
        return (survivors(cloud) if resampled else cloud), info

    def meaning(self, m: Measure) -> Measure:
        """m, through the weights."""
        return m.claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False


# One compiled program for a run that the host drives; inside a trace it is inlined.
@eqx.filter_jit
def _decide(
    scheme: Scheme, ess: float | None, key: PRNGKeyArray, selection: Float[Array, " N"], conditional: bool
) -> tuple[Int[Array, " N"], Bool[Array, ""]]:
    if ess is None:
        draw = scheme.conditional if conditional else scheme
        return draw(key, selection), jnp.asarray(True)
    return adaptive_ancestors(scheme, ess, key, selection, conditional=conditional)
