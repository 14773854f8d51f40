"""The linear-Gaussian state-space model, and the Kalman filter that solves it exactly."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Factor
from probinf.distributions._state_space import Dynamics, Pair, Row, StateSpaceModel, normal_columns

# A state is D scalars; a cloud of them is D columns.
Columns = tuple[Array, ...]


def _float(x: Any) -> Array:
    return jnp.asarray(x, float) if not hasattr(x, "dtype") else jnp.asarray(x)


class KalmanResult(NamedTuple):
    """Exact log-likelihood; means and covariances of the state at each time given the data so far."""

    log_likelihood: Float[Array, ""]
    means: Float[Array, "T D"]
    covariances: Float[Array, "T D D"]


class LinearGaussianModel(StateSpaceModel):
    """x_0 ~ N(mean, cov), x_t = A x_{t-1} + N(0, Q), y_t = H x_t + N(0, R).

    A state is a tuple of D scalars (`jnp.stack(cloud.values, axis=-1)` is the matrix N x D); y_t has E entries. The
    three noises are given by lower Cholesky factors: `initial_scale` of cov, `transition_scale` of Q,
    `observation_scale` of R.

    Law: as the equations say. One batched draw a step.

    Raises: ValueError where the shapes disagree.
    """

    initial_mean: Float[Array, " D"] = eqx.field(converter=_float)
    initial_scale: Float[Array, "D D"] = eqx.field(converter=_float)
    transition_matrix: Float[Array, "D D"] = eqx.field(converter=_float)
    transition_scale: Float[Array, "D D"] = eqx.field(converter=_float)
    observation_matrix: Float[Array, "E D"] = eqx.field(converter=_float)
    observation_scale: Float[Array, "E E"] = eqx.field(converter=_float)

    def __check_init__(self):
        """Rejects matrices that do not fit together."""
        d, e = self.initial_mean.shape[0], self.observation_scale.shape[0]
        squares = (self.initial_scale, self.transition_matrix, self.transition_scale)
        if any(square.shape != (d, d) for square in squares) or self.observation_matrix.shape != (e, d):
            raise ValueError(
                f"with an initial mean of {d} entries and an observation scale of {e} rows, the other scales and the "
                f"transition must be [{d}, {d}] and the observation matrix [{e}, {d}], got "
                f"{[square.shape for square in squares]} and {self.observation_matrix.shape}"
            )

    @property
    def dimension(self) -> int:
        """Entries of a state."""
        return self.initial_mean.shape[0]

    def draw_initial(self, key: PRNGKeyArray, row: Row | None) -> Columns:
        """A draw from N(mean, cov)."""
        return _lane(self.draw_initial_lanes(key, row, 1))

    def draw_initial_lanes(self, key: PRNGKeyArray, row: Row | None, n: int) -> Columns:
        """Draws from N(mean, cov)."""
        del row
        noise = _lower(self.initial_scale, normal_columns(key, n, self.dimension))
        return tuple(m + z for m, z in zip(self.initial_mean, noise, strict=True))

    def draw_next(self, key: PRNGKeyArray, before: Columns, row: Row) -> Columns:
        """A draw from N(A x, Q)."""
        return _lane(self.draw_next_lanes(key, jax.tree.map(lambda x: x[None], before), row, 1))

    def draw_next_lanes(self, key: PRNGKeyArray, before: Columns, row: Row, n: int) -> Columns:
        """Draws from N(A x, Q)."""
        del row
        noise = _lower(self.transition_scale, normal_columns(key, n, self.dimension))
        return tuple(m + z for m, z in zip(_apply(self.transition_matrix, before), noise, strict=True))

    def log_initial(self, x: Columns, row: Row | None) -> Float[Array, ""]:
        """Log N(x; mean, cov)."""
        del row
        return _log_normal(tuple(a - m for a, m in zip(x, self.initial_mean, strict=True)), self.initial_scale)

    def log_transition(self, before: Columns, x: Columns, row: Row) -> Float[Array, ""]:
        """Log N(x; A before, Q)."""
        del row
        return _log_normal(_minus(x, _apply(self.transition_matrix, before)), self.transition_scale)

    def log_observation(self, x: Columns, row: Row) -> Float[Array, ""]:
        """Log N(y; H x, R)."""
        return _log_normal(_minus(tuple(row.y), _apply(self.observation_matrix, x)), self.observation_scale)

    def optimal_proposal(self) -> OptimalProposal:
        """p(x_t | x_{t-1}, y_t), which makes the weights of a guided filter depend on x_{t-1} only."""
        return OptimalProposal(self)

    def look_ahead(self, row: Row) -> Predictive:
        """The factor p(y_t | x_{t-1}) of the state before `row.t`."""
        return Predictive(self, row)

    def kalman(self, rows: Row) -> KalmanResult:
        """The exact filter.

        Source: Kalman, Journal of Basic Engineering 82 (1960).
        """
        a, h = self.transition_matrix, self.observation_matrix
        q, r = _square(self.transition_scale), _square(self.observation_scale)

        def update(mean: Array, cov: Array, y: Array) -> tuple[Array, Array, Array]:
            scale = jnp.linalg.cholesky(h @ cov @ h.T + r)
            gain = cho_solve((scale, True), h @ cov).T
            z = solve_triangular(scale, y - h @ mean, lower=True)
            log_y = -0.5 * jnp.sum(z**2 + jnp.log(2 * jnp.pi)) - jnp.sum(jnp.log(jnp.diag(scale)))
            keep = jnp.eye(len(mean)) - gain @ h
            return mean + gain @ (y - h @ mean), keep @ cov @ keep.T + gain @ r @ gain.T, log_y

        def step(carry: tuple[Array, Array], y: Array) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
            mean, cov, log_y = update(*carry, y)
            return (a @ mean, a @ cov @ a.T + q), (mean, cov, log_y)

        _, (means, covariances, log_y) = jax.lax.scan(step, (self.initial_mean, _square(self.initial_scale)), rows.y)
        return KalmanResult(jnp.sum(log_y), means, covariances)


class OptimalProposal(Dynamics):
    """The law of the next state given the one before and the row, in closed form.

    Source: Doucet, Godsill and Andrieu, Statistics and Computing 10 (2000), section II.D.
    """

    model: LinearGaussianModel

    @property
    def name(self) -> str:
        """What it is called in a measure."""
        return "optimal"

    def draw_initial(self, key: PRNGKeyArray, row: Row | None) -> Columns:
        """A draw from p(x_0 | y_0)."""
        return _lane(self.draw_initial_lanes(key, row, 1))

    def draw_initial_lanes(self, key: PRNGKeyArray, row: Row | None, n: int) -> Columns:
        """Draws from p(x_0 | y_0)."""
        mean, scale = self._first(row)
        noise = _lower(scale, normal_columns(key, n, self.model.dimension))
        return tuple(m + z for m, z in zip(mean, noise, strict=True))

    def draw_next(self, key: PRNGKeyArray, before: Columns, row: Row) -> Columns:
        """A draw from p(x_t | x_{t-1}, y_t)."""
        return _lane(self.draw_next_lanes(key, jax.tree.map(lambda x: x[None], before), row, 1))

    def draw_next_lanes(self, key: PRNGKeyArray, before: Columns, row: Row, n: int) -> Columns:
        """Draws from p(x_t | x_{t-1}, y_t)."""
        mean, scale = self._next(before, row)
        noise = _lower(scale, normal_columns(key, n, self.model.dimension))
        return tuple(m + z for m, z in zip(mean, noise, strict=True))

    def log_initial(self, x: Columns, row: Row | None) -> Float[Array, ""]:
        """Its log-density at time 0."""
        mean, scale = self._first(row)
        return _log_normal(tuple(a - m for a, m in zip(x, mean, strict=True)), scale)

    def log_transition(self, before: Columns, x: Columns, row: Row) -> Float[Array, ""]:
        """Its log-density later."""
        mean, scale = self._next(before, row)
        return _log_normal(_minus(x, mean), scale)

    def _first(self, row: Row | None) -> tuple[Array, Array]:
        assert row is not None
        gain, scale = _gain(self.model, _square(self.model.initial_scale))
        mean = self.model.initial_mean
        return mean + gain @ (row.y - self.model.observation_matrix @ mean), scale

    def _next(self, before: Columns, row: Row) -> tuple[Columns, Array]:
        gain, scale = _gain(self.model, _square(self.model.transition_scale))
        mean = _apply(self.model.transition_matrix, before)
        surprise = _minus(tuple(row.y), _apply(self.model.observation_matrix, mean))
        return tuple(m + z for m, z in zip(mean, _apply(gain, surprise), strict=True)), scale


class Predictive(Factor):
    """p(y_t | x_{t-1}) as a factor of the state at t - 1 (of `now` in a `Pair`): the best look-ahead."""

    model: LinearGaussianModel
    row: Row
    name: str = eqx.field(static=True, default="predictive")

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log N(y; H A x, H Q H' + R)."""
        h = self.model.observation_matrix
        cov = h @ _square(self.model.transition_scale) @ h.T + _square(self.model.observation_scale)
        mean = _apply(h, _apply(self.model.transition_matrix, x.now if isinstance(x, Pair) else x))
        return _log_normal(_minus(tuple(self.row.y), mean), jnp.linalg.cholesky(cov))


