"""Linear data with Gaussian noise: the posterior of a mixture is a mixture, so every error can be seen."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import count
from probinf._measure import Factor
from probinf.distributions import GMM, condition_linear
from probinf.transformers_dist._checks import check_mixture, check_rows
from probinf.transformers_dist._frame import Frame, frame_of
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._view import Look, View
from probinf.transformers_dist.families._mixtures import draw_count, draw_mixture


class LinearData(NamedTuple):
    """N observations `y = matrix x + noise * N(0, 1)`; noise of infinity marks a padding row."""

    matrix: Float[Array, "N D"]
    y: Float[Array, " N"]
    noise: Float[Array, " N"]


class LinearLikelihood(Factor):
    """The likelihood of linear data as a factor of the unknown.

    Law: density of y given x; padding rows do not count.
    """

    data: LinearData
    name: str = eqx.field(static=True, default="likelihood")

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Log-density of the data, in nats."""
        matrix, y, noise = self.data
        present = jnp.isfinite(noise)
        units = jnp.where(present, noise, 1.0)
        z = (y - matrix @ x) / units
        return jnp.sum(jnp.where(present, -0.5 * z**2 - jnp.log(units) - 0.5 * jnp.log(2 * jnp.pi), 0.0))


class LinearView(View):
    """Each datum in units of its noise, as an observation of the unknown in the prior's frame."""

    dimension: int = eqx.field(static=True)
    components: int = eqx.field(static=True)

    @property
    def row_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The observed value and the row of the matrix."""
        return self.dimension + 1

    @property
    def feature_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Nothing belongs to the whole problem."""
        return 0

    def frame(self, prior: GMM) -> Frame:
        """That of the prior's mean and covariance."""
        return frame_of(prior)

    def look(self, prior: GMM, data: LinearData, frame: Frame) -> Look:
        """The problem in a frame: the same for every affine change of variables."""
        present = jnp.isfinite(data.noise)
        units = jnp.where(present, data.noise, 1.0)
        value = (data.y - data.matrix @ frame.shift) / units
        rows = jnp.concatenate([(data.matrix @ frame.scale) / units[:, None], value[:, None]], axis=1)
        return Look(frame.inward_mixture(prior), jnp.zeros(0), rows, present)

    def check(self, prior: GMM, data: LinearData) -> None:
        """Raises ValueError for a mixture of another size, and for data that are empty or not finite."""
        check_mixture(prior, self.dimension, self.components)
        check_rows("observations", data.y, np.isfinite(np.asarray(data.noise)), data.matrix)
        if data.matrix.shape != (data.y.shape[0], self.dimension) or data.noise.shape != data.y.shape:
            raise ValueError(
                f"linear data need a matrix [N, {self.dimension}], y [N] and noise [N], got {data.matrix.shape}, "
                f"{data.y.shape} and {data.noise.shape}"
            )
        if not (np.asarray(data.noise) > 0).all():
            raise ValueError("the noise of linear data is a positive standard deviation; infinity marks padding")


class LinearGaussian(Family):
    """Random mixtures and random linear data.

    Law: the prior as `draw_mixture`; rows of the matrix N(0, I / D), so that the signal does not grow with the
    dimension (all ones for D = 1); log of the noise uniform over `noise`; `least` to `observations` of them; `points`
    exact draws of the posterior.
    """

    view: LinearView
    observations: int = eqx.field(static=True)
    least: int = eqx.field(static=True)
    least_components: int = eqx.field(static=True)
    points: int = eqx.field(static=True, default=32)
    noise: tuple[float, float] = (0.3, 1.0)

    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem with exact posterior draws."""
        keys = jax.random.split(key, 6)
        view, n = self.view, self.observations
        prior = draw_mixture(keys[0], view.dimension, view.components, least=self.least_components)
        x = prior.sample(keys[1], ())
        matrix = jax.random.normal(keys[2], (n, view.dimension)) / view.dimension**0.5
        if view.dimension == 1:
            matrix = jnp.ones((n, 1))
        low, high = self.noise
        noise = jnp.exp(jax.random.uniform(keys[3], (n,), minval=np.log(low), maxval=np.log(high)))
        real = jnp.arange(n) < draw_count(keys[4], self.least, n)
        y = matrix @ x + noise * jax.random.normal(jax.random.fold_in(keys[3], 1), (n,))
        data = LinearData(matrix, jnp.where(real, y, 0.0), jnp.where(real, noise, jnp.inf))
        posterior = exact_linear(prior, data)
        draws = jax.vmap(lambda k: posterior.sample(k, ()))(jax.random.split(keys[5], self.points))
        return Problem(prior, data, draws, jnp.full(self.points, -jnp.log(self.points)))


def linear_gaussian(
    dimension: int,
    components: int,
    *,
    observations: int = 4,
    least: int = 1,
    least_components: int = 1,
    points: int = 32,
) -> LinearGaussian:
    """The family with mixtures of up to `components` in a number of dimensions.

    Raises: ValueError for what is no count, or a least number above the most.
    """
    for name, number in (("dimension", dimension), ("components", components), ("observations", observations)):
        count(name, number)
    for name, number, most in (("least", least, observations), ("least_components", least_components, components)):
        if count(name, number) > most:
            raise ValueError(f"{name} must be at most {most}, got {number}: it is the least of a random number")
    count("points", points)
    view = LinearView(dimension, components)
    return LinearGaussian(view, observations, least, least_components, points)


def exact_linear(prior: GMM, data: LinearData) -> GMM:
    """The exact posterior.

    Law: exact.
    """
    return condition_linear(prior, *_whitened(data))[0]


def linear_evidence(prior: GMM, data: LinearData) -> Float[Array, ""]:
    """Log-density of the data, with the unknown integrated out.

    Law: exact.
    """
    present = jnp.isfinite(data.noise)
    # A padding row is an observation of nothing, which comes out as zero with the density of N(0, 1) there.
    missing = jnp.sum(jnp.where(present, -jnp.log(jnp.where(present, data.noise, 1.0)), 0.5 * jnp.log(2 * jnp.pi)))
    return condition_linear(prior, *_whitened(data))[1] + missing


def _whitened(data: LinearData) -> tuple[Array, Array, Array]:
    """Matrix, values and unit noise; padding rows are zero."""
    present = jnp.isfinite(data.noise)
    units = jnp.where(present, data.noise, 1.0)
    matrix = jnp.where(present[:, None], data.matrix, 0.0) / units[:, None]
    y = jnp.where(present, data.y, 0.0) / units
    return matrix, y, jnp.eye(y.size)
