"""A moving target, seen by its range and bearing, with outliers and a range finder that ends somewhere."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import real
from probinf._measure import Factor
from probinf.distributions import GMM
from probinf.distributions._small_matrices import lower_root
from probinf.transformers_dist._checks import check_mixture
from probinf.transformers_dist._frame import Frame, frame_of
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._view import Look, View
from probinf.transformers_dist.families._mixtures import draw_log_weights, random_rotation

# Shares of good ranges, early echoes and noise; the farthest range; the spread of a range (over 1 + range), a bearing.
SHARES = (0.7, 0.2, 0.1)
FARTHEST = 10.0
_SPREAD = 0.1
_BEARING = 0.1
# Nearer than this the geometry is no more followed: the meta-prior starts at 1, and there a network knows no better.
_NEAREST = 0.3


class SensorData(NamedTuple):
    """One range in [0, 10] and one bearing in radians."""

    distance: Float[Array, ""]
    bearing: Float[Array, ""]


def motion() -> tuple[Float[Array, "4 4"], Float[Array, "4 4"]]:
    """Transition and noise scale of the state (x, velocity of x, y, velocity of y); each axis moves by itself.

    Source: arXiv 2502.02463, section 4.3.1; its Cholesky factor (.1, .2) is read as a diagonal one.
    """
    block = np.array([[1.0, 0.6321], [0.0, 0.3679]])
    return jnp.asarray(np.kron(np.eye(2), block)), jnp.diag(jnp.asarray([0.1, 0.2, 0.1, 0.2]))


class SensorLikelihood(Factor):
    """The likelihood of one observation, as the simulator draws it: ranges are clamped, so both ends have mass.

    Law: a density in the bearing, and in the range between its ends; a probability at the ends.

    Source: arXiv 2502.02463, appendix I. The released code exchanges the shares of echoes and noise between simulator
    and density, and its density has no mass at the ends.
    """

    data: SensorData
    name: str = eqx.field(static=True, default="likelihood")

    def log_density(self, x: Float[Array, " 4"]) -> Float[Array, ""]:
        """Log-density of the observation given the state, in nats."""
        distance = jnp.sqrt(x[0] ** 2 + x[2] ** 2)
        off = (self.data.bearing - jnp.arctan2(x[2], x[0]) + jnp.pi) % (2 * jnp.pi) - jnp.pi
        turns = 2 * jnp.pi * jnp.arange(-1.0, 2.0)
        log_bearing = jax.nn.logsumexp(norm.logpdf(off + turns, 0.0, _BEARING))
        return log_bearing + log_range(self.data.distance, distance)


def log_range(seen: Float[Array, ""], distance: Float[Array, ""]) -> Float[Array, ""]:
    """Log-density of a range between the ends, log-probability at an end."""
    good, echo, noise = (float(np.log(share)) for share in SHARES)
    spread = _SPREAD * (distance + 1)
    between = jnp.stack(
        [good + norm.logpdf(seen, distance, spread), echo - seen, jnp.full_like(seen, noise - np.log(FARTHEST))]
    )
    end = jnp.logaddexp(good + norm.logsf(FARTHEST, distance, spread), echo - FARTHEST)
    at_zero = good + norm.logcdf(0.0, distance, spread)
    inside = jax.nn.logsumexp(between, axis=0)
    return jnp.where(seen >= FARTHEST, end, jnp.where(seen <= 0, at_zero, inside))


def observe(key: PRNGKeyArray, x: Float[Array, " 4"]) -> SensorData:
    """An observation of a state.

    Raises: ValueError for what is no state [4] of finite numbers, unless traced.
    """
    x = real("x", x, "coordinates", finite=True)
    if x.shape != (4,):
        raise ValueError(f"a state has four coordinates, got shape {x.shape}")
    which, normal, echo, uniform, bearing = jax.random.split(key, 5)
    distance = jnp.sqrt(x[0] ** 2 + x[2] ** 2)
    kinds = jnp.stack(
        [
            distance + _SPREAD * (distance + 1) * jax.random.normal(normal),
            jax.random.exponential(echo),
            FARTHEST * jax.random.uniform(uniform),
        ]
    )
    seen = jnp.clip(kinds[jax.random.categorical(which, jnp.log(jnp.asarray(SHARES)))], 0.0, FARTHEST)
    angle = jnp.arctan2(x[2], x[0]) + _BEARING * jax.random.normal(bearing)
    return SensorData(seen, (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi)


def heading(x: Float[Array, " 4"]) -> tuple[Float[Array, " 2"], Float[Array, ""]]:
    """Unit vector from the sensor to the target, and their distance, which is never told as less than _NEAREST.

    Nearer than that the bearing turns about within the state's own uncertainty, and a tangent would claim to know it.
    """
    place = x[jnp.array([0, 2])]
    squared = jnp.sum(place**2)
    # At the sensor itself any direction will do; the inner `where` keeps its gradient finite.
    at_sensor = squared < 1e-12
    length = jnp.sqrt(jnp.where(at_sensor, 1.0, squared))
    direction = jnp.where(at_sensor, jnp.array([1.0, 0.0]), place / length)
    return direction, jnp.maximum(jnp.where(at_sensor, 0.0, length), _NEAREST)


def linearized(x: Float[Array, " 4"], data: SensorData) -> tuple[Float[Array, "2 4"], Float[Array, " 2"]]:
    """Range and bearing about a state as linear observations of noise one: coefficients, values less those there."""
    (along, across), distance = heading(x)
    spread = _SPREAD * (distance + 1)
    zero = jnp.zeros(())
    rows = jnp.stack(
        [
            jnp.stack([along, zero, across, zero]) / spread,
            jnp.stack([-across, zero, along, zero]) / (distance * _BEARING),
        ]
    )
    off = (data.bearing - jnp.arctan2(across, along) + jnp.pi) % (2 * jnp.pi) - jnp.pi
    true_distance = jnp.sqrt(x[0] ** 2 + x[2] ** 2)
    return rows, jnp.stack([(data.distance - true_distance) / spread, off / _BEARING])


class SensorView(View):
    """Both readings as linear observations about the prior's mean, beside what makes them less than that."""

    components: int = eqx.field(static=True, default=4)
    dimension: int = eqx.field(static=True, default=4)
    row_size: int = eqx.field(static=True, default=8)
    feature_size: int = eqx.field(static=True, default=5)

    def frame(self, prior: GMM) -> Frame:
        """That of the prior's mean and covariance."""
        return frame_of(prior)

    def look(self, prior: GMM, data: SensorData, frame: Frame) -> Look:
        """Two rows: coefficients in the frame, value, which sensor it is, and the range as it was seen."""
        rows, values = linearized(frame.shift, data)
        inside = rows @ frame.scale
        direction, distance = heading(frame.shift)
        context = jnp.stack([data.distance, jnp.where(data.distance >= FARTHEST, 1.0, 0.0)])
        sensor = jnp.array([[1.0], [-1.0]])
        table = jnp.concatenate([inside, values[:, None], sensor, jnp.broadcast_to(context, (2, 2))], axis=1)
        wide = 0.5 * jnp.log(jnp.sum(inside**2, axis=1))
        features = jnp.concatenate([wide, direction, jnp.log(distance)[None]])
        return Look(frame.inward_mixture(prior), features, table, jnp.ones(2, bool))

    def check(self, prior: GMM, data: SensorData) -> None:
        """Raises ValueError for a mixture of another size, a range outside [0, 10], and numbers that are not finite."""
        check_mixture(prior, 4, self.components)
        if not (np.isfinite(data.bearing) and 0 <= float(data.distance) <= FARTHEST):
            raise ValueError(f"an observation needs a range in [0, {FARTHEST:g}] and a finite bearing, got {data}")


