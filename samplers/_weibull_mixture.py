"""A mixture of two Weibull laws, fitted to probabilities of paths: which of them are plausible at all."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from probinf._arguments import real

# Bounds of the released code; it has none above for the shape, where the likelihood has none either.
_WEIGHT, _SHAPE = (0.2, 0.8), (0.01, 100.0)
# Start of the released code: weight of the first component, shapes, scales.
_START = (0.5, (1.0, 1.5), (1.0, 2.0))
_STEPS, _HALVINGS = 100, 30


class WeibullMixture(NamedTuple):
    """Two laws of density (k / lam) (x / lam)^(k - 1) exp(-(x / lam)^k): weights of sum one, shapes k, scales lam."""

    weight: Float[Array, "*batch 2"]
    shape: Float[Array, "*batch 2"]
    scale: Float[Array, "*batch 2"]

    def log_parts(self, log_x: Float[Array, " n"]) -> Float[Array, "2 n"]:
        """Log of weight times density of each component, per unit of log x, in nats."""
        z = self.shape[:, None] * (log_x[None, :] - jnp.log(self.scale)[:, None])
        return jnp.log(self.weight * self.shape)[:, None] + z - jnp.exp(z)

    @property
    def log_mean(self) -> Float[Array, " 2"]:
        """Log of the mean lam Gamma(1 + 1/k) of each component."""
        return jnp.log(self.scale) + gammaln(1 + 1 / self.shape)


def weibull_mixture(log_x: Float[Array, " n"]) -> WeibullMixture:
    """Fits a mixture of two Weibull laws to positive numbers, given as logs, by expectation maximization.

    The weights stay in [.2, .8] and the shapes in [.01, 100]: without a bound above, a component that stands on one
    point has an unbounded likelihood. A scale is a power mean of the data and needs no bound. It takes 100 steps from
    weight .5, shapes 1 and 1.5 and scales 1 and 2, none of which lowers the likelihood; where the components
    overlap that may stop some hundredths of a nat short of a local maximum.

    log_x: in nats, finite, at least two. For many tasks use `jax.vmap`.

    Raises: ValueError for fewer than two numbers, and for ones that are not finite, unless traced.

    Source: the mixture of arXiv 2502.00511, whose released code minimizes with scipy from the same start.
    """
    return mixture_of(real("log_x", log_x, "numbers", finite=True))


def mixture_of(log_x: Float[Array, " n"]) -> WeibullMixture:
    """The fit, of which nothing is a number where an input is not finite."""
    if log_x.shape[0] < 2:
        raise ValueError(f"a mixture of two laws needs at least two numbers, got {log_x.shape[0]}")
    first, shape, scale = _START
    dtype = log_x.dtype
    start = WeibullMixture(*(jnp.array(x, dtype) for x in ((first, 1 - first), shape, scale)))

    def step(fit: WeibullMixture, _: None) -> tuple[WeibullMixture, None]:
        share = jax.nn.softmax(fit.log_parts(log_x), axis=0)
        # On two weights the likelihood is concave: its maximum within bounds is the free one, clipped.
        weight = jnp.clip(jnp.mean(share[0]), *_WEIGHT)
        shape, scale = jax.vmap(_weibull, (0, None))(share, log_x)
        return WeibullMixture(jnp.stack([weight, 1 - weight]), shape, scale), None

    return jax.lax.scan(step, start, None, length=_STEPS)[0]


def _weibull(share: Float[Array, " n"], log_x: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Shape and scale of the largest likelihood of weighted numbers.

    The derivative in the shape k is decreasing, with its zero where the mean of log x under weights share * x^k exceeds
    the one under `share` by 1 / k: found by halving the bounds of log k.
    """
    log_share = jnp.log(jnp.maximum(share, jnp.finfo(share.dtype).tiny))
    mean = jnp.sum(jax.nn.softmax(log_share) * log_x)

    def halve(bounds: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = bounds
        middle = (low + high) / 2
        k = jnp.exp(middle)
        tilted = jnp.sum(jax.nn.softmax(log_share + k * log_x) * log_x)
        too_large = tilted - mean > 1 / k
        return (jnp.where(too_large, low, middle), jnp.where(too_large, middle, high)), None

    low, high = jnp.log(jnp.array(_SHAPE, log_x.dtype))
    low, high = jax.lax.scan(halve, (low, high), None, length=_HALVINGS)[0]
    k = jnp.exp((low + high) / 2)
    log_moment = jax.nn.logsumexp(log_share + k * log_x) - jax.nn.logsumexp(log_share)
    return k, jnp.exp(log_moment / k)
