"""A Gaussian process with an unknown lengthscale: the joint law of its value at a point and of the lengthscale."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Distribution, Factor
from probinf._arguments import count
from probinf.distributions._small_matrices import cholesky, solve_lower
from probinf.transformers_dist._frame import Frame
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._view import Look, View
from probinf.transformers_dist.families._grid import even_points
from probinf.transformers_dist.families._inverse_gamma import LogInverseGamma

# Part of the unit variance of every observation that is noise.
NOISE_VARIANCE = 0.01
# Uniform meta-prior of shape and scale of the lengthscale's inverse-gamma law.
SHAPES, SCALES = (100.0, 105.0), (100.0, 700.0)


class GaussianProcessPrior(Distribution):
    """The law of (y at the query, log lengthscale): a standard normal, and an inverse-gamma lengthscale beside it."""

    lengthscale: LogInverseGamma
    name: str = eqx.field(static=True, default="prior")  # pyright: ignore[reportIncompatibleMethodOverride]

    def sample(self, key: PRNGKeyArray, x: object) -> Float[Array, " 2"]:
        """Both, independent."""
        del x
        value, length = jax.random.split(key)
        return jnp.concatenate([jax.random.normal(value, (1,)), self.lengthscale.sample(length, ())])

    def log_density(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        """Log-density, in nats."""
        return _log_normal(x[0], jnp.zeros(()), jnp.ones(())) + self.lengthscale.log_density(x[1:])


class GaussianProcessData(NamedTuple):
    """N inputs of I numbers with their observations, and the input at which the next observation is asked for."""

    inputs: Float[Array, "N I"]
    y: Float[Array, " N"]
    query: Float[Array, " I"]


class Prediction(NamedTuple):
    """Mean and variance of y at the query, what the variance lost, and the log-density of the observations."""

    mean: Float[Array, ""]
    variance: Float[Array, ""]
    explained: Float[Array, ""]
    log_evidence: Float[Array, ""]


def predict(data: GaussianProcessData, log_lengthscale: Float[Array, ""]) -> Prediction:
    """Regression at a known lengthscale l.

    Law: exact for covariance `(1 - NOISE_VARIANCE) exp(-|x - x'|^2 / (2 l^2))` and noise of variance NOISE_VARIANCE, so
    that every observation, the one asked for too, has variance one.
    """
    places = jnp.concatenate([data.inputs, data.query[None]])
    away = places[:, None, :] - places[None, :, :]
    kernel = (1 - NOISE_VARIANCE) * jnp.exp(-0.5 * jnp.sum(away**2, -1) * jnp.exp(-2 * log_lengthscale))
    covariance = kernel + NOISE_VARIANCE * jnp.eye(places.shape[0], dtype=kernel.dtype)
    factor = cholesky(covariance[:-1, :-1])
    query, y = solve_lower(factor, jnp.stack([covariance[:-1, -1], data.y], axis=1)).T
    log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
    log_evidence = -0.5 * (y @ y + log_det + y.size * jnp.log(2 * jnp.pi))
    explained = query @ query
    return Prediction(query @ y, 1 - explained, explained, log_evidence)


class GaussianProcessLikelihood(Factor):
    """Log-density of the observations given (y at the query, log lengthscale)."""

    data: GaussianProcessData
    name: str = eqx.field(static=True, default="regression")  # pyright: ignore[reportIncompatibleMethodOverride]

    def log_density(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        """Log-density, in nats."""
        seen = predict(self.data, x[1])
        # Bayes' rule, for the prior of y at the query is standard normal whatever the lengthscale.
        ratio = _log_normal(x[0], seen.mean, seen.variance) - _log_normal(x[0], jnp.zeros(()), jnp.ones(()))
        return seen.log_evidence + ratio


def exact_gaussian_process(
    prior: GaussianProcessPrior,
    data: GaussianProcessData,
    *,
    key: PRNGKeyArray | None = None,
    lengthscales: int = 128,
    values: int = 32,
) -> tuple[Float[Array, "S 2"], Float[Array, " S"], Float[Array, ""]]:
    """Points and log-weights of the exact posterior, and the log-evidence; S is `lengthscales * values`.

    Law: consistent: a quadrature over the lengthscale, and for each of its nodes stratified draws of the Gaussian law
    of y. The exact log-density at a point is that of `prior * GaussianProcessLikelihood(data)` less the log-evidence.
    """
    key = jax.random.key(0) if key is None else key
    shift, strata = jax.random.split(key)
    law = prior.lengthscale

    def log_joint(u: Array) -> Array:
        return law.log_density(u) + predict(data, u[0]).log_evidence

    low, high = law.mean - 8 * law.deviation, law.mean + 8 * law.deviation
    lengths, log_weights = even_points(shift, log_joint, low, high, coarse=24, fine=lengthscales)
    seen = jax.vmap(lambda u: predict(data, u[0]))(lengths)
    middle = jnp.argmax(log_weights)
    # The step of the grid over the weight of a node is the evidence over its joint density.
    log_mass = log_joint(lengths[middle]) + jnp.log(lengths[1, 0] - lengths[0, 0]) - log_weights[middle]
    levels = (jnp.arange(values)[None, :] + jax.random.uniform(strata, (lengthscales, values))) / values
    # One draw in a stratum can be as far out as single precision lets it.
    draws = ndtri(jnp.clip(levels, 1e-6, 1 - 1e-6))
    y = seen.mean[:, None] + jnp.sqrt(seen.variance)[:, None] * draws
    points = jnp.stack([y, jnp.broadcast_to(lengths, y.shape)], axis=-1).reshape(-1, 2)
    return points, jnp.repeat(log_weights - jnp.log(values), values), log_mass


class GaussianProcessView(View):
    """Each datum, and beside it what regression makes of all of them at three lengthscales.

    The lengthscales are the prior's center and one deviation to either side. A change of unit of the inputs, a shift
    and a rotation of them change only the columns of the datum, or nothing.
    """

    inputs: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True, default=2)
    feature_size: int = eqx.field(static=True, default=1)

    @property
    def row_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Input and output of a datum, and seven numbers of the regressions."""
        return self.inputs + 8

    @property
    def mixture_prior(self) -> bool:
        """The prior is no mixture."""
        return False

    def frame(self, prior: GaussianProcessPrior) -> Frame:
        """Standard normal y; mean and deviation of the log-lengthscale."""
        law = prior.lengthscale
        zero = jnp.zeros_like(law.mean)
        return Frame(jnp.stack([zero, law.mean]), jnp.diag(jnp.stack([zero + 1, law.deviation])))

    def look(self, prior: GaussianProcessPrior, data: GaussianProcessData, frame: Frame) -> Look:
        """Log of the shape; rows of input less query in units of the lengthscale, y, and the regressions."""
        law = prior.lengthscale
        low, center, high = (predict(data, law.mean + turn * law.deviation) for turn in (-1.0, 0.0, 1.0))
        # The regression at the center, as an observation of y at the query with noise one: it turns N(0, 1) into it.
        # From what is explained, not from one less the variance: of a query far from all data rounding would be left.
        sharp = jnp.sqrt(jnp.maximum(center.explained, 1e-12) / center.variance)
        common = jnp.stack(
            [
                sharp,
                center.mean / center.variance / sharp,
                center.mean,
                0.5 * (high.mean - low.mean) / jnp.sqrt(center.variance),
                0.5 * jnp.log(high.variance / low.variance),
                0.5 * (high.log_evidence - low.log_evidence),
                high.log_evidence + low.log_evidence - 2 * center.log_evidence,
            ]
        )
        inputs = (data.inputs - data.query[None]) * jnp.exp(-law.mean)
        n = data.y.shape[0]
        rows = jnp.concatenate([inputs, data.y[:, None], jnp.broadcast_to(common, (n, common.size))], axis=1)
        del frame
        return Look(None, jnp.log(law.shape)[None], rows, jnp.ones(n, bool))

    def check(self, prior: GaussianProcessPrior, data: GaussianProcessData) -> None:
        """Raises TypeError for another prior, ValueError for parameters and data that are empty or not finite."""
        if not isinstance(prior, GaussianProcessPrior):
            raise TypeError(f"the prior must be a GaussianProcessPrior(lengthscale), got {type(prior).__name__}")
        for what, value in (("shape", prior.lengthscale.shape), ("scale", prior.lengthscale.scale)):
            if not (np.isfinite(value).all() and np.asarray(value) > 0):
                raise ValueError(f"the {what} of the lengthscale's prior must be positive and finite, got {value}")
        n = np.shape(data.y)[0] if np.ndim(data.y) == 1 else 0
        if n == 0 or np.shape(data.inputs) != (n, self.inputs) or np.shape(data.query) != (self.inputs,):
            raise ValueError(
                f"data need inputs [N, {self.inputs}], y [N] with N at least 1 and a query [{self.inputs}], got "
                f"{np.shape(data.inputs)}, {np.shape(data.y)} and {np.shape(data.query)}"
            )
        if not all(np.isfinite(np.asarray(leaf)).all() for leaf in data):
            raise ValueError("inputs, y and query must be finite, got NaN or an infinity: leave out what is missing")


