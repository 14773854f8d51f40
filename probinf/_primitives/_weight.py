"""Draw, Reweight and Twist: a measure grows by a factor."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Distribution, Factor, Guarantee, Measure, as_distribution, as_factor
from probinf._particles import Particles, add_log
from probinf._primitives._lanes import on_lanes
from probinf._sampler import Sampler
from probinf._status import Status, status_if


class DrawInfo(NamedTuple):
    """`invalid`: how many living lanes drew from NaN, and were given weight zero."""

    status: Int[Array, ""]
    invalid: Int[Array, ""]


class ReweightInfo(NamedTuple):
    """`invalid`: how many lanes got NaN or +inf and were given weight zero."""

    status: Int[Array, ""]
    invalid: Int[Array, ""]


class Draw(Sampler):
    """Extends each lane by a draw from a distribution.

    Law: m -> m * distribution (EXACT). Takes a `Distribution`, or an object with `sample(key)` and `log_prob(x)` such
    as numpyro's. A lane whose draw holds NaN, or comes from logits that do, gets weight zero and the run the status
    INVALID.

    Raises: TypeError for anything else.
    """

    distribution: Distribution = eqx.field(converter=as_distribution)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, DrawInfo]:
        """One draw per lane."""
        return self._draw(key, cloud, in_place=False)

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, DrawInfo]:
        """One draw per lane, in place."""
        return self._draw(key, cloud, in_place=True)

    def _draw(self, key: PRNGKeyArray, cloud: Particles, *, in_place: bool) -> tuple[Particles, DrawInfo]:
        check_key(key)
        extend = _Extend(self.distribution, key, cloud.n)
        values = on_lanes(extend, cloud.values, in_place=in_place) if self.traceable else extend(cloud.values)
        return checked_draw(self.distribution, cloud.replace(values=values))

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, DrawInfo]:
        """One draw per lane, where lane 0 becomes the reference as it was at this draw."""
        check_key(key)
        values = self.distribution.retrace_lanes(key, cloud.values, cloud.n, reference)
        return checked_draw(self.distribution, cloud.replace(values=values))

    def meaning(self, m: Measure) -> Measure:
        """The product m * distribution."""
        return m * self.distribution

    @property
    def traceable(self) -> bool:
        """Whether the distribution is."""
        return self.distribution.traceable


def checked_draw(distribution: Distribution, cloud: Particles) -> tuple[Particles, DrawInfo]:
    """The cloud that the distribution has extended, without the weight of lanes that drew from NaN, and how many."""
    undefined = distribution.undefined_lanes(cloud.values, cloud.n)
    counted = jnp.sum(undefined & (cloud.log_weights > -jnp.inf)).astype(jnp.int32)
    log_weights = jnp.where(undefined, -jnp.inf, cloud.log_weights)
    return cloud.replace(log_weights=log_weights), DrawInfo(status_if(counted > 0, Status.INVALID), counted)


class _Extend(eqx.Module):
    """A draw for each lane, as a function of the lanes."""

    distribution: Distribution
    key: PRNGKeyArray
    n: int = eqx.field(static=True)

    def __call__(self, values: Any) -> Any:
        return self.distribution.sample_lanes(self.key, values, self.n)


class Reweight(Sampler):
    """Multiplies each weight by a potential of the lane's value.

    Law: m -> m * potential (PROPER). Takes a factor, a measure such as `target / proposal`, or a function of one value
    that returns a log-weight. NaN or +inf from the potential gives that lane weight zero and the run status INVALID.

    Raises: TypeError for anything else.
    """

    potential: Factor = eqx.field(converter=as_factor)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ReweightInfo]:
        """Adds log-potentials to log-weights; the key is not used."""
        check_key(key)
        log_g, info = checked_log_density(self.potential, cloud)
        return cloud.replace(log_weights=add_log(cloud.log_weights, log_g)), info

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, ReweightInfo]:
        """Weights do not depend on which lane is held."""
        del reference
        return self(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        """The product m * potential."""
        return (m * self.potential).claiming(Guarantee.PROPER)

    @property
    def traceable(self) -> bool:
        """Whether the potential is."""
        return self.potential.traceable


class Twist(Sampler):
    """Tells the next resampling which lanes look promising, without changing what the cloud means.

    Law: m -> m (EXACT). `Resample` selects by weight times twist and divides the twist out of the survivors' weights,
    so evidence and target stay those of m at every step: with factors g_1, g_2, ... the selection weights telescope as
    g_t / g_{t-1}, and nothing is left to divide out at the end. A twist that vanishes where m's later factors do not
    loses mass: it must be positive wherever the final target is.

    Source: twisted SMC, arXiv 2404.17546.
    """

    twist: Factor = eqx.field(converter=as_factor)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ReweightInfo]:
        """Evaluates the twist; the key is not used."""
        check_key(key)
        log_g, info = checked_log_density(self.twist, cloud)
        return cloud.replace(log_twist=log_g), info

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, ReweightInfo]:
        """Twists do not depend on which lane is held."""
        del reference
        return self(key, cloud)

    def meaning(self, m: Measure) -> Measure:
        """The same measure m."""
        return m

    @property
    def traceable(self) -> bool:
        """Whether the twist is."""
        return self.twist.traceable


def checked_log_density(factor: Factor, cloud: Particles) -> tuple[Float[Array, " N"], ReweightInfo]:
    """Log-density of each lane, with NaN and +inf replaced by -inf and counted.

    Raises: ValueError where the factor does not give one number per lane; TypeError where it gives booleans or complex
    numbers.
    """
    log_g = jnp.asarray(factor.log_density_lanes(cloud.values, cloud.n))
    if log_g.shape != (cloud.n,):
        raise ValueError(
            f"potential '{factor.name}' gave shape {log_g.shape} for {cloud.n} lanes: return one log-weight per value"
        )
    if log_g.dtype == jnp.bool_:
        raise TypeError(
            f"potential '{factor.name}' gave a boolean, not a log-weight: use jnp.where(condition, 0.0, -jnp.inf)"
        )
    if jnp.issubdtype(log_g.dtype, jnp.complexfloating):
        raise TypeError(f"potential '{factor.name}' gave complex numbers: return one real log-weight")
    log_g = log_g.astype(cloud.log_weights.dtype)
    invalid = jnp.isnan(log_g) | (log_g == jnp.inf)
    # A lane that is already dead may well be outside the potential's domain.
    counted = jnp.sum(invalid & (cloud.log_weights > -jnp.inf)).astype(jnp.int32)
    return jnp.where(invalid, -jnp.inf, log_g), ReweightInfo(status_if(counted > 0, Status.INVALID), counted)
