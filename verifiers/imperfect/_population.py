"""Populations of tasks, and what comes of retrying until a verifier accepts."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._checks import as_attempts, as_float, check_rates, check_weights
from probinf.verifiers.imperfect._optimum import optimum_of_atoms
from probinf.verifiers.imperfect._payoff import Payoff


class Outcomes(NamedTuple):
    """Chances that at most K attempts return a correct answer, a wrong one, or none, and the expected samples."""

    correct: Float[Array, "*K"]
    wrong: Float[Array, "*K"]
    abstain: Float[Array, "*K"]
    samples: Float[Array, "*K"]


class TaskPopulation(eqx.Module):
    """Tasks, each with a generator whose draws are correct with some chance, and a verifier that errs both ways.

    Draws are independent given the task. A policy draws until the verifier accepts, at most K times, returns what was
    accepted, and abstains where nothing was.
    """

    @abc.abstractmethod
    def outcomes(self, attempts: Any) -> Outcomes:
        """Chances of the outcomes of at most K attempts, for each K of `attempts` (infinity is one).

        Law: exact; correct + wrong + abstain is one.

        Raises: ValueError for a K below zero, or no whole number.
        """

    @abc.abstractmethod
    def gain(self, attempts: Any, payoff: Payoff) -> Float[Array, "*K"]:
        """U(K) - U(K - 1): what the K-th attempt adds to the utility.

        Law: computed by itself, not as a difference, so its sign is right where U no longer changes a float.

        Raises: ValueError for a K below one, or no whole number.
        """

    @property
    @abc.abstractmethod
    def ceiling(self) -> Float[Array, ""]:
        """Accuracy of unlimited attempts, where abstaining counts as failure: no budget passes it."""

    @property
    @abc.abstractmethod
    def reachable(self) -> Float[Array, ""]:
        """The share of tasks on which something is accepted sooner or later."""

    @abc.abstractmethod
    def optimal_attempts(self, payoff: Payoff) -> Float[Array, ""]:
        """The least number of attempts with the largest utility; infinity where each attempt is worth its cost."""


class Population(TaskPopulation):
    """A list of tasks with weights that sum to one; alike if no weights are given.

    `accuracy`: chance that a draw is correct. `true_positive_rate`: P(accept | correct). `false_positive_rate`:
    P(accept | wrong), which is not the false discovery rate P(wrong | accept), see `false_discovery_rate`. Numbers
    and arrays [N] mix.

    Raises: ValueError for rates outside [0, 1], weights that do not sum to one, or lengths that do not fit.
    """

    accuracy: Float[Array, " N"]
    true_positive_rate: Float[Array, " N"]
    false_positive_rate: Float[Array, " N"]
    weights: Float[Array, " N"]

    def __init__(
        self, accuracy: Any, true_positive_rate: Any = 1.0, false_positive_rate: Any = 0.0, weights: Any = None
    ):
        rates = [as_float(x) for x in (accuracy, true_positive_rate, false_positive_rate)]
        shapes = {x.shape for x in rates if x.ndim} | (set() if weights is None else {np.shape(weights)})
        if len(shapes) > 1 or any(len(shape) != 1 or shape == (0,) for shape in shapes):
            raise ValueError(f"accuracy, rates and weights are numbers or arrays [tasks] of one length, got {shapes}")
        (n,) = shapes.pop() if shapes else (1,)
        self.accuracy, self.true_positive_rate, self.false_positive_rate = (jnp.broadcast_to(x, (n,)) for x in rates)
        self.weights = jnp.full(n, 1 / n, self.accuracy.dtype) if weights is None else as_float(weights)

    @classmethod
    def from_joint(cls, correct: Any, wrong: Any, weights: Any = None) -> Population:
        """Tasks of which only the chances are known that a draw is accepted and correct, or accepted and wrong.

        These two decide all outcomes of retrying; the generator's accuracy and the verifier's rates are given values
        that multiply to them (an accuracy of the PPV, and both rates equal), and mean nothing by themselves.

        Raises: ValueError for chances below zero, or with a sum above one.
        """
        correct, wrong = jnp.broadcast_arrays(as_float(correct), as_float(wrong))
        check_rates("the chance of an accepted correct draw", correct)
        check_rates("the chance of an accepted wrong draw", wrong)
        q = correct + wrong
        q = jnp.where((q > 1) & (q < 1 + 1e-6), 1.0, q)
        return cls(jnp.where(q > 0, correct / jnp.where(q > 0, q, 1.0), 0.0), q, q, weights)

    def __check_init__(self):
        """Rejects what is no population."""
        for name in ("accuracy", "true_positive_rate", "false_positive_rate"):
            check_rates(name, getattr(self, name))
        check_weights(self.weights)

    @property
    def acceptance(self) -> Float[Array, " N"]:
        """Chance that one draw is accepted."""
        return self._true + self._false

    @property
    def ppv(self) -> Float[Array, " N"]:
        """Positive predictive value P(correct | accepted) of each task; 0 where nothing is ever accepted."""
        q = self.acceptance
        return jnp.where(q > 0, self._true / jnp.where(q > 0, q, 1.0), 0.0)

    @property
    def false_discovery_rate(self) -> Float[Array, " N"]:
        """P(wrong | accepted) of each task; 0 where nothing is ever accepted."""
        q = self.acceptance
        return jnp.where(q > 0, self._false / jnp.where(q > 0, q, 1.0), 0.0)

    def outcomes(self, attempts: Any) -> Outcomes:
        """As in `TaskPopulation`; at K = infinity a task on which nothing is accepted takes infinitely many samples."""
        k = as_attempts(attempts)
        samples = jax.vmap(_expected_samples, (None, 0))(self.acceptance, k.ravel())
        # Nothing comes of infinitely many attempts that cannot succeed.
        tries = jnp.where(jnp.isinf(samples), 0.0, samples)
        correct, wrong = tries @ (self.weights * self._true), tries @ (self.weights * self._false)
        abstain = jax.vmap(_rejected, (None, 0))(self.acceptance, k.ravel()) @ self.weights
        # A task without weight may take for ever.
        spent = jnp.where(self.weights[None] > 0, samples, 0.0) @ self.weights
        return Outcomes(*(x.reshape(k.shape) for x in (correct, wrong, abstain, spent)))

    def gain(self, attempts: Any, payoff: Payoff) -> Float[Array, "*K"]:
        """As in `TaskPopulation`."""
        k = as_attempts(attempts, least=1)
        values = jax.vmap(_rejected, (None, 0))(self.acceptance, k.ravel() - 1) @ self.first_gains(payoff)
        return values.reshape(k.shape)

    def first_gains(self, payoff: Payoff) -> Float[Array, " N"]:
        """What the first attempt at each task adds, with the task's weight; later ones add (1 - q)^(K - 1) times it."""
        return self.weights * payoff.of(self._true, self._false, -self.acceptance, jnp.ones_like(self.weights))

    @property
    def ceiling(self) -> Float[Array, ""]:
        """As in `TaskPopulation`."""
        return self.weights @ self.ppv

    @property
    def reachable(self) -> Float[Array, ""]:
        """As in `TaskPopulation`."""
        return jnp.sum(jnp.where(self.acceptance > 0, self.weights, 0.0))

    def optimal_attempts(self, payoff: Payoff) -> Float[Array, ""]:
        """As in `TaskPopulation`: see `optimal_attempts`."""
        return optimum_of_atoms(self.acceptance, self.first_gains(payoff))

    @property
    def _true(self) -> Float[Array, " N"]:
        return self.accuracy * self.true_positive_rate

    @property
    def _false(self) -> Float[Array, " N"]:
        return (1 - self.accuracy) * self.false_positive_rate


