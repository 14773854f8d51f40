"""Resample: weights become copies, and their mass is banked as evidence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Guarantee, MeaningError, Measure
from probinf._particles import Particles, add_log, log_mean_exp, take_lanes
from probinf._primitives._lanes import on_lanes
from probinf._sampler import Sampler
from probinf._status import Status, status_if
from probinf.resampling import Scheme, Systematic, adaptive_ancestors, effective_sample_size
from probinf.resampling._weights import relative_weights

# Fewer living lanes may well have one that holds nearly all of the weight.
_FEW = 5
# The share of the weight at which one lane decides the estimate.
_SHARE = 0.9


class ResampleInfo(NamedTuple):
    """`ancestors`: where each lane came from; None in the info of a `Scan`, unless recorded there. Per island: whether
    it resampled, and its effective sample size.
    """

    status: Int[Array, ""]
    ancestors: Any
    resampled: Bool[Array, " islands"]
    ess: Float[Array, " islands"]


class Resample(Sampler):
    """Replaces the cloud by copies of its lanes, chosen by weight (times twist), of equal selection weight.

    Law: m -> m (PROPER): E[copies of lane i] = N w_i, and the mean weight moves into `log_evidence`. With `ess`, only
    where the effective sample size is below `ess * N`; that keeps the law exactly as well. A dead cloud is left as it
    is. Under a twist g, selection is by w * g and survivors keep the weight 1 / g.

    A weight that is NaN or +inf counts as zero, with status INVALID. Where one of five or more living lanes holds more
    than nine tenths of the weight, the mass that moves into `log_evidence` is one draw's, and the status is COLLAPSED.

    Derivatives: ancestors have none, so the survivors carry that of the logarithm of the weight they were chosen by:
    the derivative of `exp(log_z)` is unbiased for that of the mass, and of `log_z` consistent, where draws and
    potentials are differentiable.

    With `islands` > 1 the cloud is that many independent filters of N / islands lanes each, side by side in one batch:
    lanes are replaced within their island only, and an island's mass stays in its own weights. `active` maps the values
    to the lanes that still change; an island without one is left alone, as a filter by itself would have ended.

    Raises: ValueError where `ess` is outside (0, 1], or the islands do not divide the cloud.

    The derivatives are those of Scibior and Wood, arXiv 2106.10314. Islands are those of Verge et al., "On parallel
    implementation of sequential Monte Carlo methods", arXiv 1306.3911."""

    scheme: Scheme = Systematic()
    ess: float | None = eqx.field(static=True, default=None)
    islands: int = eqx.field(static=True, default=1)
    active: Callable[[Any], Bool[Array, " N"]] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        """Rejects a threshold that never or always triggers by accident."""
        if self.ess is not None and not 0.0 < self.ess <= 1.0:
            raise ValueError(f"ess is a fraction of the number of particles in (0, 1], got {self.ess}")
        if not is_count(self.islands):
            raise ValueError(f"a cloud has at least one island, got islands={self.islands}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ResampleInfo]:
        """Resamples where the weights ask for it."""
        return self._apply(key, cloud)

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ResampleInfo]:
        """Resamples in place."""
        return self._apply(key, cloud, in_place=True)

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, ResampleInfo]:
        """Lane 0 survives in lane 0; the others follow the scheme's law given that.

        Raises: MeaningError for islands: only one of them could hold the reference.
        """
        del reference
        if self.islands > 1:
            raise MeaningError("conditional SMC holds one reference: use islands=1")
        return self._apply(key, cloud, conditional=True)

    def _apply(
        self, key: PRNGKeyArray, cloud: Particles, *, conditional: bool = False, in_place: bool = False
    ) -> tuple[Particles, ResampleInfo]:
        check_key(key)
        if cloud.n % self.islands:
            raise ValueError(f"{self.islands} islands do not divide a cloud of {cloud.n} lanes")
        active = None if self.active is None else self.active(cloud.values)
        decision = decide(self, key, cloud.replace(values=()), active, conditional)

        def survivors(cloud: Particles) -> Particles:
            values = on_lanes(_Take(decision.info.ancestors), cloud.values, in_place=in_place)
            return decision.cloud.replace(values=values)

        if self.always:
            # What is not resampled, such as a dead cloud, has its own lanes for ancestors: no branch is needed, the
            # gather can be fused, and `jax.vmap` has no two outcomes to choose from.
            return survivors(cloud), decision.info
        any_resampled = jnp.any(decision.info.resampled)
        if isinstance(any_resampled, Tracer):
            # The gather stands inside the branch: a cloud that is not resampled is not copied.
            keep = lambda cloud: decision.cloud.replace(values=cloud.values)  # noqa: E731
            return jax.lax.cond(any_resampled, survivors, keep, cloud), decision.info
        return (survivors(cloud) if any_resampled else decision.cloud.replace(values=cloud.values)), decision.info

    @property
    def always(self) -> bool:
        """Whether every cloud that has weight and still changes is resampled."""
        return self.ess is None

    def meaning(self, m: Measure) -> Measure:
        """m, through the weights."""
        return m.claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        """False: lanes compete."""
        return False


