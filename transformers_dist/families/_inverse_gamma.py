"""The unknown variance of a normal observation, with an inverse-gamma prior: conjugate, and no mixture."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, polygamma
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Distribution, Factor
from probinf._arguments import floating
from probinf.transformers_dist._frame import Frame
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._view import Look, View
from probinf.transformers_dist.families._grid import even_points

# Shape and scale of the inverse-gamma laws from which both parameters of the prior are drawn.
META_PRIORS = {"wide": (4.0, 6.0), "narrow": (10000.0, 20000.0), "misspecified": (24.0, 6.0)}


class LogInverseGamma(Distribution):
    """The law of u = log x, where x is inverse-gamma with density proportional to x^(-shape - 1) exp(-scale / x).

    Law: exact; points are vectors [1], as everything that a mixture stands for.

    Raises: ValueError, where shape and scale are concrete, by the view's `check`.
    """

    shape: Float[Array, ""] = eqx.field(converter=partial(floating, "shape"))
    scale: Float[Array, ""] = eqx.field(converter=partial(floating, "scale"))
    name: str = eqx.field(static=True, default="inverse_gamma")  # pyright: ignore[reportIncompatibleMethodOverride]

    def sample(self, key: PRNGKeyArray, x: object) -> Float[Array, " 1"]:
        """A draw of u."""
        del x
        return (jnp.log(self.scale) - jax.random.loggamma(key, self.shape))[None]

    def log_density(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        """Log-density of u, in nats."""
        u = x[0]
        constant = self.shape * jnp.log(self.scale) - gammaln(self.shape)
        return constant - self.shape * u - self.scale * jnp.exp(-u)

    @property
    def mean(self) -> Float[Array, ""]:
        """Mean of u."""
        return jnp.log(self.scale) - digamma(self.shape)

    @property
    def deviation(self) -> Float[Array, ""]:
        """Standard deviation of u."""
        return jnp.sqrt(polygamma(1, self.shape))


class VarianceData(NamedTuple):
    """One observation of N(0, x)."""

    z: Float[Array, ""]


class VarianceLikelihood(Factor):
    """Log-density of the observation given the log-variance u [1]."""

    data: VarianceData
    name: str = eqx.field(static=True, default="normal_variance")  # pyright: ignore[reportIncompatibleMethodOverride]

    def log_density(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        """Log-density of z, in nats."""
        return -0.5 * (jnp.log(2 * jnp.pi) + x[0] + self.data.z**2 * jnp.exp(-x[0]))


def exact_inverse_gamma(prior: LogInverseGamma, data: VarianceData) -> LogInverseGamma:
    """The exact posterior of the log-variance: shape + 1/2 and scale + z^2 / 2."""
    return LogInverseGamma(prior.shape + 0.5, prior.scale + 0.5 * data.z**2, "posterior")


class InverseGammaView(View):
    """The log-variance in units of its prior; what is left of the prior is its shape.

    The datum is log(1 + z^2 / (2 scale)): a function of z over the root of the prior's scale, so that two problems that
    differ by the unit of z are the same.
    """

    dimension: int = eqx.field(static=True, default=1)
    row_size: int = eqx.field(static=True, default=2)
    feature_size: int = eqx.field(static=True, default=1)

    @property
    def mixture_prior(self) -> bool:
        """The prior is no mixture."""
        return False

    def frame(self, prior: LogInverseGamma) -> Frame:
        """Mean and deviation of the log-variance under the prior."""
        return Frame(prior.mean[None], prior.deviation[None, None])

    def look(self, prior: LogInverseGamma, data: VarianceData, frame: Frame) -> Look:
        """Log of the shape, and one row: how far the datum is from zero, bare and in the frame."""
        far = jnp.log1p(0.5 * data.z**2 / prior.scale)
        # Off the frame of the prior (a network that does not normalize) the shift carries the unit of z.
        shifted = (jnp.log(prior.scale) + far - frame.shift[0]) / frame.scale[0, 0]
        return Look(None, jnp.log(prior.shape)[None], jnp.stack([far, shifted])[None], jnp.ones(1, bool))

    def check(self, prior: LogInverseGamma, data: VarianceData) -> None:
        """Raises TypeError for another prior, ValueError for parameters that are not positive and data not finite."""
        if not isinstance(prior, LogInverseGamma):
            raise TypeError(f"the prior must be a LogInverseGamma(shape, scale), got {type(prior).__name__}")
        for what, value in (("shape", prior.shape), ("scale", prior.scale)):
            if not (np.isfinite(value).all() and np.asarray(value) > 0):
                raise ValueError(f"the {what} of an inverse-gamma prior must be positive and finite, got {value}")
        if np.shape(data.z) != () or not np.isfinite(data.z):
            raise ValueError(f"z must be one finite number, got {data.z}: this family has one observation")

    def outward(self, u: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The variance."""
        return jnp.exp(u)

    def inward(self, x: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The log-variance."""
        return jnp.log(x)

    def log_jacobian(self, u: Float[Array, " 1"]) -> Float[Array, ""]:
        """Of the exponential."""
        return u[0]


class InverseGamma(Family):
    """Inverse-gamma priors, whose shape and scale are themselves inverse-gamma, and one observation.

    Law: each problem takes one of the `meta` laws (pairs of shape and scale), all alike; `points` are the nodes of a
    quadrature of the exact posterior, so that training meets no noise but that of the problems.

    Source: arXiv 2502.02463, section 4.1 and appendix C.2.
    """

    view: InverseGammaView = InverseGammaView()
    meta: tuple[tuple[float, float], ...] = eqx.field(static=True, default=(META_PRIORS["wide"],))
    nodes: int = eqx.field(static=True, default=64)

    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem with the nodes of a quadrature of its posterior."""
        which, shape, scale, unknown, noise, shift = jax.random.split(key, 6)
        pair = jnp.asarray(self.meta)[jax.random.randint(which, (), 0, len(self.meta))]
        log_shape, log_scale = (jnp.log(pair[1]) - jax.random.loggamma(k, pair[0]) for k in (shape, scale))
        prior = LogInverseGamma(jnp.exp(log_shape), jnp.exp(log_scale), "prior")
        u = prior.sample(unknown, ())
        data = VarianceData(jnp.exp(0.5 * u[0]) * jax.random.normal(noise))
        posterior = exact_inverse_gamma(prior, data)
        low, high = posterior.mean - 10 * posterior.deviation, posterior.mean + 20 * posterior.deviation
        points, log_weights = even_points(shift, posterior.log_density, low, high, fine=self.nodes)
        return Problem(prior, data, points, log_weights)


def inverse_gamma(*meta: str) -> InverseGamma:
    """The family under the meta-priors of these names: "wide", "narrow" or "misspecified".

    Raises: ValueError for another name.
    """
    unknown = set(meta) - set(META_PRIORS)
    if unknown or not meta:
        raise ValueError(f"the meta-priors are {', '.join(META_PRIORS)}, got {meta}")
    return InverseGamma(meta=tuple(META_PRIORS[name] for name in meta))
