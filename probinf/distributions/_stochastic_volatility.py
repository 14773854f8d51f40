"""Stochastic volatility: returns whose log-variance wanders."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import floating
from probinf.distributions._state_space import Row, StateSpaceModel, normal_columns


class StochasticVolatilityModel(StateSpaceModel):
    """x_0 ~ N(mean, scale^2 / (1 - persistence^2)), x_t = mean + persistence (x_{t-1} - mean) + scale N(0, 1),
    y_t = exp(x_t / 2) N(0, 1).

    A state is one number, the log-variance of the return y_t.

    Law: as the equations say; the first state is stationary. `persistence` lies in (-1, 1), `scale` is positive.

    Raises: ValueError for other parameters, where they can be seen (not inside a trace).

    Source: Taylor, Modelling Financial Time Series (1986); Kim, Shephard and Chib, Review of Economic Studies 65
    (1998), equation 1.
    """

    mean: Float[Array, ""] = eqx.field(converter=partial(floating, "mean"))
    persistence: Float[Array, ""] = eqx.field(converter=partial(floating, "persistence"))
    scale: Float[Array, ""] = eqx.field(converter=partial(floating, "scale"))

    def __check_init__(self):
        """Rejects parameters for which there is no stationary law."""
        if any(isinstance(x, Tracer) for x in (self.mean, self.persistence, self.scale)):
            return
        right = np.isfinite(self.mean) & (np.abs(self.persistence) < 1) & (self.scale > 0) & np.isfinite(self.scale)
        if not np.all(right):
            raise ValueError(
                "stochastic volatility needs a finite mean, a persistence in (-1, 1) and a scale > 0, got "
                f"{self.mean}, {self.persistence} and {self.scale}"
            )

    def rows(self, y: Any) -> Row:
        """Returns [T] with their times, to filter over; NaN is what was not seen.

        Raises:
            ValueError: Another shape.
        """
        rows = super().rows(y)
        if jnp.ndim(rows.y) != 1:
            raise ValueError(f"stochastic volatility sees one return at a time: pass [T], got {jnp.shape(rows.y)}")
        return rows

    def draw_initial(self, key: PRNGKeyArray, row: Row | None) -> Float[Array, ""]:
        """A stationary draw."""
        return self.draw_initial_lanes(key, row, 1)[0]

    def draw_initial_lanes(self, key: PRNGKeyArray, row: Row | None, n: int) -> Float[Array, " n"]:
        """Stationary draws."""
        del row
        return self.mean + self._stationary_scale * normal_columns(key, n, 1)[0]

    def draw_next(self, key: PRNGKeyArray, before: Float[Array, ""], row: Row) -> Float[Array, ""]:
        """A step of the autoregression."""
        return self.draw_next_lanes(key, before[None], row, 1)[0]

    def draw_next_lanes(self, key: PRNGKeyArray, before: Float[Array, " n"], row: Row, n: int) -> Float[Array, " n"]:
        """Steps of the autoregression."""
        del row
        return self._expected(before) + self.scale * normal_columns(key, n, 1)[0]

    def log_initial(self, x: Float[Array, ""], row: Row | None) -> Float[Array, ""]:
        """The stationary log-density."""
        del row
        return jax.scipy.stats.norm.logpdf(x, self.mean, self._stationary_scale)

    def log_transition(self, before: Float[Array, ""], x: Float[Array, ""], row: Row) -> Float[Array, ""]:
        """The log-density of a step."""
        del row
        return jax.scipy.stats.norm.logpdf(x, self._expected(before), self.scale)

    def log_observation(self, x: Float[Array, ""], row: Row) -> Float[Array, ""]:
        """Log N(y; 0, exp(x))."""
        return jax.scipy.stats.norm.logpdf(row.y, 0.0, jnp.exp(0.5 * x))

    def _expected(self, before: Array) -> Array:
        return self.mean + self.persistence * (before - self.mean)

    @property
    def _stationary_scale(self) -> Float[Array, ""]:
        return self.scale / jnp.sqrt(1.0 - self.persistence**2)
