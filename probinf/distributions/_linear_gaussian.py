"""The linear-Gaussian state-space model, whose filter and smoother are exact."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._measure import Factor
from probinf.distributions._kalman import (
    Affine,
    KalmanResult,
    Measurement,
    Motion,
    posterior_of_noise,
    run_filter,
    run_smoother,
    warn_of_rounding,
)
from probinf.distributions._small_matrices import is_cholesky_factor, orthogonalized
from probinf.distributions._state_space import Dynamics, Pair, Row, StateSpaceModel, normal_columns
from probinf.distributions._table import as_float

# A state is D scalars; a cloud of them is D columns.
Columns = tuple[Array, ...]


def _float_or_none(x: Any) -> Array | None:
    return None if x is None else as_float(x)


# Which fields may have a leading axis of time, and how many axes they have without it.
_AXES = {
    "transition_matrix": 2,
    "transition_scale": 2,
    "observation_matrix": 2,
    "observation_scale": 2,
    "transition_offset": 1,
    "observation_offset": 1,
}


class LinearGaussianModel(StateSpaceModel):
    """x_0 ~ N(mean, cov), x_t = A x_{t-1} + b + N(0, Q), y_t = H x_t + d + N(0, R).

    A state is a tuple of D scalars (`jnp.stack(cloud.values, axis=-1)` is the matrix N x D); y_t has E entries. The
    three noises are given by lower Cholesky factors: `initial_scale` of cov, `transition_scale` of Q,
    `observation_scale` of R. The first two may have zeros on the diagonal, for parts that are known or move without
    noise; such a law draws, but has no density for what needs one (guided filters, ancestor sampling).

    Everything but the first state may vary with time: a matrix or offset with a leading axis T holds that of each row.
    Entry t moves the state into time t, so entry 0 of what moves it is not read. Inputs u are offsets: b = u B'.

    An entry of y_t that is NaN was not seen: filters and smoothers leave it out.

    Args:
        initial_mean: [D].
        initial_scale: [D, D], lower triangular.
        transition_matrix: A, [D, D] or [T, D, D].
        transition_scale: Factor of Q, [D, D] or [T, D, D], lower triangular.
        observation_matrix: H, [E, D] or [T, E, D].
        observation_scale: Factor of R, [E, E] or [T, E, E], lower triangular with a positive diagonal.
        transition_offset: b, [D] or [T, D]; zero by default.
        observation_offset: d, [E] or [T, E]; zero by default.

    Raises:
        ValueError: The shapes disagree; a number is not finite, or a scale not a Cholesky factor, where these can be
            seen (not inside a trace).

    Law: as the equations say. One batched draw a step.
    """

    initial_mean: Float[Array, " D"] = eqx.field(converter=as_float)
    initial_scale: Float[Array, "D D"] = eqx.field(converter=as_float)
    transition_matrix: Float[Array, "... D D"] = eqx.field(converter=as_float)
    transition_scale: Float[Array, "... D D"] = eqx.field(converter=as_float)
    observation_matrix: Float[Array, "... E D"] = eqx.field(converter=as_float)
    observation_scale: Float[Array, "... E E"] = eqx.field(converter=as_float)
    transition_offset: Float[Array, "... D"] | None = eqx.field(converter=_float_or_none, default=None)
    observation_offset: Float[Array, "... E"] | None = eqx.field(converter=_float_or_none, default=None)

    def __check_init__(self):
        """Rejects arrays that do not fit together, and scales that are not Cholesky factors."""
        if self.initial_mean.ndim != 1:
            raise ValueError(f"initial_mean must be one row of numbers, got shape {self.initial_mean.shape}")
        d, e = self.initial_mean.shape[0], self.observation_scale.shape[-1]
        wanted = {
            "initial_scale": (d, d),
            "transition_matrix": (d, d),
            "transition_scale": (d, d),
            "observation_matrix": (e, d),
            "observation_scale": (e, e),
            "transition_offset": (d,),
            "observation_offset": (e,),
        }
        for name, shape in wanted.items():
            array = getattr(self, name)
            found = shape if array is None else array.shape
            if found != shape and (name not in _AXES or found[1:] != shape):
                timed = "" if name not in _AXES else f" or {['T', *shape]}".replace("'", "")
                raise ValueError(
                    f"with an initial mean of {d} entries and an observation scale of {e} rows {name} must be "
                    f"{list(shape)}{timed}, got {found}"
                )
        self._check_values()
        if len(self._lengths) > 1:
            raise ValueError(f"what varies with time must have one number of rows, got {self._lengths}")

    def _check_values(self) -> None:
        arrays = {name: getattr(self, name) for name in ("initial_mean", "initial_scale", *_AXES)}
        seen = {n: np.asarray(a) for n, a in arrays.items() if a is not None and not isinstance(a, Tracer)}
        for name, array in seen.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, got NaN or an infinity: what was not seen is NaN in the rows")
            singular = name != "observation_scale"
            if name.endswith("_scale") and not is_cholesky_factor(array, singular=singular):
                diagonal = "no negative diagonal" if singular else "a positive diagonal"
                raise ValueError(
                    f"{name} must be lower triangular with {diagonal}: give the Cholesky factor of the covariance, "
                    "np.linalg.cholesky(covariance)"
                )

    @property
    def _lengths(self) -> list[int]:
        """The lengths of what varies with time."""
        arrays = [(getattr(self, name), axes) for name, axes in _AXES.items()]
        return sorted({array.shape[0] for array, axes in arrays if array is not None and array.ndim > axes})

    def _now(self, name: str, t: Any) -> Array:
        """A matrix or an offset at a time; NaN at times that a model with time-varying ones does not have."""
        array = getattr(self, name)
        if array is None:
            size = self.dimension if name == "transition_offset" else self.observation_scale.shape[-1]
            return jnp.zeros(size, self.initial_mean.dtype)
        if array.ndim == _AXES[name]:
            return array
        return jnp.take(array, t, axis=0, mode="fill", fill_value=jnp.nan)

    def rows(self, y: Any) -> Row:
        """Observations [T, E] with their times, to filter over; NaN is what was not seen.

        Raises:
            ValueError: Another shape, or more rows than what varies with time has.
        """
        rows = super().rows(y)
        self._check_rows(rows)
        return rows

    def _check_rows(self, rows: Row) -> None:
        e, shape = self.observation_scale.shape[-1], jnp.shape(rows.y)
        if len(shape) != 2 or shape[1] != e:
            raise ValueError(
                f"a model that sees {e} numbers at a time needs observations of shape [T, {e}], got {list(shape)}"
                + (": pass y[:, None]" if len(shape) == 1 and e == 1 else "")
            )
        if self._lengths and shape[0] > self._lengths[0]:
            raise ValueError(
                f"the model's matrices are given for {self._lengths[0]} times, but there are {shape[0]} rows: give one "
                "for each row"
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
        noise = _lower(self._now("transition_scale", row.t), normal_columns(key, n, self.dimension))
        return tuple(m + z for m, z in zip(self._expected(before, row), noise, strict=True))

    def log_initial(self, x: Columns, row: Row | None) -> Float[Array, ""]:
        """Log N(x; mean, cov)."""
        del row
        return _log_normal(tuple(a - m for a, m in zip(x, self.initial_mean, strict=True)), self.initial_scale)

    def log_transition(self, before: Columns, x: Columns, row: Row) -> Float[Array, ""]:
        """Log N(x; A before + b, Q)."""
        return _log_normal(_minus(x, self._expected(before, row)), self._now("transition_scale", row.t))

    def log_observation(self, x: Columns, row: Row) -> Float[Array, ""]:
        """Log N(y; H x + d, R), of the entries that were seen."""
        seen = self._seen(row)
        return _log_normal(_minus(tuple(seen.y), _apply(seen.matrix, x)), seen.scale, seen.present)

    def optimal_proposal(self) -> OptimalProposal:
        """p(x_t | x_{t-1}, y_t), which makes the weights of a guided filter depend on x_{t-1} only."""
        return OptimalProposal(self)

    def look_ahead(self, row: Row) -> Predictive:
        """The factor p(y_t | x_{t-1}) of the state before `row.t`."""
        return Predictive(self, row)

    def kalman(self, rows: Row) -> KalmanResult:
        """Filter exactly: the log-likelihood, and each state given the data so far.

        In float32 the log-likelihood is right to 1e-5 of its size, for starts as diffuse as an `initial_scale` of 1e30
        and for directions of the state that the data never show, as long as no observation is above 100 times the
        deviation of its prediction. Beyond that the data lose digits as they are rounded: `rounding` says how much may
        be lost, and more than 1 % is warned of (outside a trace).

        Args:
            rows: Made by `rows`; NaN entries are left out.

        Returns:
            The log-likelihood in nats, means [T, D] and covariances [T, D, D].

        Raises:
            ValueError: Rows of another width.

        Source: Kalman, Journal of Basic Engineering 82 (1960).
        """
        result, _ = self._filtered(rows)
        warn_of_rounding(result)
        return result

    def kalman_smoother(self, rows: Row) -> KalmanResult:
        """Smooth exactly: the log-likelihood, and each state given all data.

        Args:
            rows: Made by `rows`; NaN entries are left out.

        Returns:
            The log-likelihood in nats, means [T, D] and covariances [T, D, D].

        Raises:
            ValueError: Rows of another width.

        Source: Rauch, Tung and Striebel, AIAA Journal 3 (1965).
        """
        result, (given, known) = self._filtered(rows)
        warn_of_rounding(result)
        return run_smoother(result, given, known, rows, self._motion)

    def _filtered(self, rows: Row) -> Any:
        self._check_rows(rows)
        first = Affine(self.initial_mean, self.initial_scale, jnp.zeros_like(self.initial_scale))
        return run_filter(first, rows, self._motion, self._seen)

    def _motion(self, row: Row) -> Motion:
        return Motion(*(self._now(f"transition_{part}", row.t) for part in ("matrix", "offset", "scale")))

    def _expected(self, before: Columns, row: Row) -> Columns:
        """A before + b, for each lane."""
        moved = _apply(self._now("transition_matrix", row.t), before)
        offset = () if self.transition_offset is None else self._now("transition_offset", row.t)
        return tuple(x + c for x, c in zip(moved, offset, strict=True)) if len(offset) else moved

    def _seen(self, row: Row) -> Measurement:
        """A row without its NaN entries: in their place stands noise of unit scale that is zero."""
        matrix, offset, scale = (self._now(f"observation_{part}", row.t) for part in ("matrix", "offset", "scale"))
        y = jnp.asarray(row.y, scale.dtype)
        if y.shape != offset.shape:
            raise ValueError(f"a model that sees {offset.shape[0]} numbers at a time got a row of shape {y.shape}")
        missing = jnp.isnan(y)
        parts = (jnp.where(missing[:, None], 0.0, scale), jnp.diag(missing.astype(scale.dtype)))
        marginal, _ = orthogonalized(jnp.concatenate(parts, axis=1))
        return Measurement(
            jnp.where(missing, 0.0, y - offset),
            jnp.where(missing[:, None], 0.0, matrix),
            jnp.where(jnp.any(missing), marginal, scale),
            jnp.sum(~missing).astype(scale.dtype),
        )


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
        model = self.model
        seen = model._seen(row)
        gain, scale = posterior_of_noise(model.initial_scale, seen)
        return model.initial_mean + gain @ (seen.y - seen.matrix @ model.initial_mean), scale

    def _next(self, before: Columns, row: Row) -> tuple[Columns, Array]:
        seen, mean = self.model._seen(row), self.model._expected(before, row)
        gain, scale = posterior_of_noise(self.model._now("transition_scale", row.t), seen)
        surprise = _minus(tuple(seen.y), _apply(seen.matrix, mean))
        return tuple(m + z for m, z in zip(mean, _apply(gain, surprise), strict=True)), scale


class Predictive(Factor):
    """p(y_t | x_{t-1}) as a factor of the state at t - 1 (of `now` in a `Pair`): the best look-ahead."""

    model: LinearGaussianModel
    row: Row
    name: str = eqx.field(static=True, default="predictive")

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log N(y; H (A x + b) + d, H Q H' + R), of the entries that were seen."""
        seen = self.model._seen(self.row)
        parts = (seen.matrix @ self.model._now("transition_scale", self.row.t), seen.scale)
        scale, _ = orthogonalized(jnp.concatenate(parts, axis=1))
        mean = _apply(seen.matrix, self.model._expected(x.now if isinstance(x, Pair) else x, self.row))
        return _log_normal(_minus(tuple(seen.y), mean), scale, seen.present)


