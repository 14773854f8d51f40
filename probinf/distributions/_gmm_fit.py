"""Mixtures of Gaussians fitted to weighted samples by expectation maximization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import real
from probinf._choice import choice
from probinf.distributions._gmm import GMM
from probinf.distributions._gmm_linear import lower_root

# Each step's mixture: log-weights [K], means [K, D], Cholesky factors [K, D, D].
_Parameters = tuple[Array, Array, Array]


class FitInfo(NamedTuple):
    """The weighted mean log-density of the samples, in nats, at the start and after each step: [steps + 1]."""

    log_likelihood: Float[Array, " T"]


class ChoiceInfo(NamedTuple):
    """The numbers of components tried, and the mean log-density, in nats, of the samples held out under each fit."""

    components: tuple[int, ...]
    held_out: Float[Array, " candidates"]


def fit_gmm(
    key: PRNGKeyArray,
    samples: Float[Array, "N D"],
    components: int,
    *,
    log_weights: Float[Array, " N"] | None = None,
    steps: int = 100,
    floor: float = 1e-4,
) -> tuple[GMM, FitInfo]:
    """The mixture under which weighted samples are most likely, as far as expectation maximization finds it.

    The start is k-means++: centers are samples, drawn far from one another, and every sample belongs to the nearest.
    Regularization: in the frame in which the samples have covariance I, no eigenvalue of a component's covariance is
    below `floor`. Each step is the exact maximum under that bound, so the log-likelihood never falls, and the fit
    moves along with an affine change of the samples. A component that no sample belongs to is absent.

    Law: changes target: a local maximum of the likelihood; consistent only if the samples come from the family (and
    the maximum is the global one). Shapes: `log_weights` [N] need no normalization; samples of weight zero may hold
    anything. Made for jit and vmap, not to be differentiated.

    Raises: ValueError for sizes that do not fit, samples or weights that are not finite, and samples that lie in a
    subspace, where these can be seen (not inside a trace).

    Source: Dempster, Laird and Rubin 1977 (EM); Arthur and Vassilvitskii 2007 (k-means++).
    """
    if samples.ndim != 2 or min(components, steps) < 1 or not 0 < floor < 1:
        raise ValueError(
            "fit_gmm needs samples [N, D], at least one component, at least one step and a floor between 0 and 1, got "
            f"{samples.shape}, {components}, {steps} and {floor}"
        )
    log_weights = jnp.zeros(samples.shape[0], samples.dtype) if log_weights is None else log_weights
    if log_weights.shape != samples.shape[:1]:
        raise ValueError(f"{samples.shape[0]} samples need as many log-weights, got {log_weights.shape}")
    if not any(isinstance(x, Tracer) for x in (samples, log_weights)):
        _check_samples(np.asarray(samples), np.asarray(log_weights))
    fitted, info = _fit(key, samples, components, log_weights, steps, jnp.asarray(floor, samples.dtype))
    return GMM(*fitted), info


def choose_components(
    key: PRNGKeyArray,
    samples: Float[Array, "N D"],
    candidates: Sequence[int],
    held_out: float = 0.25,
    *,
    steps: int = 100,
    floor: float = 1e-4,
) -> tuple[GMM, ChoiceInfo]:
    """The fit to a part of the samples under which the part held out is most likely; of equals the first.

    Law: changes target, as `fit_gmm`. Samples must be exchangeable: which are held out is drawn at random. One program
    is compiled for each candidate; the answer's shape depends on the samples, so it works outside jit only.

    Raises: ValueError for no candidate and for a part that leaves nothing to fit or to hold out.
    """
    samples = real("samples", samples, "samples coordinates", finite=True)
    n = samples.shape[0]
    out = round(float(real("held_out", held_out, "", low=0, high=1)) * n)
    if not candidates or not 1 <= out < n:
        raise ValueError(
            f"choose_components needs a candidate, and samples on both sides: got candidates {tuple(candidates)}, and "
            f"{out} of {n} samples held out"
        )
    shuffle, start = jax.random.split(key)
    shuffled = jax.random.permutation(shuffle, samples)
    fits = [fit_gmm(start, shuffled[out:], k, steps=steps, floor=floor)[0] for k in candidates]
    scores = jnp.stack([_mean_log_density(fit, shuffled[:out]) for fit in fits])
    return fits[int(jnp.argmax(scores))], ChoiceInfo(tuple(candidates), scores)


@eqx.filter_jit
def _mean_log_density(gmm: GMM, samples: Array) -> Array:
    return jnp.mean(jax.vmap(gmm.log_density)(samples))


@eqx.filter_jit
def _fit(
    key: Array, samples: Array, components: int, log_weights: Array, steps: int, floor: Array
) -> tuple[_Parameters, FitInfo]:
    shares = jax.nn.softmax(log_weights)
    samples = jnp.where((shares > 0)[:, None], samples, 0.0)
    center = shares @ samples
    frame = lower_root((jnp.sqrt(shares)[:, None] * (samples - center[None, :])).T[None])[0]
    white = solve_triangular(frame, (samples - center[None, :]).T, lower=True).T
    belongs = _nearest(white, _centers(key, white, shares, components))

    def step(state: tuple[Array, _Parameters], _: None) -> tuple[tuple[Array, _Parameters], Array]:
        parameters = _maximize(white, shares, state[0], floor)
        joint = _log_joint(white, parameters)
        evidence = jax.nn.logsumexp(joint, axis=1)
        return (jnp.exp(joint - evidence[:, None]), parameters), shares @ evidence

    d = samples.shape[1]
    nothing = (
        jnp.zeros(components, samples.dtype),
        jnp.zeros((components, d), samples.dtype),
        jnp.zeros((components, d, d), samples.dtype),
    )
    (_, last), trace = jax.lax.scan(step, (belongs, nothing), None, length=steps + 1)
    log_det = jnp.sum(jnp.log(jnp.diagonal(frame)))
    log_weights, means, scales = last
    fitted = (log_weights, center[None, :] + means @ frame.T, jnp.einsum("de,kef->kdf", frame, scales))
    return fitted, FitInfo(trace - log_det)


def _centers(key: Array, white: Array, shares: Array, components: int) -> Float[Array, "K D"]:
    """A sample by its weight, then each next one by its weight times its squared distance from the nearest so far."""

    def step(squared: Array, key: Array) -> tuple[Array, Array]:
        center = white[choice(key, jnp.log(shares) + jnp.log(squared))]
        return jnp.minimum(squared, _squared_distances(white, center)), center

    # At first every sample is equally far, farther than samples are from one another.
    return jax.lax.scan(step, jnp.full_like(shares, 1e30), jax.random.split(key, components))[1]


def _squared_distances(white: Array, center: Array) -> Float[Array, " N"]:
    return jnp.sum((white - center[None, :]) ** 2, axis=1)


def _nearest(white: Array, centers: Array) -> Float[Array, "N K"]:
    squared = jax.vmap(_squared_distances, in_axes=(None, 0), out_axes=1)(white, centers)
    return jax.nn.one_hot(jnp.argmin(squared, axis=1), centers.shape[0], dtype=white.dtype)


def _log_joint(white: Array, parameters: _Parameters) -> Float[Array, "N K"]:
    """Log-densities of samples and components; a triangular solve for all samples at once."""
    log_weights, means, scales = parameters

    def component(log_weight: Array, mean: Array, scale: Array) -> Array:
        z = solve_triangular(scale, (white - mean[None, :]).T, lower=True)
        log_det = jnp.sum(jnp.log(jnp.diagonal(scale)))
        return log_weight - 0.5 * jnp.sum(z**2, axis=0) - log_det - 0.5 * mean.size * jnp.log(2 * jnp.pi)

    return jax.vmap(component, out_axes=1)(log_weights, means, scales)


def _maximize(white: Array, shares: Array, belongs: Array, floor: Array) -> _Parameters:
    """The best mixture for these memberships of which no covariance has an eigenvalue below the floor.

    Where the covariance may be anything the best is the scatter; under the bound it is the scatter with its smaller
    eigenvalues raised to the floor.
    """
    mass = shares[:, None] * belongs
    weights = jnp.sum(mass, axis=0)
    present = weights > 0
    mass = mass / jnp.where(present, weights, 1.0)[None, :]
    means = mass.T @ white
    away = white[None, :, :] - means[:, None, :]
    scatter = jnp.einsum("nk,knd,kne->kde", mass, away, away)
    values, vectors = jnp.linalg.eigh(scatter)
    scales = lower_root(vectors * jnp.sqrt(jnp.maximum(values, floor))[:, None, :])
    log_weights = jnp.where(present, jnp.log(jnp.where(present, weights, 1.0)), -jnp.inf)
    return log_weights - jax.nn.logsumexp(log_weights), means, scales


def _check_samples(samples: np.ndarray, log_weights: np.ndarray) -> None:
    if np.isnan(log_weights).any() or (log_weights == np.inf).any() or not (log_weights > -np.inf).any():
        raise ValueError("log-weights of samples must be below infinity and one of them above -infinity, without NaN")
    held = samples[log_weights > -np.inf]
    if not np.isfinite(held).all():
        raise ValueError("samples must be finite, got NaN or an infinity: leave them out, or give them log-weight -inf")
    away = (held - held.mean(axis=0)).astype(float)
    size = np.sqrt(np.mean(away**2, axis=0))
    # Correlations are free of units; rounding of the samples must not pass for a direction.
    away = away / np.where(size > 0, size, 1.0)
    smallest = np.linalg.eigvalsh(away.T @ away / len(away))[0]
    if smallest < 10 * np.finfo(samples.dtype).eps:
        raise ValueError(
            f"{len(held)} samples in {samples.shape[1]} dimensions lie in a subspace, so no density is best: give more "
            "samples, or fewer coordinates"
        )
