"""The density of prior-fitted networks: bars between fixed borders, and half a Gaussian at either end."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.stats import norm

from probinf._arguments import count, real
from probinf.transformers_dist.baselines._amortized import Density


class Riemann(Density):
    """For each coordinate by itself, the probabilities of bars of fixed borders; the outermost are half-Gaussians.

    Law: a density on R^D, with independent coordinates; half-Gaussians start at the innermost border of their bar and
    have half their mass within the bar's width.

    Raises: ValueError for borders that do not increase, or fewer than three bars.

    Source: Riemann distribution of arXiv 2112.10510, appendix; full support as in its released code.
    """

    borders: Float[Array, "D B"]

    def __init__(self, borders: Float[np.ndarray, "D B"]):
        real("borders", borders)
        borders = np.asarray(borders)
        if borders.ndim != 2 or borders.shape[1] < 4 or not np.all(np.diff(borders, axis=1) > 0):
            raise ValueError(f"borders must be increasing rows [D, B] of at least four, got shape {borders.shape}")
        self.borders = jnp.asarray(borders)
        self.size = borders.shape[0] * (borders.shape[1] - 1)

    def log_density(self, x: Float[Array, " D"], numbers: Float[Array, " size"]) -> Float[Array, ""]:
        """Log-density at a point, in nats."""
        log_bars = jax.nn.log_softmax(numbers.reshape(x.size, -1), axis=1)
        # Borders are data, not weights: training leaves them where they are.
        return jnp.sum(jax.vmap(_log_bar)(x, log_bars, jax.lax.stop_gradient(self.borders)))

    def sample(self, key: PRNGKeyArray, numbers: Float[Array, " size"]) -> Float[Array, " D"]:
        """A draw."""
        bar_key, place_key, tail_key = jax.random.split(key, 3)
        logits = numbers.reshape(self.borders.shape[0], -1)
        bar = jax.random.categorical(bar_key, logits, axis=1)[:, None]
        left = jnp.take_along_axis(self.borders, bar, axis=1)[:, 0]
        right = jnp.take_along_axis(self.borders, bar + 1, axis=1)[:, 0]
        inside = left + (right - left) * jax.random.uniform(place_key, left.shape)
        away = jnp.abs(jax.random.normal(tail_key, left.shape)) * (right - left) / _MEDIAN
        first, last = bar[:, 0] == 0, bar[:, 0] == logits.shape[1] - 1
        return jnp.where(first, right - away, jnp.where(last, left + away, inside))


def _log_bar(x: Float[Array, ""], log_bars: Float[Array, " bars"], borders: Float[Array, " B"]) -> Float[Array, ""]:
    bar = jnp.searchsorted(borders[1:-1], x)
    width = borders[bar + 1] - borders[bar]
    first, last = bar == 0, bar == log_bars.size - 1
    tail = jnp.log(2.0) + jax.scipy.stats.norm.logpdf(x, jnp.where(first, borders[1], borders[-2]), width / _MEDIAN)
    return log_bars[bar] + jnp.where(first | last, tail, -jnp.log(width))


# The median of half a standard Gaussian.
_MEDIAN = float(norm.ppf(0.75))


def quantile_borders(points: Float[np.ndarray, "S D"], bars: int) -> Float[np.ndarray, "D B"]:
    """Borders between which equally many points lie, so that bars are narrow where posteriors are.

    Raises: ValueError for no points [S, D], ones that are not finite, and fewer than one bar.
    """
    if not real("points", points, "points coordinates", finite=True).size:
        raise ValueError("quantiles need at least one point, got none")
    count("bars", bars)
    levels = np.linspace(0, 1, bars + 1)
    return np.quantile(np.asarray(points, float), levels, axis=0).T