def _rejected(q: Float[Array, " N"], k: Float[Array, ""]) -> Float[Array, " N"]:
    """(1 - q)^k, with the right value and gradient at q = 0, q = 1 and k = infinity."""
    # The power zero is left to the end: its gradient at q = 1 would be no number.
    finite = jnp.where(jnp.isinf(k) | (k == 0), 1.0, k)
    small = jnp.exp(finite * jnp.log1p(-jnp.where(q < 0.5, q, 0.0)))
    value = jnp.where(q < 0.5, small, jnp.power(1 - jnp.where(q < 0.5, 0.5, q), finite))
    return jnp.where(jnp.isinf(k), jnp.where(q > 0, 0.0, 1.0), jnp.where(k == 0, 1.0, value))


def _expected_samples(q: Float[Array, " N"], k: Float[Array, ""]) -> Float[Array, " N"]:
    """sum_{j < k} (1 - q)^j, which is (1 - (1 - q)^k) / q, and k where q is zero."""
    finite = jnp.where(jnp.isinf(k) | (k == 0), 1.0, k)
    inside = jnp.where((q > 0) & (q < 0.5), q, 0.25)
    small = -jnp.expm1(finite * jnp.log1p(-inside)) / inside
    outside = jnp.where(q < 0.5, 0.5, q)
    value = jnp.where(q < 0.5, small, (1 - jnp.power(1 - outside, finite)) / outside)
    value = jnp.where(q > 0, value, finite - finite * (finite - 1) / 2 * q)
    endless = jnp.where(q > 0, 1 / jnp.where(q > 0, q, 1.0), jnp.inf)
    return jnp.where(jnp.isinf(k), endless, jnp.where(k == 0, 0.0, value))
