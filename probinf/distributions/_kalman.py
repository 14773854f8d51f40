"""The Kalman filter and the smoother of Rauch, Tung and Striebel, without a covariance that is squared or inverted.

The first state is mean + scale u with u ~ N(0, I). Given u, the state at every time is Gaussian with a covariance that
does not depend on the first one, and a mean that is affine in u; what the data say of u is a least-squares problem,
which rotations solve row by row. A start that knows nothing (a scale of 1e8 or 1e20) is then only a factor in front of
u, which no other number is added to: that is what a covariance in float32 cannot do.

Source: given u, Carlson, AIAA Journal 11 (1973); u by least squares, de Jong, Annals of Statistics 19 (1991);
backwards, Rauch, Tung and Striebel, AIAA Journal 3 (1965).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from probinf.distributions._small_matrices import (
    absorb_measurement,
    absorb_row,
    orthogonalized,
    solve_lower,
    solve_upper,
)

# The share of a log-likelihood that rounding may change without a word.
_ROUNDED = 0.01


class KalmanResult(NamedTuple):
    """Exact log-likelihood; means and covariances of the state at each time, given the data so far or all of them.

    A variance too large for the floating-point numbers in use is infinite. `rounding` estimates, in nats, what rounding
    may have changed in the log-likelihood: much where the data are large beside the deviation of their prediction.
    """

    log_likelihood: Float[Array, ""]
    means: Float[Array, "T D"]
    covariances: Float[Array, "T D D"]
    rounding: Float[Array, ""]


class Motion(NamedTuple):
    """x_t = matrix x_{t-1} + offset + N(0, scale scale')."""

    matrix: Float[Array, "D D"]
    offset: Float[Array, " D"]
    scale: Float[Array, "D D"]


class Measurement(NamedTuple):
    """y = matrix x + N(0, scale scale'); `present` entries were seen; the others are zero, of unit scale."""

    y: Float[Array, " E"]
    matrix: Float[Array, "E D"]
    scale: Float[Array, "E E"]
    present: Float[Array, ""]


class Affine(NamedTuple):
    """x given u: N(mean + slope u, root root')."""

    mean: Float[Array, " D"]
    slope: Float[Array, "D D"]
    root: Float[Array, "D D"]


class Known(NamedTuple):
    """What the data say of u: lower u = right, each row with unit noise."""

    lower: Float[Array, "D D"]
    right: Float[Array, "D 1"]


def run_filter(
    first: Affine, rows: Any, motion_at: Callable[[Any], Motion], seen_at: Callable[[Any], Measurement]
) -> tuple[KalmanResult, tuple[Affine, Known]]:
    """The filter's result, and x given u at each time with what is known of u in the end."""

    def observe(x: Affine, known: Known, row: Any) -> tuple[tuple[Affine, Known], tuple]:
        x, known, scores = _update(x, known, seen_at(row))
        return (x, known), (x, _moments(x, known), scores)

    def step(carry: tuple[Affine, Known], row: Any) -> tuple[tuple[Affine, Known], tuple]:
        x, known = carry
        return observe(_moved(x, motion_at(row)), known, row)

    at = lambda index: jax.tree.map(lambda leaf: leaf[index], rows)  # noqa: E731
    size, dtype = first.mean.shape[0], first.mean.dtype
    nothing = Known(jnp.eye(size, dtype=dtype), jnp.zeros((size, 1), dtype))
    carry, start = observe(first, nothing, at(0))
    (_, known), later = jax.lax.scan(step, carry, at(slice(1, None)))
    given, (means, covariances), scores = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start, later)
    log_y, rounding = (jnp.sum(score) for score in scores)
    return KalmanResult(log_y, means, covariances, rounding), (given, known)


def run_smoother(
    filtered: KalmanResult, given: Affine, known: Known, rows: Any, motion_at: Callable[[Any], Motion]
) -> KalmanResult:
    """Means and covariances given all data, from what the filter left."""

    def back(after: Affine, step: tuple[Affine, Any]) -> tuple[Affine, Affine]:
        now, row = step
        motion = motion_at(row)
        size = now.mean.shape[0]
        both = jnp.block([[motion.matrix @ now.root, motion.scale], [now.root, jnp.zeros_like(now.root)]])
        lower, _ = orthogonalized(both)
        ahead, cross, left = lower[:size, :size], lower[size:, :size], lower[size:, size:]
        # A direction that cannot vary ahead says nothing about now: its zero on the diagonal must not divide.
        held = jnp.eye(size, dtype=bool) & (ahead == 0)
        gain = solve_upper(jnp.where(held, jnp.inf, ahead).T, cross.T).T
        root, _ = orthogonalized(jnp.concatenate([left, gain @ after.root], axis=1))
        predicted = _moved(now, motion)
        mean = now.mean + gain @ (after.mean - predicted.mean)
        smoothed = Affine(mean, now.slope + gain @ (after.slope - predicted.slope), root)
        return smoothed, smoothed

    earlier, last = (jax.tree.map(lambda leaf, at=at: leaf[at], given) for at in (slice(None, -1), -1))
    later = jax.tree.map(lambda leaf: leaf[1:], rows)
    _, smoothed = jax.lax.scan(back, last, (earlier, later), reverse=True)
    smoothed = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), smoothed, last)
    means, covariances = jax.vmap(lambda x: _moments(x, known))(smoothed)
    return filtered._replace(means=means, covariances=covariances)


