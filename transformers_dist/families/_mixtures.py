"""Meta-priors over mixtures of Gaussians."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import count, is_count, real
from probinf.distributions import GMM
from probinf.distributions._small_matrices import lower_root, orthogonalized


def draw_mixture(key: PRNGKeyArray, dimension: int, components: int, *, least: int, spread: float = 1.0) -> GMM:
    """A random mixture with `least` to `components` components.

    Law: how many is uniform; weights Dirichlet(1); means N(0, spread^2); covariances with eigenvalues InvGamma(1, 1)
    (of at most 100, so that single precision suffices) along axes that are uniform over rotations.

    Raises: ValueError for a dimension or numbers of components below one, and a spread below zero.

    Source: arXiv 2502.02463, appendix C.1 (means, variances and weights); the rotation is ours, because appendix C.1
    does not say how its covariances correlate.
    """
    count("dimension", dimension)
    if not is_count(components) or not is_count(least) or least > components:
        raise ValueError(f"a mixture has from one to `components` components, got least={least} of {components}")
    real("spread", spread, "", low=0, finite=True)
    how_many, weights, means, variances, axes = jax.random.split(key, 5)
    log_weights = draw_log_weights(how_many, weights, components, least=least)
    deviations = jnp.sqrt(jnp.minimum(1 / jax.random.exponential(variances, (components, dimension)), 100.0))
    rotations = random_rotation(axes, components, dimension)
    roots = jnp.swapaxes(deviations[:, :, None] * rotations, -1, -2)
    return GMM(
        log_weights,
        spread * jax.random.normal(means, (components, dimension)),
        lower_root(roots),
        "prior",
    )


def draw_log_weights(
    how_many: PRNGKeyArray, weights: PRNGKeyArray, components: int, *, least: int
) -> Float[Array, " K"]:
    """Dirichlet(1) log-weights of `least` to `components` components, as many as the first key says."""
    count = jax.random.randint(how_many, (), least, components + 1)
    log_gamma = jnp.log(jax.random.exponential(weights, (components,)))
    return jax.nn.log_softmax(jnp.where(jnp.arange(components) < count, log_gamma, -jnp.inf))


def random_rotation(key: PRNGKeyArray, n: int, dimension: int) -> Float[Array, "n D D"]:
    """Rotations and reflections, uniform over the orthogonal group."""
    return jax.vmap(lambda root: orthogonalized(root)[1])(jax.random.normal(key, (n, dimension, dimension)))


def draw_count(key: PRNGKeyArray, least: int, most: int) -> Int[Array, ""]:
    """A number of data, uniform between two bounds."""
    return jax.random.randint(key, (), least, most + 1)