def _gain(model: LinearGaussianModel, cov: Float[Array, "D D"]) -> tuple[Float[Array, "D E"], Float[Array, "D D"]]:
    """Kalman gain for a prior covariance, and the Cholesky factor of the posterior covariance."""
    h, r = model.observation_matrix, _square(model.observation_scale)
    gain = jnp.linalg.solve(h @ cov @ h.T + r, h @ cov).T
    keep = jnp.eye(model.dimension) - gain @ h
    return gain, jnp.linalg.cholesky(keep @ cov @ keep.T + gain @ r @ gain.T)


def _apply(matrix: Float[Array, "E D"], x: Columns) -> Columns:
    """The product with each lane, written out: columns stay columns, and the compiler fuses them."""
    return tuple(_total([m * v for m, v in zip(row, x, strict=True)]) for row in matrix)


def _lower(scale: Float[Array, "D D"], z: Columns) -> Columns:
    """The product of a lower triangular matrix with each lane."""
    return tuple(_total([m * v for m, v in zip(row[: i + 1], z, strict=False)]) for i, row in enumerate(scale))


def _log_normal(x: Columns, scale: Float[Array, "D D"]) -> Float[Array, ""]:
    """Log-density of N(0, scale scale') at each lane, by forward substitution."""
    solved: list[Array] = []
    for i, v in enumerate(x):
        solved.append((v - _total([scale[i, j] * z for j, z in enumerate(solved)])) / scale[i, i])
    constant = 0.5 * len(x) * jnp.log(2 * jnp.pi) + jnp.sum(jnp.log(jnp.diag(scale)))
    return -0.5 * _total([z**2 for z in solved]) - constant


def _total(terms: list[Array]) -> Any:
    return sum(terms[1:], terms[0]) if terms else 0.0


def _minus(x: Columns, y: Columns) -> Columns:
    return tuple(a - b for a, b in zip(x, y, strict=True))


def _square(scale: Float[Array, "D D"]) -> Float[Array, "D D"]:
    return scale @ scale.T


def _lane(columns: Columns) -> Columns:
    return tuple(column[0] for column in columns)