class SensorFusion(Family):
    """Priors of the kind that a filter meets, and one observation of a state.

    Law: places on a ring of radii 1 to 8; deviations log-uniform in [0.1, 1.5] for places and [0.1, 0.4] for
    velocities, turned at random by a little; 1 to 4 components about them. `points` are the true state and draws of the
    prior, weighted by the likelihood: given data the true state follows the posterior, which the conditional
    resampling of it among draws of the prior keeps, so that weighted means are unbiased.
    """

    view: SensorView = SensorView()
    points: int = eqx.field(static=True, default=64)

    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem."""
        prior_key, truth_key, data_key, draws_key = jax.random.split(key, 4)
        prior = draw_state(prior_key, self.view.components)
        truth = prior.sample(truth_key, ())
        data = observe(data_key, truth)
        others = jax.vmap(lambda k: prior.sample(k, ()))(jax.random.split(draws_key, self.points - 1))
        points = jnp.concatenate([truth[None], others])
        return Problem(prior, data, points, jax.nn.log_softmax(jax.vmap(SensorLikelihood(data).log_density)(points)))


def draw_state(key: PRNGKeyArray, components: int) -> GMM:
    """A random prior of 1 to `components` components."""
    keys = jax.random.split(key, 8)
    radius = jax.random.uniform(keys[0], minval=1.0, maxval=8.0)
    angle = 2 * jnp.pi * jax.random.uniform(keys[1])
    uniform = jax.random.uniform(keys[2], (2,))
    place = 0.1 * 15.0 ** uniform[0]
    speed = 0.1 * 4.0 ** uniform[1]
    center = jnp.stack([radius * jnp.cos(angle), jnp.zeros(()), radius * jnp.sin(angle), jnp.zeros(())])
    deviations = jnp.stack([place, speed, place, speed])
    # Between a diagonal scale and one that is turned about.
    turn = jnp.eye(4)[None] + 0.5 * random_rotation(keys[3], components, 4)
    sizes = jnp.exp(0.4 * jax.random.normal(keys[4], (components, 4)))
    scales = lower_root(deviations[None, :, None] * turn * sizes[:, None, :] / 1.2)
    means = center[None, :] + deviations[None, :] * jax.random.normal(keys[5], (components, 4))
    return GMM(draw_log_weights(keys[6], keys[7], components, least=1), means, scales, "prior")