def _apply(matrix: Float[Array, "E D"], x: Columns) -> Columns:
    """The product with each lane, written out: columns stay columns, and the compiler fuses them."""
    return tuple(_total([m * v for m, v in zip(row, x, strict=True)]) for row in matrix)


def _lower(scale: Float[Array, "D D"], z: Columns) -> Columns:
    """The product of a lower triangular matrix with each lane."""
    return tuple(_total([m * v for m, v in zip(row[: i + 1], z, strict=False)]) for i, row in enumerate(scale))


def _log_normal(x: Columns, scale: Float[Array, "D D"], entries: Any = None) -> Float[Array, ""]:
    """Log-density of N(0, scale scale') at each lane, by forward substitution; of `entries` entries, all by default."""
    solved: list[Array] = []
    for i, v in enumerate(x):
        solved.append((v - _total([scale[i, j] * z for j, z in enumerate(solved)])) / scale[i, i])
    constant = 0.5 * (len(x) if entries is None else entries) * jnp.log(2 * jnp.pi) + jnp.sum(jnp.log(jnp.diag(scale)))
    return -0.5 * _total([z**2 for z in solved]) - constant


def _total(terms: list[Array]) -> Any:
    return sum(terms[1:], terms[0]) if terms else 0.0


def _minus(x: Columns, y: Columns) -> Columns:
    return tuple(a - b for a, b in zip(x, y, strict=True))


def _lane(columns: Columns) -> Columns:
    return tuple(column[0] for column in columns)
