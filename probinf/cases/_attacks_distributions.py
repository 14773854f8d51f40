"""Distributions whose density is not that of their draws, by themselves."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Distribution, flip
from probinf.cases._attack import Attack
from probinf.validity import DistributionCase


def attacks_distributions() -> tuple[Attack, ...]:
    """One with discrete draws, and two whose draws are continuous."""
    return (
        Attack(DistributionCase("density of the other side of a coin", OtherSide()), "the same lie"),
        Attack(DistributionCase("log-normal without its Jacobian", NoJacobian()), "the same lie"),
        Attack(DistributionCase("variance in the place of a standard deviation", Variance()), "the same lie"),
    )


class OtherSide(Distribution):
    """Heads with probability 0.6, and a density of 0.4 for heads."""

    name: str = eqx.field(static=True, default="coin")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        del x
        return flip(key, jnp.log(0.6)).astype(jnp.int32)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.log(jnp.where(x == 1, 0.4, 0.6))


class NoJacobian(Distribution):
    """exp(z) for a standard normal z, with the density of z: 1 / x is missing."""

    name: str = eqx.field(static=True, default="log-normal")

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, ""]:
        del x
        return jnp.exp(jax.random.normal(key))

    def log_density(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return -0.5 * jnp.log(x) ** 2 - 0.5 * jnp.log(2 * jnp.pi)


class Variance(Distribution):
    """Drawn with standard deviation 1.5, with a density in which 1.5 is the variance."""

    name: str = eqx.field(static=True, default="normal")

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, " 2"]:
        del x
        return 1.5 * jax.random.normal(key, (2,))

    def log_density(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        return jnp.sum(-0.5 * x**2 / 1.5 - 0.5 * jnp.log(2 * jnp.pi * 1.5))
