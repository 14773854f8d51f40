"""More components, or fewer, with the same mean and covariance."""

from __future__ import annotations

import math
from statistics import NormalDist

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf._arguments import is_count
from probinf.distributions._gmm import GMM
from probinf.distributions._gmm_linear import lower_root


def split_components(gmm: GMM, times: int, *, spread: float = 0.5) -> GMM:
    """Every component as `times` of equal weight whose means stand along the longest column of its Cholesky factor.

    Of a component's variance in that direction the means carry the part `spread**2`, at normal quantiles, and the
    covariances the rest. The divergence from the component to its parts is the same along every axis (in the frame
    where the component is standard they are alike), so the principal axis would gain nothing; a column keeps the
    factors triangular, needs no eigenvectors, and has derivatives where eigenvalues are equal.

    A network that treats components alike never tells identical ones apart; parts of one component are distinct. Parts
    of identical components are identical again: merge those first.

    Law: changes target, by little (a component by less than 5e-4 nats at the default spread); mean and covariance of
    every component, so of the mixture, are exact. The parts of component k are number `k * times` to
    `(k + 1) * times - 1`.

    Raises: ValueError for `times` below one, or a spread that is not strictly between zero and one.
    """
    if not is_count(times) or not 0 < spread < 1:
        raise ValueError(f"times must be at least 1 and spread between 0 and 1, got {times} and {spread}")
    if times == 1:
        return gmm
    quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / times) for i in range(times)])
    # Symmetric to the last bit, so that their mean is zero.
    quantiles = 0.5 * (quantiles - quantiles[::-1])
    places = jnp.asarray(spread * quantiles / np.sqrt(np.mean(quantiles**2)), gmm.means.dtype)
    scales = gmm.held_scales
    longest = jax.nn.one_hot(jnp.argmax(jnp.sum(scales**2, axis=-2), axis=-1), gmm.dimension, dtype=scales.dtype)
    column = jnp.einsum("kij,kj->ki", scales, longest)
    means = gmm.held_means[:, None, :] + places[None, :, None] * column[:, None, :]
    narrow = scales * jnp.where(longest > 0, math.sqrt(1 - spread**2), 1.0)[:, None, :]
    return GMM(
        jnp.repeat(gmm.log_weights - math.log(times), times),
        means.reshape(-1, gmm.dimension),
        jnp.repeat(narrow, times, axis=0),
        gmm.name,
    )


def merge_components(gmm: GMM, components: int) -> GMM:
    """Merges two components at a time, those whose merging costs least, until `components` are left.

    The cost of a pair bounds the Kullback-Leibler divergence from the mixture before to that after. Absent components
    are absorbed first and for nothing. Compiles once for all mixtures of a shape; the order of components decides
    between equal costs only.

    Law: changes target; mean and covariance are exact.

    Raises: ValueError for fewer than one component, or more than there are.

    Source: Runnalls 2007 (IEEE Transactions on Aerospace and Electronic Systems 43(3)), the bound B(i, j).
    """
    if not 1 <= components <= gmm.components:
        raise ValueError(
            f"a mixture of {gmm.components} components cannot be merged to {components}: for more components use "
            "split_components or pad_components"
        )
    return gmm if components == gmm.components else _merge(gmm, components)


def moment_match(gmm: GMM) -> GMM:
    """The one Gaussian with the mixture's mean and covariance.

    Law: changes target; of all Gaussians the nearest, `KL(mixture || Gaussian)` is least.
    """
    mean = gmm.mean
    parts = jnp.concatenate([gmm.held_scales, (gmm.held_means - mean[None, :])[:, :, None]], axis=-1)
    # The square root of a weight from its log: it has a derivative at zero.
    parts = jnp.exp(0.5 * gmm.log_weights)[:, None, None] * parts
    root = lower_root(jnp.moveaxis(parts, 0, 1).reshape(1, gmm.dimension, -1))
    return GMM(jnp.zeros(1, gmm.log_weights.dtype), mean[None, :], root, gmm.name)