class _Take(eqx.Module):
    """The gather of lanes, as a function of the lanes."""

    ancestors: Int[Array, " N"]

    def __call__(self, values: Any) -> Any:
        return take_lanes(values, self.ancestors)


class Decision(NamedTuple):
    """The weights of the cloud after resampling (its values are moved only if need be), and the report."""

    cloud: Particles
    info: ResampleInfo


# One compiled program for a run that the host drives; inside a trace it is inlined.
@eqx.filter_jit
def decide(
    sampler: Resample, key: PRNGKeyArray, cloud: Particles, active: Bool[Array, " N"] | None, conditional: bool
) -> Decision:
    """Who survives and with what weight, from the weights alone: moving the values is left to the caller."""
    grid = (sampler.islands, cloud.n // sampler.islands)
    selection = add_log(cloud.log_weights, cloud.log_twist)
    invalid = jnp.isnan(selection) | (selection == jnp.inf)
    cloud = cloud.replace(log_weights=jnp.where(invalid, -jnp.inf, cloud.log_weights))
    selection = jnp.where(invalid, -jnp.inf, selection).reshape(grid)
    # One island draws with the key itself, so that it is the plain filter to the last bit.
    keys = key[None] if sampler.islands == 1 else jax.random.split(key, sampler.islands)
    draw = functools.partial(_ancestors, sampler.scheme, sampler.ess, conditional)
    ancestors, resampled = draw(keys[0], selection[0]) if sampler.islands == 1 else jax.vmap(draw)(keys, selection)
    resampled = jnp.reshape(resampled, (-1,)) & (jnp.max(selection, axis=1) > -jnp.inf)
    if active is not None:
        resampled = resampled & jnp.any(active.reshape(grid), axis=1)
    ancestors = ancestors.reshape(grid) + (jnp.arange(grid[0]) * grid[1])[:, None]
    ancestors = jnp.where(resampled[:, None], ancestors, jnp.arange(cloud.n).reshape(grid)).reshape(-1)
    log_mass = jax.vmap(log_mean_exp)(selection)
    # Most clouds carry no twist, and then there is nothing to gather.
    twisted = jnp.any(cloud.log_twist != 0)
    log_twist = jax.lax.cond(twisted, lambda: jnp.take(cloud.log_twist, ancestors), lambda: cloud.log_twist)
    banked = log_mass[0] if sampler.islands == 1 else jnp.zeros_like(log_mass[0])
    kept = jnp.zeros_like(log_mass) if sampler.islands == 1 else log_mass
    repaid = jnp.repeat(kept, grid[1]) - log_twist + jnp.take(_score(selection, log_mass), ancestors)
    if conditional:
        # Only a held reference can survive without weight or under a twist of zero; it stays dead.
        repaid = jnp.where(jnp.take(selection.reshape(-1), ancestors) > -jnp.inf, repaid, -jnp.inf)
    log_weights = jnp.where(jnp.repeat(resampled, grid[1]), repaid, cloud.log_weights)
    weighed = Particles((), log_weights, cloud.log_evidence + jnp.where(resampled[0], banked, 0.0), log_twist)
    ess = jax.vmap(effective_sample_size)(selection)
    status = jnp.maximum(status_if(invalid, Status.INVALID), jnp.max(jax.vmap(weight_status)(selection)))
    return Decision(weighed, ResampleInfo(status, ancestors, resampled, ess))


def weight_status(log_weights: Float[Array, " N"]) -> Int[Array, ""]:
    """COLLAPSED where one of `_FEW` or more living lanes holds nearly all of the weight, else OK."""
    weights = relative_weights(log_weights)
    crowd = jnp.sum(log_weights > -jnp.inf) >= _FEW
    return status_if(crowd & (_SHARE * jnp.sum(weights) < 1.0), Status.COLLAPSED)


def _score(selection: Float[Array, "islands L"], log_mass: Float[Array, " islands"]) -> Float[Array, " N"]:
    """Zero, with the derivative of the logarithm of each lane's chance to be chosen."""
    living = selection > -jnp.inf
    log_chance = jnp.where(living, selection, 0.0) - jnp.where(log_mass > -jnp.inf, log_mass, 0.0)[:, None]
    return jnp.where(living, log_chance - jax.lax.stop_gradient(log_chance), 0.0).reshape(-1)


def _ancestors(
    scheme: Scheme, ess: float | None, conditional: bool, key: PRNGKeyArray, selection: Float[Array, " L"]
) -> tuple[Int[Array, " L"], Bool[Array, ""]]:
    if ess is None:
        draw = scheme.conditional if conditional else scheme
        return draw(key, selection), jnp.asarray(True)
    return adaptive_ancestors(scheme, ess, key, selection, conditional=conditional)
