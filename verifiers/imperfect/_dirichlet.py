"""Tasks known by counts, with a Dirichlet distribution over what may come of a draw."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import digamma
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_attempts, as_float, check_positive, check_weights
from probinf.verifiers.imperfect._gamma import log_beta_moment, log_gamma_ratio
from probinf.verifiers.imperfect._optimum import last_positive
from probinf.verifiers.imperfect._payoff import Payoff
from probinf.verifiers.imperfect._population import Outcomes, TaskPopulation

# So many attempts are looked at one by one before the tail decides.
_HORIZON = 4096


class DirichletCounts(TaskPopulation):
    """Tasks with chances (accepted and correct, accepted and wrong, rejected) ~ Dirichlet(concentration + counts).

    `concentration` [3] is that of a task of which nothing is known; a row of `counts` [tasks, 3] is what was seen of a
    task, and a row of zeros is a new one. All outcomes are expectations over what is not known.

    Law: the PPV, Beta(a1, a2), and the chance of rejection, Beta(a3, a1 + a2), are independent, so all has closed
    forms: correct(K) = a1 / (a1 + a2) (1 - (a3)_K / (a1 + a2 + a3)_K) with rising factorials.

    Raises: ValueError for concentrations that are not positive, negative counts, and weights that do not sum to one.
    """

    concentration: Float[Array, " 3"]
    counts: Float[Array, "N 3"]
    weights: Float[Array, " N"]

    def __init__(self, concentration: Any, counts: Any = None, weights: Any = None):
        self.concentration = as_float(concentration)
        self.counts = jnp.zeros((1, 3), self.concentration.dtype) if counts is None else as_float(counts)
        if (
            self.counts.ndim != 2
            or not self.counts.size
            or self.counts.shape[1] != 3
            or self.concentration.shape != (3,)
        ):
            raise ValueError(
                "a concentration [3] and counts [tasks, 3] of at least one task are needed, got shapes "
                f"{self.concentration.shape} and {self.counts.shape}"
            )
        n = self.counts.shape[0]
        self.weights = jnp.full(n, 1 / n, self.concentration.dtype) if weights is None else as_float(weights)

    def __check_init__(self):
        """Rejects what is no population."""
        check_positive("concentration", self.concentration)
        if not isinstance(self.counts, Tracer) and not np.all(np.asarray(self.counts) >= 0):
            raise ValueError("counts (accepted and correct, accepted and wrong, rejected) must be at least zero")
        check_weights(self.weights)
        if self.weights.shape != self.counts.shape[:1]:
            raise ValueError(f"{self.counts.shape[0]} rows of counts need as many weights, got {self.weights.shape}")

    @property
    def parameters(self) -> Float[Array, "N 3"]:
        """Concentrations of each task."""
        return self.concentration[None] + self.counts

    def outcomes(self, attempts: Any) -> Outcomes:
        """As in `TaskPopulation`; where little is known, infinitely many attempts take infinitely many samples."""
        k = as_attempts(attempts)

        def of(k: Array) -> tuple[Array, ...]:
            a = self.parameters
            accepted = a[:, 0] + a[:, 1]
            rejected = jnp.exp(log_beta_moment(a[:, 2], accepted, k))
            ppv = a[:, 0] / accepted
            rows = (ppv * (1 - rejected), (1 - ppv) * (1 - rejected), rejected)
            return *(self.weights @ row for row in rows), self.weights @ _samples(a[:, 2], accepted, k)

        return Outcomes(*(x.reshape(k.shape) for x in jax.vmap(of)(k.ravel())))

    def gain(self, attempts: Any, payoff: Payoff) -> Float[Array, "*K"]:
        """As in `TaskPopulation`."""
        k = as_attempts(attempts, least=1)
        return jax.vmap(lambda k: jnp.sum(self._gains(k, payoff)))(k.ravel()).reshape(k.shape)

    @property
    def ceiling(self) -> Float[Array, ""]:
        """As in `TaskPopulation`."""
        a = self.parameters
        return self.weights @ (a[:, 0] / (a[:, 0] + a[:, 1]))

    @property
    def reachable(self) -> Float[Array, ""]:
        """As in `TaskPopulation`: all tasks, because no task is certain never to be accepted."""
        return jnp.sum(self.weights)

    def optimal_attempts(self, payoff: Payoff) -> Float[Array, ""]:
        """As in `TaskPopulation`.

        Looks at the first 4,096 attempts, and then for a last change of sign: after that a sign that changes twice
        would be missed.
        """
        k = jnp.arange(1.0, _HORIZON + 1, dtype=self.weights.dtype)
        gains = self.gain(k, payoff)
        utilities = payoff.of(*self.outcomes(jnp.concatenate([jnp.zeros(1, k.dtype), k])))
        # A maximum is where a gain above zero meets one that is not; sums that merely stop changing are none.
        peak = jnp.concatenate([gains[:1] <= 0, (gains[:-1] > 0) & (gains[1:] <= 0), jnp.zeros(1, bool)])
        best = jnp.argmax(jnp.where(peak, utilities, -jnp.inf))
        last = last_positive(lambda k: self.gain(k, payoff), k[-1], self._tail(payoff))
        beyond = (last >= k[-1]) & (~jnp.any(peak) | (payoff.of(*self.outcomes(last)) > utilities[best]))
        return jnp.where(beyond, last, best.astype(k.dtype))

    def _gains(self, k: Array, payoff: Payoff) -> Float[Array, " N"]:
        """What the k-th attempt adds on each task, with its weight."""
        a = self.parameters
        accepted = a[:, 0] + a[:, 1]
        reached = jnp.exp(log_beta_moment(a[:, 2], accepted, k - 1)) / (accepted + a[:, 2] + k - 1)
        return self.weights * reached * payoff.of(a[:, 0], a[:, 1], -accepted, accepted + a[:, 2] + k - 1)

    def _tail(self, payoff: Payoff) -> Float[Array, ""]:
        """The sign of the gain as K grows: the slowest decay is that of the smallest a1 + a2, as K^-(a1 + a2)."""
        a = self.parameters
        accepted = a[:, 0] + a[:, 1]
        net = payoff.of(a[:, 0], a[:, 1], -accepted, jnp.zeros_like(accepted))
        live = (self.weights > 0) & (net != 0)
        slowest = live & (accepted <= jnp.min(jnp.where(live, accepted, jnp.inf)))
        log_scale = log_gamma_ratio(a[:, 2], accepted)
        log_scale = jnp.where(slowest, log_scale, -jnp.inf)
        scale = jnp.where(slowest, jnp.exp(log_scale - jnp.max(jnp.where(slowest, log_scale, -jnp.inf))), 0.0)
        sign = jnp.sign(jnp.sum(jnp.where(slowest, self.weights * scale * net, 0.0)))
        return jnp.where(payoff.sample_cost > 0, -1.0, sign)


def _samples(b: Array, s: Array, k: Array) -> Array:
    """sum_{j < k} E[r^j] for r ~ Beta(b, s)."""
    # The first term apart, so that what follows has no pole at b + s = 1.
    endless = jnp.where(s > 1, (b + s - 1) / jnp.where(s > 1, s - 1, 1.0), jnp.inf)
    finite = jnp.where(jnp.isinf(k), 1.0, k)
    rest = jnp.maximum(finite - 1, 0.0)
    value = jnp.where(finite > 0, 1 + b / (b + s) * _telescoped(b + 1, s, rest), 0.0)
    return jnp.where(jnp.isinf(k), endless, value)


def _telescoped(b: Array, s: Array, k: Array) -> Array:
    """(b + s - 1) / (s - 1) (1 - (b)_k / (b + s - 1)_k), also at s = 1, where it is a difference of digammas."""
    delta = s - 1
    near = jnp.abs(delta) < 0.05
    far = jnp.where(near, 1.0, delta)
    log_ratio = log_beta_moment(b, far, k)
    away = -jnp.expm1(log_ratio) / far
    # -log_ratio / delta is a mean of differences of digammas over (b, b + delta), by Gauss's rule.
    x, w = np.polynomial.legendre.leggauss(6)
    close = jnp.where(near, delta, 0.0)
    slope = sum(
        float(wi) / 2 * (digamma(b + close * u + k) - digamma(b + close * u))
        for wi, u in zip(w, (1 + x) / 2, strict=True)
    )
    y = close * slope
    small = jnp.abs(y) < 1e-5
    y = jnp.where(small, 1.0, y)
    factor = jnp.where(small, 1 - close * slope / 2 + (close * slope) ** 2 / 6, -jnp.expm1(-y) / y)
    return (b + delta) * jnp.where(near, slope * factor, away)
