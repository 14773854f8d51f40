"""Single-site trace Metropolis-Hastings.

Law: keeps weight * Lebesgue measure on traces. It is Green's theorem with the involution that exchanges one coordinate
with a fresh one: the ratio is w(t') n / (w(t) n'), n and n' being how many coordinates the two runs use.

Source: the trace Metropolis-Hastings of arXiv 1711.03219.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._measure import Measure
from probinf._sampler import Kernel
from probinf.kernels import Auxiliary, Involutive
from probinf.representations._traced import Traced, TraceWeight, UniformTrace


class TraceMetropolisInfo(NamedTuple):
    """`accepted`: whether the new run was taken; `log_ratio`: log of w(t') n / (w(t) n')."""

    accepted: Bool[Array, ""]
    log_ratio: Float[Array, ""]


class TraceMetropolis(Kernel):
    """Redraws one coordinate of the trace, runs the program again, and accepts by weight and by number of coordinates.

    Law: reversible steps for weight(checkpoint) * Lebesgue measure on whole traces. First the coordinates beyond those
    in use are drawn afresh, which nothing depends on; then a site i < n is drawn uniformly and coordinate i is
    exchanged with a fresh uniform. The new run reuses the old coordinates by position, finds fresh ones where it needs
    more, and leaves a surplus behind. A site is drawn with probability 1 / n on the way and 1 / n' on the way back:
    that is the factor n / n'.

    `checkpoint` is the point of the program, counted from 0, whose weight is the target.
    """

    traced: Traced
    checkpoint: Int[Array, ""] = eqx.field(converter=lambda c: jnp.asarray(c, jnp.int32))

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " L"]) -> tuple[Float[Array, " L"], TraceMetropolisInfo]:
        """One new run, accepted or not."""
        check_key(key)
        fresh_key, move_key = jax.random.split(key)
        beyond = jnp.arange(self.traced.length) >= self.traced.run(x).used[self.checkpoint]
        x = jnp.where(beyond, jax.random.uniform(fresh_key, x.shape, x.dtype), x)
        x, info = self.move(move_key, x)
        return x, TraceMetropolisInfo(info.accepted, info.log_ratio)

    @property
    def move(self) -> Involutive:
        """The exchange of one coordinate in use, as an involutive kernel: `check_green` reads it."""
        return Involutive(self.invariant, Site(self.traced, self.checkpoint), _exchange, _volume_kept)

    @property
    def invariant(self) -> Measure:
        """The weight at the checkpoint times Lebesgue measure."""
        return UniformTrace(self.traced.length) * TraceWeight(self.traced, self.checkpoint)


class SiteState(NamedTuple):
    """A site, and the coordinate to put there."""

    site: Int[Array, ""]
    coordinate: Float[Array, ""]


class Site(Auxiliary):
    """A site among those in use, and a fresh coordinate for it.

    Law: density 1 / n for each site below the number n of coordinates that the trace's run uses.
    """

    traced: Traced
    checkpoint: Int[Array, ""]

    def sample(self, key: PRNGKeyArray, x: Float[Array, " L"]) -> SiteState:
        """A uniform site and a uniform coordinate."""
        site_key, coordinate_key = jax.random.split(key)
        site = choice(site_key, self._log_sites(x))
        return SiteState(site, jax.random.uniform(coordinate_key, (), x.dtype))

    def log_density(self, x: Float[Array, " L"], v: SiteState) -> Float[Array, ""]:
        """Minus log of the number of coordinates in use; -inf for a site that is not."""
        log_sites = self._log_sites(x)
        return log_sites[v.site] - jax.nn.logsumexp(log_sites)

    def _log_sites(self, x: Float[Array, " L"]) -> Float[Array, " L"]:
        # A program that draws nothing has one site, which nothing depends on.
        used = jnp.maximum(self.traced.run(x).used[self.checkpoint], 1)
        return jnp.where(jnp.arange(self.traced.length) < used, 0.0, -jnp.inf)


def trace_metropolis(traced: Traced, checkpoint: int | Int[Array, ""] | None = None) -> TraceMetropolis:
    """Single-site Metropolis-Hastings on traces, by default for the whole program: see `TraceMetropolis`."""
    return TraceMetropolis(traced, traced.checkpoints - 1 if checkpoint is None else checkpoint)


def _exchange(x: Float[Array, " L"], v: SiteState) -> tuple[Float[Array, " L"], SiteState]:
    return x.at[v.site].set(v.coordinate), SiteState(v.site, x[v.site])


def _volume_kept(x: Any, v: Any) -> Float[Array, ""]:
    del x, v
    return jnp.zeros(())
