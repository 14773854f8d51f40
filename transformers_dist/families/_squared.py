"""Noisy observations of a square: the sign of the unknown is lost, so posteriors split in two."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Factor
from probinf._arguments import count
from probinf.distributions import GMM
from probinf.transformers_dist._checks import check_mixture, check_rows
from probinf.transformers_dist._frame import Frame, frame_of
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._view import Look, View
from probinf.transformers_dist.families._grid import refined_points
from probinf.transformers_dist.families._mixtures import draw_count, draw_mixture


class SquaredData(NamedTuple):
    """N observations `y = x^2 + noise * N(0, 1)`; noise of infinity marks a padding row."""

    y: Float[Array, " N"]
    noise: Float[Array, " N"]


class Root(NamedTuple):
    """What the data say of |x|: about N(place, 1 / precision), and how many deviations their mean is from zero."""

    place: Float[Array, ""]
    precision: Float[Array, ""]
    clear: Float[Array, ""]


class SquaredLikelihood(Factor):
    """Log-density of the observations given x, a vector [1]."""

    data: SquaredData
    name: str = eqx.field(static=True, default="squared")  # pyright: ignore[reportIncompatibleMethodOverride]

    def log_density(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        """Log-density, in nats."""
        present = jnp.isfinite(self.data.noise)
        units = jnp.where(present, self.data.noise, 1.0)
        logs = -0.5 * ((self.data.y - x[0] ** 2) / units) ** 2 - jnp.log(units) - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.sum(jnp.where(present, logs, 0.0))


def pooled(data: SquaredData) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and precision of the square: all that the data say.

    Law: exact: the likelihood of x is that of N(mean; x^2, 1 / precision), up to a factor.
    """
    present = jnp.isfinite(data.noise)
    weights = jnp.where(present, 1 / jnp.where(present, data.noise, 1.0) ** 2, 0.0)
    precision = jnp.sum(weights)
    return jnp.sum(weights * jnp.where(present, data.y, 0.0)) / precision, precision


def root_of(data: SquaredData) -> Root:
    """A normal law close to what the data say of |x|.

    Law: heuristic: far from zero, the tangent of the square at its root, exact in the limit; near zero and below, the
    same place and width as the likelihood within some tens of percent.
    """
    mean, precision = pooled(data)
    softened = jnp.sqrt(mean**2 + 0.5 / precision)
    # Without cancellation where the mean is negative.
    square = jnp.where(mean > 0, 0.5 * (softened + mean), 0.25 / precision / (softened + jnp.abs(mean)))
    return Root(jnp.sqrt(square), precision * (5 * softened - mean), mean * jnp.sqrt(precision))


def exact_squared(
    prior: GMM, data: SquaredData, *, key: PRNGKeyArray | None = None, nodes: int = 1024, rounds: int = 4
) -> tuple[Float[Array, "nodes 1"], Float[Array, " nodes"], Float[Array, ""]]:
    """Points and log-weights of the exact posterior, and the log-evidence, by quadrature (see `refined_points`).

    The exact log-density at x is that of `prior * SquaredLikelihood(data)` less the log-evidence.
    """
    mean, precision = pooled(data)
    deviations = jnp.where(prior.present, prior.held_scales[:, 0, 0], 0.0)
    low = jnp.min(jnp.where(prior.present, prior.held_means[:, 0] - 8 * deviations, jnp.inf))
    high = jnp.max(jnp.where(prior.present, prior.held_means[:, 0] + 8 * deviations, -jnp.inf))
    root = root_of(data)
    near = root.place + jnp.linspace(-6.0, 6.0, 32) / jnp.sqrt(root.precision)
    ladder = (prior.held_means + prior.held_scales[:, 0] * jnp.linspace(-3.0, 3.0, 7)[None, :]).ravel()
    start = jnp.sort(jnp.concatenate([jnp.linspace(low, high, 32), ladder, near, -near]))

    def log_joint(x: Array) -> Array:
        away = (x[0] - prior.held_means[:, 0]) / prior.held_scales[:, 0, 0]
        log_prior = jax.nn.logsumexp(prior.log_weights - 0.5 * away**2 - jnp.log(prior.held_scales[:, 0, 0]))
        return log_prior - 0.5 * precision * (x[0] ** 2 - mean) ** 2

    key = jax.random.key(0) if key is None else key
    points, log_weights, log_mass = refined_points(key, log_joint, start, nodes=nodes, rounds=rounds)
    # What the pooled likelihood leaves out does not depend on x.
    rest = SquaredLikelihood(data).log_density(jnp.zeros(1)) + 0.5 * precision * mean**2 - 0.5 * jnp.log(2 * jnp.pi)
    return points, log_weights, log_mass + rest


