"""Mixtures of Gaussians with full covariances: priors that stay in the family under everything linear."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf._choice import choice
from probinf._measure import Distribution
from probinf.distributions._small_matrices import cholesky, is_cholesky_factor, solve_lower
from probinf.distributions._table import as_float

# Weights that are further from one are a mistake, not rounding.
_SUM_TOLERANCE = 1e-4
# Likewise for a covariance, relative to the product of two standard deviations.
_ASYMMETRY_TOLERANCE = 1e-4
# How far rounding may move a log-density, in nats and relative to 1 + the squared Mahalanobis distance.
_PRECISION = 1e-2


class GMM(Distribution):
    """A mixture of K Gaussians on R^D: `log_weights`, `means`, and lower Cholesky factors `scales` of covariances.

    A component of weight zero (log-weight -inf) is absent: mixtures of different sizes share one shape that way, and
    what an absent component's mean and scale hold never matters. The mathematics is written for one mixture; a batch of
    them is one of these with a leading axis on every array, under `jax.vmap`.

    Law: density `sum_k exp(log_weights_k) N(x; means_k, scales_k scales_k')`, normalized. With V the largest variance
    inflation factor `1 / (1 - R**2)` of a coordinate given all others, rounding moves a component's log-density by
    about `eps sqrt(V)` relative to 1 + the squared Mahalanobis distance of x.

    Raises: ValueError for shapes that disagree, weights that do not sum to one, scales that are not lower triangular
    with a positive diagonal, numbers that are not finite, and scales for which `eps sqrt(V)` exceeds 1e-2 (V above 7e9
    in float32), where these can be seen (not inside a trace).
    """

    log_weights: Float[Array, " K"] = eqx.field(converter=as_float)
    means: Float[Array, "K D"] = eqx.field(converter=as_float)
    scales: Float[Array, "K D D"] = eqx.field(converter=as_float)
    name: str = eqx.field(static=True, default="gmm")  # pyright: ignore[reportIncompatibleMethodOverride]

    def __check_init__(self):
        """Rejects what is no mixture."""
        _check_shapes(self.log_weights.shape, self.means.shape, self.scales.shape)
        if not any(isinstance(leaf, Tracer) for leaf in (self.log_weights, self.means, self.scales)):
            _check_values(np.asarray(self.log_weights), np.asarray(self.means), np.asarray(self.scales))

    @classmethod
    def of(cls, weights: Any, means: Any, covariances: Any, name: str = "gmm") -> GMM:
        """The mixture with these weights (not logs), means and covariance matrices.

        Outside a trace the factors are computed in float64, so that covariances in float64 (NumPy arrays, lists) lose
        nothing before their factors are rounded. Where `eps V` exceeds 1e-2 for the eps of what is given (V above 8e4
        in float32) rounding of the entries has changed the law: this is refused, and gives NaN inside a trace.

        Raises: ValueError as the class does, for a negative weight, and for a covariance that is not symmetric positive
        definite, or nearly singular in the precision in which it is given.
        """
        weights, means, given, covariances = as_float(weights), as_float(means), covariances, as_float(covariances)
        _check_shapes(weights.shape, means.shape, covariances.shape)
        if any(isinstance(x, Tracer) for x in (weights, covariances)):
            scales = _traced_factors(weights, covariances)
        else:
            scales = jnp.asarray(_factors(np.asarray(weights), np.asarray(given)), covariances.dtype)
        present = weights != 0
        return cls(jnp.where(present, jnp.log(jnp.where(present, weights, 1.0)), -jnp.inf), means, scales, name)

    @property
    def components(self) -> int:
        """Number of components, absent ones included."""
        return self.means.shape[0]

    @property
    def dimension(self) -> int:
        """Dimension of the space."""
        return self.means.shape[1]

    @property
    def present(self) -> Bool[Array, " K"]:
        """Which components have a weight."""
        return self.log_weights > -jnp.inf

    @property
    def mean(self) -> Float[Array, " D"]:
        """The mixture's mean."""
        return self._weights @ self.held_means

    @property
    def covariance(self) -> Float[Array, "D D"]:
        """The mixture's covariance: the mean of the components' covariances and the covariance of their means."""
        away = self.held_means - self.mean[None, :]
        within = jnp.einsum("k,kij,klj->il", self._weights, self.held_scales, self.held_scales)
        return within + jnp.einsum("k,ki,kj->ij", self._weights, away, away)

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, " D"]:
        """A component by its weight, then a point of it; what came before does not matter."""
        del x
        which, where = jax.random.split(key)
        k = choice(which, self.log_weights)
        # The index of nothing, from weights that are NaN, must give NaN and not the first component.
        mean = jnp.take(self.means, k, axis=0)
        return mean + self.scales[k] @ jax.random.normal(where, (self.dimension,), self.means.dtype)

    def component_log_densities(self, x: Float[Array, " D"]) -> Float[Array, " K"]:
        """Log-density of a point under each component, without the weights; for an absent one, under N(0, I)."""
        z = jax.vmap(solve_lower)(self.held_scales, x[None, :] - self.held_means)
        log_det = jnp.sum(jnp.log(jnp.diagonal(self.held_scales, axis1=-2, axis2=-1)), axis=-1)
        return -0.5 * jnp.sum(z**2, axis=-1) - log_det - 0.5 * self.dimension * jnp.log(2 * jnp.pi)

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Log-density of a point, in nats."""
        return jax.nn.logsumexp(self.log_weights + self.component_log_densities(x))

    def renamed(self, name: str) -> GMM:
        """The same mixture under another name in measures."""
        return GMM(self.log_weights, self.means, self.scales, name)

    # What an absent component holds may be anything, infinities too: zero times that would be NaN.
    @property
    def held_means(self) -> Float[Array, "K D"]:
        """The means, zero where a component is absent."""
        return jnp.where(self.present[:, None], self.means, 0.0)

    @property
    def held_scales(self) -> Float[Array, "K D D"]:
        """The scales, the identity where a component is absent."""
        eye = jnp.eye(self.dimension, dtype=self.scales.dtype)
        return jnp.where(self.present[:, None, None], self.scales, eye)

    @property
    def _weights(self) -> Float[Array, " K"]:
        return jnp.exp(self.log_weights)


def _check_shapes(weights: tuple[int, ...], means: tuple[int, ...], matrices: tuple[int, ...]) -> None:
    k, d = means if len(means) == 2 else (0, 0)
    if min(k, d) < 1 or weights != (k,) or matrices != (k, d, d):
        raise ValueError(
            "a mixture of K Gaussians in D dimensions needs weights [K], means [K, D] and Cholesky factors or "
            f"covariances [K, D, D], got {weights}, {means} and {matrices}; batches are made by jax.vmap"
        )


def _traced_factors(weights: Array, covariances: Array) -> Float[Array, "K D D"]:
    """Cholesky factors, NaN for a covariance whose rounding may have changed the law by more than `_PRECISION`."""
    eye = jnp.eye(covariances.shape[-1], dtype=covariances.dtype)
    # An absent component's covariance may be anything.
    covariances = jnp.where((weights != 0)[:, None, None], covariances, eye)
    scales = jax.vmap(cholesky)(covariances)
    inverses = jax.vmap(lambda scale: solve_lower(scale, eye))(scales)
    inflation = jnp.max(jnp.sum(inverses**2, axis=-2) * jnp.sum(scales**2, axis=-1), axis=-1)
    resolved = inflation * jnp.finfo(covariances.dtype).eps <= _PRECISION
    return jnp.where(resolved[:, None, None], scales, jnp.nan)


def _factors(weights: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Cholesky factors in float64.

    Raises: ValueError for a negative weight, and for a covariance that `GMM.of` refuses.
    """
    if (weights < 0).any():
        raise ValueError("the weights of a mixture must not be negative: give logs to GMM, weights to GMM.of")
    eye = np.eye(given.shape[-1])
    covariances = np.where((weights != 0)[:, None, None], given.astype(float), eye)
    deviations = np.sqrt(np.abs(np.diagonal(covariances, axis1=-2, axis2=-1)))
    apart = np.abs(covariances - np.swapaxes(covariances, -1, -2))
    try:
        # The comparison is false for NaN.
        if not (apart <= _ASYMMETRY_TOLERANCE * deviations[:, :, None] * deviations[:, None, :]).all():
            raise np.linalg.LinAlgError
        scales = np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        raise ValueError("covariances must be symmetric positive definite, got one that is not") from None
    eps = np.finfo(given.dtype if np.issubdtype(given.dtype, np.floating) else float).eps
    inflation = _inflation(scales)
    if not inflation * eps <= _PRECISION:
        raise ValueError(
            f"a covariance is nearly singular: a coordinate has variance inflation factor {inflation:.2g} given the "
            f"others, at most {_PRECISION / eps:.2g} can be told from rounding: give covariances in float64 as a NumPy "
            "array, their Cholesky factors to GMM, or fewer coordinates"
        )
    return scales


