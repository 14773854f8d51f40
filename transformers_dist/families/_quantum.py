"""The Hamiltonian of a qubit from ten measurements, with a beta prior."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betaln, digamma, polygamma
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Distribution, Factor
from probinf._arguments import floating, real
from probinf.transformers_dist._frame import Frame
from probinf.transformers_dist._problem import Family, Problem
from probinf.transformers_dist._view import Look, View
from probinf.transformers_dist.families._grid import refined_points

# Amplitudes of the prepared state, and when it is measured: ten runs.
DESIGN = tuple(
    (state, float(time))
    for state, times in (((1.0, 0.0), range(1, 6)), ((0.0, 1.0), range(1, 3)), ((1.0, 1.0), range(1, 4)))
    for time in times
)
STATE_NOISE = 0.1
TIME_NOISE = 0.05
# Both concentrations of the prior are inverse-gamma with this shape and scale.
META_PRIOR = (4.0, 6.0)


class LogitBeta(Distribution):
    """The law of u = logit(x), where x is Beta(a, b); points are vectors [1].

    Raises: ValueError, where a and b are concrete, by the view's `check`.
    """

    a: Float[Array, ""] = eqx.field(converter=partial(floating, "a"))
    b: Float[Array, ""] = eqx.field(converter=partial(floating, "b"))
    name: str = eqx.field(static=True, default="beta")  # pyright: ignore[reportIncompatibleMethodOverride]

    def sample(self, key: PRNGKeyArray, x: object) -> Float[Array, " 1"]:
        """A draw of u: the log of a ratio of gamma variables."""
        del x
        first, second = jax.random.split(key)
        return (jax.random.loggamma(first, self.a) - jax.random.loggamma(second, self.b))[None]

    def log_density(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        """Log-density of u, in nats."""
        logs = self.a * jax.nn.log_sigmoid(x[0]) + self.b * jax.nn.log_sigmoid(-x[0])
        return logs - betaln(self.a, self.b)

    @property
    def mean(self) -> Float[Array, ""]:
        """Mean of u."""
        return digamma(self.a) - digamma(self.b)

    @property
    def deviation(self) -> Float[Array, ""]:
        """Standard deviation of u."""
        return jnp.sqrt(polygamma(1, self.a) + polygamma(1, self.b))


class QuantumData(NamedTuple):
    """Outcomes 0 or 1 of the ten runs, in the order of the design: 1 where the qubit was found in its second state."""

    outcomes: Float[Array, " 10"]


def quantum_probabilities(x: Float[Array, ""]) -> Float[Array, " 10"]:
    """Probability of outcome 1 in each run, for H = x sigma_x + (1 - x) sigma_z.

    Law: exact. H turns Bloch vectors about (x, 0, 1 - x) by the angle 2 t |(x, 1 - x)|. What is measured is linear in
    the prepared state, so noise in the state enters by the mean Bloch vector, and noise in the time by the mean of
    cosine and sine of a normal angle. The published notes say how large the noises are, not where they enter: here
    the state's (variance 0.01) is independent and real on both amplitudes of a state of norm one, whose norm is then
    set to one anew; the time's is normal about t (deviation 0.05); the measurement is in the basis of sigma_z.

    Raises: ValueError for a number that is not finite, unless traced.
    """
    x = real("x", x, "", finite=True)
    times = jnp.asarray([time for _, time in DESIGN])
    angles = jnp.asarray([2 * math.atan2(second, first) for (first, second), _ in DESIGN])
    # The mean of cos(2 angle) of a plane normal point about (1, 0).
    purity = 1 - 2 * STATE_NOISE**2 * (1 - math.exp(-0.5 / STATE_NOISE**2))
    bloch_x, bloch_z = purity * jnp.sin(angles), purity * jnp.cos(angles)
    speed = jnp.sqrt(x**2 + (1 - x) ** 2)
    axis_x, axis_z = x / speed, (1 - x) / speed
    damping = jnp.exp(-0.5 * (2 * speed * TIME_NOISE) ** 2)
    cosine = damping * jnp.cos(2 * speed * times)
    # Rodrigues' formula; the sine multiplies the y of the prepared state, which is zero for real amplitudes.
    along = axis_x * bloch_x + axis_z * bloch_z
    z = bloch_z * cosine + axis_z * along * (1 - cosine)
    return 0.5 * (1 - z)


class QuantumLikelihood(Factor):
    """Log-probability of the outcomes given u = logit(x), a vector [1]."""

    data: QuantumData
    name: str = eqx.field(static=True, default="quantum")  # pyright: ignore[reportIncompatibleMethodOverride]

    def log_density(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        """Log-probability, in nats."""
        p = quantum_probabilities(jax.nn.sigmoid(x[0]))
        return jnp.sum(jnp.where(self.data.outcomes > 0.5, jnp.log(p), jnp.log1p(-p)))


def exact_quantum(
    prior: LogitBeta, data: QuantumData, *, key: PRNGKeyArray | None = None, nodes: int = 1024
) -> tuple[Float[Array, "nodes 1"], Float[Array, " nodes"], Float[Array, ""]]:
    """Points u and log-weights of the exact posterior, and the log-evidence, by quadrature (see `refined_points`).

    The exact log-density at u is that of `prior * QuantumLikelihood(data)` less the log-evidence.
    """
    posterior = prior * QuantumLikelihood(data)
    start = prior.mean + prior.deviation * jnp.linspace(-20.0, 20.0, 128)
    key = jax.random.key(0) if key is None else key
    return refined_points(key, posterior.log_density, start, nodes=nodes, rounds=3)


class QuantumView(View):
    """The logit of the unknown in units of its prior; the outcomes as signs, one row for all ten."""

    dimension: int = eqx.field(static=True, default=1)
    row_size: int = eqx.field(static=True, default=10)
    feature_size: int = eqx.field(static=True, default=4)

    @property
    def mixture_prior(self) -> bool:
        """The prior is no mixture."""
        return False

    def frame(self, prior: LogitBeta) -> Frame:
        """Mean and deviation of the logit under the prior."""
        return Frame(prior.mean[None], prior.deviation[None, None])

    def look(self, prior: LogitBeta, data: QuantumData, frame: Frame) -> Look:
        """Logs of the concentrations, where the frame stands, and the signs of the outcomes."""
        features = jnp.stack([jnp.log(prior.a), jnp.log(prior.b), prior.mean, jnp.log(prior.deviation)])
        del frame
        return Look(None, features, (2 * data.outcomes - 1)[None], jnp.ones(1, bool))

    def check(self, prior: LogitBeta, data: QuantumData) -> None:
        """Raises TypeError for another prior, ValueError for concentrations and outcomes that are none."""
        if not isinstance(prior, LogitBeta):
            raise TypeError(f"the prior must be a LogitBeta(a, b), got {type(prior).__name__}")
        for what, value in (("a", prior.a), ("b", prior.b)):
            if not (np.isfinite(value).all() and np.asarray(value) > 0):
                raise ValueError(f"the concentration {what} of a beta prior must be positive and finite, got {value}")
        outcomes = np.asarray(data.outcomes)
        if outcomes.shape != (len(DESIGN),) or not np.isin(outcomes, (0, 1)).all():
            raise ValueError(f"the outcomes must be {len(DESIGN)} numbers, each 0 or 1, got {outcomes}")

    def outward(self, u: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The weight of sigma_x, between 0 and 1."""
        return jax.nn.sigmoid(u)

    def inward(self, x: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """Its logit."""
        return jnp.log(x) - jnp.log1p(-x)

    def log_jacobian(self, u: Float[Array, " 1"]) -> Float[Array, ""]:
        """Of the logistic function."""
        return jax.nn.log_sigmoid(u[0]) + jax.nn.log_sigmoid(-u[0])


class Quantum(Family):
    """Beta priors with inverse-gamma concentrations, and ten measurements.

    Law: `points` are the nodes of a quadrature of the exact posterior.

    Source: arXiv 2502.02463, section 4.2.2, as far as its text specifies (see `quantum_probabilities`).
    """

    view: QuantumView = QuantumView()
    nodes: int = eqx.field(static=True, default=96)

    def draw(self, key: PRNGKeyArray) -> Problem:
        """A problem with the nodes of a quadrature of its posterior."""
        first, second, unknown, outcomes, shift = jax.random.split(key, 5)
        shape, scale = META_PRIOR
        a, b = (scale * jnp.exp(-jax.random.loggamma(k, jnp.asarray(shape))) for k in (first, second))
        prior = LogitBeta(a, b, "prior")
        p = quantum_probabilities(jax.nn.sigmoid(prior.sample(unknown, ())[0]))
        data = QuantumData((jax.random.uniform(outcomes, p.shape) < p).astype(p.dtype))
        return Problem(prior, data, *exact_quantum(prior, data, key=shift, nodes=self.nodes)[:2])