def warn_of_rounding(result: KalmanResult) -> None:
    """Warn where rounding may have changed the log-likelihood by more than a hundredth; silent inside a trace."""
    if isinstance(result.rounding, Tracer):
        return
    rounding, size = float(result.rounding), max(1.0, abs(float(result.log_likelihood)))
    if rounding > _ROUNDED * size:
        warnings.warn(
            f"rounding may have changed this log-likelihood by {rounding:.2g} nats: the observations are large beside "
            "the deviation of their prediction; subtract their level, or use float64",
            stacklevel=3,
        )


def posterior_of_noise(
    scale: Float[Array, "D D"], seen: Measurement
) -> tuple[Float[Array, "D E"], Float[Array, "D D"]]:
    """Gain on the surprise of a measurement of x, and the Cholesky factor of x given it, for x ~ N(m, scale scale')."""
    size, dtype = scale.shape[0], scale.dtype
    rows = solve_lower(seen.scale, seen.matrix)
    e = rows.shape[0]
    start = (jnp.eye(size, dtype=dtype), jnp.zeros((size, e), dtype))

    def absorb(carry: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        row, unit = inputs
        lower, right, _ = absorb_row(*carry, row @ scale, jnp.abs(row) @ jnp.abs(scale), unit)
        return (lower, right), None

    (lower, right), _ = jax.lax.scan(absorb, start, (rows, jnp.eye(e, dtype=dtype)))
    gain = scale @ solve_lower(lower, right)
    return solve_upper(seen.scale.T, gain.T).T, solve_upper(lower.T, scale.T).T


def _update(x: Affine, known: Known, seen: Measurement) -> tuple[Affine, Known, tuple[Array, Array]]:
    """One row of data, an entry at a time, after its noise has been made white; its log-density, and the rounding."""
    h, y = solve_lower(seen.scale, seen.matrix), solve_lower(seen.scale, seen.y)

    def absorb(carry: tuple[Affine, Known], entry: tuple[Array, Array]) -> tuple[tuple[Affine, Known], tuple]:
        (mean, slope, root), (lower, right) = carry
        row, value = entry
        surprise, tilt, size = value - row @ mean, row @ slope, jnp.abs(row) @ jnp.abs(slope)
        root, gain, deviation = absorb_measurement(root, row)
        after, right, residual = absorb_row(
            lower, right, tilt / deviation, size / deviation, (surprise / deviation)[None]
        )
        log_det = jnp.log(deviation) + jnp.sum(jnp.log(jnp.diag(after)) - jnp.log(jnp.diag(lower)))
        x = Affine(mean + gain * surprise, slope - gain[:, None] * tilt[None, :], root)
        log_y = -0.5 * residual[0] ** 2 - log_det
        # What one rounding of the largest term of the surprise does to the residual, and that to its square.
        wrong = jnp.finfo(row.dtype).eps * (jnp.abs(value) + jnp.abs(row) @ jnp.abs(mean)) * jnp.exp(-log_det)
        return (x, Known(after, right)), (log_y, wrong * (jnp.abs(residual[0]) + wrong))

    (x, known), (log_y, rounding) = jax.lax.scan(absorb, (x, known), (h, y))
    constant = 0.5 * seen.present * jnp.log(2 * jnp.pi) + jnp.sum(jnp.log(jnp.diag(seen.scale)))
    log_y = jnp.sum(log_y) - constant
    return x, known, (log_y, jnp.sum(rounding) + jnp.finfo(log_y.dtype).eps * jnp.abs(log_y))


def _moved(x: Affine, motion: Motion) -> Affine:
    root, _ = orthogonalized(jnp.concatenate([motion.matrix @ x.root, motion.scale], axis=1))
    return Affine(motion.matrix @ x.mean + motion.offset, motion.matrix @ x.slope, root)


def _moments(x: Affine, known: Known) -> tuple[Float[Array, " D"], Float[Array, "D D"]]:
    """Mean and covariance of x, u being what the data say."""
    mean = x.mean + x.slope @ solve_lower(known.lower, known.right[:, 0])
    root = jnp.concatenate([x.root, solve_upper(known.lower.T, x.slope.T).T], axis=1)
    # Deviations and correlations are finite where a variance is not.
    largest = jnp.max(jnp.abs(root), axis=1)
    scaled = root / jnp.where(largest > 0, largest, 1.0)[:, None]
    length = jnp.sqrt(jnp.where(largest > 0, jnp.sum(scaled**2, axis=1), 1.0))
    unit, deviation = scaled / length[:, None], largest * length
    return mean, (deviation[:, None] * (unit @ unit.T)) * deviation[None, :]