class GaussianProcess(Family):
    """Gaussian processes at standard normal inputs, with an uncertain lengthscale.

    Law: shape and scale of the lengthscale's inverse-gamma law uniform over SHAPES and SCALES; inputs, and the query,
    N(0, I); `points` as `exact_gaussian_process`.

    Source: arXiv 2502.02463, section 4.2.1 (the hyperprior, five observations); the law of the inputs and the part of
    noise are ours.
    """

    view: GaussianProcessView
    observations: int = eqx.field(static=True, default=5)
    lengthscales: int = eqx.field(static=True, default=16)
    values: int = eqx.field(static=True, default=4)

    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem with weighted points of its posterior."""
        keys = jax.random.split(key, 6)
        shape = jax.random.uniform(keys[0], minval=SHAPES[0], maxval=SHAPES[1])
        scale = jax.random.uniform(keys[1], minval=SCALES[0], maxval=SCALES[1])
        prior = GaussianProcessPrior(LogInverseGamma(shape, scale, "lengthscale"))
        log_lengthscale = prior.lengthscale.sample(keys[2], ())[0]
        places = jax.random.normal(keys[3], (self.observations + 1, self.view.inputs))
        away = places[1:, None, :] - places[None, 1:, :]
        kernel = (1 - NOISE_VARIANCE) * jnp.exp(-0.5 * jnp.sum(away**2, -1) * jnp.exp(-2 * log_lengthscale))
        root = cholesky(kernel + NOISE_VARIANCE * jnp.eye(self.observations))
        y = root @ jax.random.normal(keys[4], (self.observations,))
        data = GaussianProcessData(places[1:], y, places[0])
        sizes = {"lengthscales": self.lengthscales, "values": self.values}
        return Problem(prior, data, *exact_gaussian_process(prior, data, key=keys[5], **sizes)[:2])


def gaussian_process(inputs: int = 5, *, observations: int = 5) -> GaussianProcess:
    """The family with inputs of so many numbers.

    Raises: ValueError for what is no count.
    """
    count("inputs", inputs)
    count("observations", observations)
    return GaussianProcess(GaussianProcessView(inputs), observations)


def _log_normal(x: Array, mean: Array, variance: Array) -> Array:
    return -0.5 * ((x - mean) ** 2 / variance + jnp.log(2 * jnp.pi * variance))
