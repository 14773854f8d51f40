"""What a better verifier is worth."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf.verifiers.imperfect._composition import Rates
from probinf.verifiers.imperfect._population import Population


def value_of_rates(measure: Callable[[Population], Float[Array, ""]], population: Population) -> Rates:
    """Derivatives of any number about a population by the true and false positive rate of each task's verifier.

    `measure` is a function such as `lambda population: utility(population, 10, payoff)`. The sum over tasks is the
    value of a change that is the same for all.
    """

    def of(rates: tuple[Array, Array]) -> Float[Array, ""]:
        return measure(eqx.tree_at(lambda p: (p.true_positive_rate, p.false_positive_rate), population, rates))

    return Rates(*jax.grad(of)((population.true_positive_rate, population.false_positive_rate)))


def ceiling_slopes(population: Population) -> Rates:
    """Derivatives of the ceiling by the true and false positive rate of each task, in closed form.

    Law: pi p (1 - p) f / q^2 and -pi p t (1 - p) / q^2; zero where nothing is accepted, where there is none.
    """
    q = population.acceptance
    scale = population.weights * population.accuracy * (1 - population.accuracy)
    scale = jnp.where(q > 0, scale / jnp.where(q > 0, q, 1.0) ** 2, 0.0)
    return Rates(scale * population.false_positive_rate, -scale * population.true_positive_rate)