def _inflation(scales: np.ndarray) -> float:
    """The largest variance inflation factor of a coordinate, over Cholesky factors."""
    scales = scales.astype(float)
    # Rows of unit length: the factor of the correlation matrix.
    scales = scales / np.linalg.norm(scales, axis=-1, keepdims=True)
    return float(np.max(np.sum(np.linalg.inv(scales) ** 2, axis=-2), initial=1.0))


def _check_values(log_weights: np.ndarray, means: np.ndarray, scales: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        total = np.exp(log_weights.astype(float)).sum()
    if not abs(total - 1) < _SUM_TOLERANCE:
        raise ValueError(
            f"the weights of a mixture must sum to one, got {total:.6g}: subtract their logsumexp from the log-weights"
        )
    present = log_weights > -np.inf
    means, scales = means[present], scales[present]
    if not (np.isfinite(means).all() and np.isfinite(scales).all()):
        raise ValueError("the means and Cholesky factors of a mixture must be finite, got NaN or an infinity")
    if not is_cholesky_factor(scales):
        raise ValueError(
            "the scales of a mixture must be lower triangular with a positive diagonal: build it from covariances "
            "with GMM.of(weights, means, covariances)"
        )
    inflation, limit = _inflation(scales), (_PRECISION / np.finfo(scales.dtype).eps) ** 2
    if not inflation <= limit:
        raise ValueError(
            f"the scales of a mixture are nearly singular: a coordinate has variance inflation factor {inflation:.2g} "
            f"given the others, at most {limit:.2g} can be told from rounding in {scales.dtype}: set jax_enable_x64, "
            "or keep fewer coordinates"
        )