class SquaredView(View):
    """The data as two observations of the unknown, one for each sign: a head that can choose needs little more.

    The square is no affine map, but a change of unit of x, of its square in y and noise, and of its sign leave the look
    as it is; how far the prior is from zero belongs to the whole problem.
    """

    components: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True, default=1)
    row_size: int = eqx.field(static=True, default=4)
    feature_size: int = eqx.field(static=True, default=2)

    def frame(self, prior: GMM) -> Frame:
        """That of the prior's mean and deviation."""
        return frame_of(prior)

    def look(self, prior: GMM, data: SquaredData, frame: Frame) -> Look:
        """Two rows, for either root: coefficient and value of an observation with noise one, place and clearness."""
        shift, scale = frame.shift[0], frame.scale[0, 0]
        root = root_of(data)
        sharp = jnp.sqrt(root.precision)
        clear = jnp.arcsinh(root.clear)
        rows = [
            jnp.stack([sharp * scale, sharp * (place - shift), jnp.arcsinh((place - shift) / scale), clear])
            for place in (root.place, -root.place)
        ]
        features = jnp.stack([shift / scale, clear])
        return Look(frame.inward_mixture(prior), features, jnp.stack(rows), jnp.ones(2, bool))

    def check(self, prior: GMM, data: SquaredData) -> None:
        """Raises ValueError for a mixture of another size, and for data that are empty or not finite."""
        check_mixture(prior, self.dimension, self.components)
        check_rows("observations", data.y, np.isfinite(np.asarray(data.noise)))
        if np.ndim(data.y) != 1 or np.shape(data.y) != np.shape(data.noise):
            raise ValueError(
                f"squared data need y [N] and noise [N], got {np.shape(data.y)} and {np.shape(data.noise)}"
            )
        if not (np.asarray(data.noise) > 0).all():
            raise ValueError("the noise of squared data is a positive standard deviation; infinity marks padding")


class Squared(Family):
    """Random mixtures on the line and noisy squares.

    Law: the prior as `draw_mixture`, of 1 to `view.components`; log of each noise uniform over `noise`; 1 to
    `observations` of them; `points` are the nodes of a quadrature of the exact posterior.
    """

    view: SquaredView
    observations: int = eqx.field(static=True, default=10)
    nodes: int = eqx.field(static=True, default=96)
    noise: tuple[float, float] = (0.3, 1.0)

    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem with the nodes of a quadrature of its posterior."""
        keys = jax.random.split(key, 6)
        prior = draw_mixture(keys[0], 1, self.view.components, least=1)
        x = prior.sample(keys[1], ())
        n = self.observations
        low, high = self.noise
        noise = jnp.exp(jax.random.uniform(keys[2], (n,), minval=np.log(low), maxval=np.log(high)))
        real = jnp.arange(n) < draw_count(keys[3], 1, n)
        y = x[0] ** 2 + noise * jax.random.normal(keys[4], (n,))
        data = SquaredData(jnp.where(real, y, 0.0), jnp.where(real, noise, jnp.inf))
        return Problem(prior, data, *exact_squared(prior, data, key=keys[5], nodes=self.nodes, rounds=2)[:2])


def squared(components: int = 5, *, observations: int = 10) -> Squared:
    """The family with mixtures of up to `components` and up to `observations` data.

    Raises: ValueError for what is no count.
    """
    count("components", components)
    count("observations", observations)
    return Squared(SquaredView(components), observations)
