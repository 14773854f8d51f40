"""Tasks whose difficulty has a Beta distribution."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_attempts, as_float, check_beta_range, check_positive, check_rates
from probinf.verifiers.imperfect._optimum import last_positive
from probinf.verifiers.imperfect._payoff import Payoff
from probinf.verifiers.imperfect._population import Outcomes, Population, TaskPopulation
from probinf.verifiers.imperfect._quadrature import double_exponential, gauss_jacobi


class BetaPopulation(TaskPopulation):
    """Tasks with accuracies p ~ Beta(alpha, beta), and one verifier with the same rates on all.

    Law: all numbers are hypergeometric functions, with m = alpha / (alpha + beta), z = (t - f) / (1 - f),

        abstain(K)  (1 - f)^K 2F1(-K, alpha; alpha + beta; z)
        correct(K)  t m sum_{k < K} (1 - f)^k 2F1(-k, alpha + 1; alpha + beta + 1; z)
        ceiling     m 2F1(1, beta; alpha + beta + 1; 1 - f / t)

    taken from Euler's integral by `double_exponential`, because their series cancel for large K and stall for small f.
    `nodes` is part of the program: 1,024 give 1e-12 in double and 1e-6 in single precision, for alpha and beta from
    0.01 to 1e6 and K up to a million; others are refused.

    Raises: ValueError for an alpha or beta outside [0.01, 1e6], and rates outside [0, 1].
    """

    alpha: Float[Array, ""] = eqx.field(converter=as_float)
    beta: Float[Array, ""] = eqx.field(converter=as_float)
    true_positive_rate: Float[Array, ""] = eqx.field(default=1.0, converter=as_float)
    false_positive_rate: Float[Array, ""] = eqx.field(default=0.0, converter=as_float)
    nodes: int = eqx.field(default=1024, static=True)

    def __check_init__(self):
        """Rejects what is no population."""
        check_positive("alpha", self.alpha)
        check_positive("beta", self.beta)
        check_beta_range(self.alpha, self.beta)
        check_rates("true_positive_rate", self.true_positive_rate)
        check_rates("false_positive_rate", self.false_positive_rate)

    def atoms(self, nodes: int = 64) -> Population:
        """A list of tasks at Gauss-Jacobi nodes, which stands for this population.

        Law: outcomes at K and the gain are exact for K < 2 nodes, up to rounding: 1e-12 in double, 1e-4 in single
        precision.
        """
        p, weights = gauss_jacobi(self.alpha, self.beta, nodes)
        return Population(p, self.true_positive_rate, self.false_positive_rate, weights)

    def outcomes(self, attempts: Any) -> Outcomes:
        """As in `TaskPopulation`; with infinitely many attempts the samples may be infinitely many."""
        k = as_attempts(attempts)
        forever = jnp.isinf(k)
        # Without false positives the integral of 1 / q diverges from alpha = 1 on downwards: no nodes can tell.
        endless = forever & (self.false_positive_rate == 0) & ((self.alpha <= 1) | (self.true_positive_rate == 0))
        found = self._fine().outcomes(k)
        correct = jnp.where(forever, self.ceiling, found.correct)
        wrong = jnp.where(forever, self.reachable - self.ceiling, found.wrong)
        abstain = jnp.where(forever, 1 - self.reachable, found.abstain)
        return Outcomes(correct, wrong, abstain, jnp.where(endless, jnp.inf, found.samples))

    def gain(self, attempts: Any, payoff: Payoff) -> Float[Array, "*K"]:
        """As in `TaskPopulation`."""
        return self._fine().gain(attempts, payoff)

    def __repr__(self) -> str:
        """With the numbers, where equinox shows shapes."""
        return eqx.tree_pformat(self, short_arrays=False, width=120)

    @property
    def ceiling(self) -> Float[Array, ""]:
        """As in `TaskPopulation`."""
        log_odds, weights = double_exponential(self.alpha, self.beta, self.nodes)
        t, f = self.true_positive_rate, self.false_positive_rate
        both = (t > 0) & (f > 0)
        log_ratio = jnp.log(jnp.where(both, t, 1.0)) - jnp.log(jnp.where(both, f, 1.0))
        return jnp.where(both, weights @ jax.nn.sigmoid(log_odds + log_ratio), jnp.where(t > 0, 1.0, 0.0))

    @property
    def reachable(self) -> Float[Array, ""]:
        """As in `TaskPopulation`: all tasks, unless the verifier accepts nothing."""
        return jnp.where((self.true_positive_rate > 0) | (self.false_positive_rate > 0), 1.0, 0.0)

    def optimal_attempts(self, payoff: Payoff) -> Float[Array, ""]:
        """As in `TaskPopulation`.

        Law: what an attempt adds on a task is linear in p and q is monotone in p, so the sign changes at most once.
        """
        t, f = self.true_positive_rate, self.false_positive_rate
        fine = self._fine()
        first, q = fine.first_gains(payoff), fine.acceptance
        decay = jnp.log1p(-jnp.where(q < 1, q, 0.0)) - jnp.log1p(-jnp.minimum(jnp.minimum(t, f), 0.5))
        # What is left at the slowest rate, so that the sign survives where the gain underflows.
        decay = jnp.where(q < 1, decay, -jnp.inf)

        def gain(k: Array) -> Float[Array, ""]:
            return jnp.sum(first * jnp.where(k > 1, jnp.exp((k - 1) * decay), 1.0))

        at_zero, at_one = payoff.of(0.0, f, -f, 1.0), payoff.of(t, 0.0, -t, 1.0)
        hardest = jnp.where(t > f, at_zero, at_one)
        # Where the hardest task is worth nothing, those beside it decide.
        beside = jnp.where(t > f, at_one, at_zero)
        # Where all tasks are alike, the first attempt tells; where it accepts everything, there is no second.
        alike = jnp.where(t == 1, 0.0, jnp.sign(gain(jnp.ones_like(t))))
        tail = jnp.where(t == f, alike, jnp.sign(jnp.where(hardest == 0, beside, hardest)))
        last = last_positive(gain, jnp.ones_like(t), tail)
        ends = self.outcomes(jnp.asarray([0.0, jnp.inf], t.dtype))
        worth = payoff.of(*ends)
        return jnp.where(jnp.isinf(last) & (worth[1] <= worth[0]), 0.0, last)

    def _fine(self) -> Population:
        """Nodes that serve every K."""
        log_odds, weights = double_exponential(self.alpha, self.beta, self.nodes)
        return Population(jax.nn.sigmoid(log_odds), self.true_positive_rate, self.false_positive_rate, weights)