def pad_components(gmm: GMM, components: int) -> GMM:
    """The same mixture with absent components added at the end, until there are `components`.

    Law: exact.

    Raises: ValueError for fewer components than there are.
    """
    more = components - gmm.components
    if not is_count(more, 0):
        raise ValueError(
            f"a mixture of {gmm.components} components cannot be padded to {components}: use merge_components"
        )
    eye = jnp.eye(gmm.dimension, dtype=gmm.scales.dtype)
    return GMM(
        jnp.concatenate([gmm.log_weights, jnp.full(more, -jnp.inf, gmm.log_weights.dtype)]),
        jnp.concatenate([gmm.means, jnp.zeros((more, gmm.dimension), gmm.means.dtype)]),
        jnp.concatenate([gmm.scales, jnp.broadcast_to(eye, (more, *eye.shape))]),
        gmm.name,
    )


@eqx.filter_jit
def _merge(gmm: GMM, components: int) -> GMM:
    k = gmm.components
    upper = jnp.triu(jnp.ones((k, k), bool), 1)

    def step(t: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        """Fills a row of the table of costs in each of the first k steps; merges, and renews a row, in all others."""
        log_weights, means, scales, left, costs = state
        first, second = jnp.divmod(jnp.argmin(costs), k)
        merging, i = t >= k, jnp.where(t >= k, first, t)
        log_weight, mean, scale = _merged(log_weights, means, scales, first, second)
        log_weights = jnp.where(merging, log_weights.at[first].set(log_weight).at[second].set(-jnp.inf), log_weights)
        means = jnp.where(merging, means.at[first].set(mean), means)
        scales = jnp.where(merging, scales.at[first].set(scale), scales)
        left = left.at[second].set(left[second] & ~merging)
        row = _costs(log_weights, means, scales, i)
        costs = costs.at[i, :].set(row).at[:, i].set(row)
        return log_weights, means, scales, left, jnp.where(upper & left[:, None] & left[None, :], costs, jnp.inf)

    start = (gmm.log_weights, gmm.held_means, gmm.held_scales, jnp.ones(k, bool), jnp.zeros((k, k), gmm.means.dtype))
    log_weights, means, scales, left, _ = jax.lax.fori_loop(0, 2 * k - components, step, start)
    kept = jnp.argsort(~left, stable=True)[:components]
    return GMM(log_weights[kept], means[kept], scales[kept], gmm.name)


def _merged(log_weights: Array, means: Array, scales: Array, i: Array, j: Array) -> tuple[Array, Array, Array]:
    """Log-weight, mean and Cholesky factor of two components taken as one."""
    first, second = _log_shares(log_weights[i], log_weights[j])
    away = means[j] - means[i]
    # Square roots from logs, because they have derivatives at zero.
    within = [jnp.exp(0.5 * first) * scales[i], jnp.exp(0.5 * second) * scales[j]]
    between = jnp.exp(0.5 * (first + second)) * away[:, None]
    root = lower_root(jnp.concatenate([*within, between], axis=1)[None])[0]
    absent = jnp.maximum(log_weights[i], log_weights[j]) == -jnp.inf
    # The derivative of logaddexp at twice -inf is NaN.
    log_weight = jnp.logaddexp(jnp.where(absent, 0.0, log_weights[i]), jnp.where(absent, 0.0, log_weights[j]))
    return jnp.where(absent, -jnp.inf, log_weight), means[i] + jnp.exp(second) * away, root


def _costs(log_weights: Array, means: Array, scales: Array, i: Array) -> Float[Array, " K"]:
    """The bound B(i, j) for all j; below all others where one of the two is absent."""
    log_weights, means, scales = jax.lax.stop_gradient((log_weights, means, scales))
    log_dets = jnp.sum(jnp.log(jnp.diagonal(scales, axis1=-2, axis2=-1)), axis=-1)

    def cost(j: Array) -> Array:
        log_weight, _, root = _merged(log_weights, means, scales, i, j)
        first, second = _log_shares(log_weights[i], log_weights[j])
        gain = jnp.sum(jnp.log(jnp.diagonal(root))) - jnp.exp(first) * log_dets[i] - jnp.exp(second) * log_dets[j]
        return jnp.exp(log_weight) * gain

    absent = (log_weights == -jnp.inf) | (log_weights[i] == -jnp.inf)
    return jnp.where(absent, -jnp.inf, jax.vmap(cost)(jnp.arange(log_weights.size)))


def _log_shares(first: Array, second: Array) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Logs of two weights as parts of their sum; halves where both are zero."""
    absent = jnp.maximum(first, second) == -jnp.inf
    more = jnp.where(absent, 0.0, jnp.where(absent, 0.0, second) - jnp.where(absent, 0.0, first))
    return jax.nn.log_sigmoid(-more), jax.nn.log_sigmoid(more)
