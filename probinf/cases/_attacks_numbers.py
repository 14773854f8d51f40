"""Attacks by what is not a number: NaN and infinity where a check that skips them sees nothing wrong."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import (
    Density,
    Distribution,
    Draw,
    Factor,
    Guarantee,
    Kernel,
    Map,
    Measure,
    Particles,
    Reweight,
    Sampler,
    choice,
    flip,
)
from probinf._measure import as_measure
from probinf._particles import log_mean_exp
from probinf._sampler import Info
from probinf.cases._attack import Attack
from probinf.cases._attack_model import PRIOR, STATES, Prior, log_likelihood, small_likelihood
from probinf.distributions import Categorical
from probinf.validity import KernelCase, SamplerCase

# More nats than float32 can take the exponential of.
_SHARP = 120.0


def attacks_numbers() -> tuple[Attack, ...]:
    """Designs in which NaN or infinity stands for a number that would be wrong."""
    return tuple(Attack(case, "not a number") for case in (*_weights(), *_values(), *_kernels()))


def _weights() -> tuple[SamplerCase, ...]:
    start, likelihood = Draw(Prior()), small_likelihood()
    partial, total = Density("partial", _log_below_two), Density("total", _log_only_one)
    may_die = start >> Reweight(Density("not zero", _log_not_zero))
    sharp, unit = Density("sharp", _log_sharp), Density("unit", _unit)
    return (
        SamplerCase("every weight is NaN", start >> Unguarded(Density("softmax", _naive_softmax))),
        SamplerCase("one weight is +inf", start >> Unguarded(Density("1 / distance", _inverse_distance))),
        SamplerCase("NaN in float32 only", start >> Unguarded(Density("odds", _nearly_sure))),
        SamplerCase("NaN where -inf is meant", start >> Reweight(partial) >> Telescoped(partial, total)),
        SamplerCase("evidence overflows in float32", start >> Reweight(sharp) >> LinearResample() >> Reweight(unit)),
        SamplerCase("evidence of a dead cloud is NaN", may_die >> UnsafeResample()),
        SamplerCase("weights of a dead cloud are NaN", may_die >> NormalizesTheDead()),
        SamplerCase("twist of a living lane is NaN", start >> Reweight(likelihood) >> RatioTwist(partial, total)),
    )


def _values() -> tuple[SamplerCase, ...]:
    rare = Draw(Categorical(np.log([0.6, 0.39, 0.01]), name="rare"))
    weighed = Draw(Prior()) >> Reweight(small_likelihood())
    return (
        SamplerCase("value of a living lane is NaN", weighed >> Map(_cardinal_sine)),
        SamplerCase("logits of a rare world are NaN", rare >> Draw(UndefinedRow())),
    )


def _kernels() -> tuple[KernelCase, ...]:
    points, log_points = np.array([-1.0, 0.0, 1.0]), np.log([0.3, 0.4, 0.3])
    hottest = HottestRung(Prior(), Density("not zero", _log_not_zero))
    return (
        KernelCase("kernel returns NaN", NormalizesAtZero(), points, log_points),
        KernelCase("kernel at 0 * inf", hottest, STATES, np.log(PRIOR)),
    )


class Unguarded(Sampler):
    """Adds log-densities to log-weights without a look at them, so that NaN and +inf become weights."""

    potential: Factor

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        del key
        log_g = self.potential.log_density_lanes(cloud.values, cloud.n)
        return cloud.replace(log_weights=cloud.log_weights + log_g), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * self.potential).claiming(Guarantee.PROPER)


class Telescoped(Sampler):
    """Exchanges one potential for another by a difference of logs, which is NaN in each lane that should be dead."""

    before: Factor
    after: Factor

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        del key
        old, new = (f.log_density_lanes(cloud.values, cloud.n) for f in (self.before, self.after))
        return cloud.replace(log_weights=cloud.log_weights + (new - old)), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * (self.after / self.before)).claiming(Guarantee.PROPER)


class LinearResample(Sampler):
    """Multinomial resampling that averages weights outside of logs: from 89 nats on the evidence is inf in float32."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        ancestors = choice(key, cloud.log_weights, (cloud.n,))
        banked = cloud.log_evidence + jnp.log(jnp.mean(jnp.exp(cloud.log_weights)))
        weights = jnp.zeros_like(cloud.log_weights)
        return cloud.replace(values=cloud.values[ancestors], log_weights=weights, log_evidence=banked), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)


class UnsafeResample(Sampler):
    """Multinomial resampling that subtracts the largest log-weight, so that the evidence of a dead cloud is NaN."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        ancestors = choice(key, cloud.log_weights, (cloud.n,))
        top = jnp.max(cloud.log_weights)
        banked = cloud.log_evidence + top + jnp.log(jnp.mean(jnp.exp(cloud.log_weights - top)))
        weights = jnp.zeros_like(cloud.log_weights)
        return cloud.replace(values=cloud.values[ancestors], log_weights=weights, log_evidence=banked), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)


class NormalizesTheDead(Sampler):
    """Divides by the mean weight: a dead cloud gets weights 0 / 0 beside its evidence of zero."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        del key
        mass = log_mean_exp(cloud.log_weights)
        weights, banked = cloud.log_weights - mass, cloud.log_evidence + mass
        return cloud.replace(log_weights=weights, log_evidence=banked), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)


class RatioTwist(Sampler):
    """Twists by a ratio that is 0 / 0 in state 2: the next resampling drops these lanes, 35 % of the mass."""

    before: Factor
    after: Factor

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        del key
        old, new = (f.log_density_lanes(cloud.values, cloud.n) for f in (self.before, self.after))
        return cloud.replace(log_twist=new - old), ()

    def meaning(self, m: Measure) -> Measure:
        return m


class UndefinedRow(Distribution):
    """A step whose row is log(0 / 0) for state 2: its lanes die, and 1 % of the mass is lost."""

    name: str = eqx.field(static=True, default="step")

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        return choice(key, self._logits(x))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        # Each row sums to one, and the step forgets all but whether its row exists.
        return jnp.log(jnp.array([0.25, 0.75]))[x]

    def _logits(self, x: Int[Array, ""]) -> Float[Array, " 2"]:
        counts = jnp.array([[1.0, 3.0], [2.0, 6.0], [0.0, 0.0]])[x]
        return jnp.log(counts / jnp.sum(counts))


class NormalizesAtZero(Kernel):
    """A fresh draw from the target, multiplied by its norm over its norm: 0 / 0 with probability 0.4."""

    def __call__(self, key: PRNGKeyArray, x: Float[Array, ""]) -> tuple[Float[Array, ""], Info]:
        y = jnp.array([-1.0, 0.0, 1.0], x.dtype)[choice(key, jnp.log(jnp.array([0.3, 0.4, 0.3])))]
        return jnp.abs(y) * (y / jnp.abs(y)), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("three points", _log_three_points))


class HottestRung(Kernel):
    """Metropolis at inverse temperature zero: 0 * inf is NaN, so state 0 is never entered and never left."""

    prior: Distribution
    tempered: Factor
    beta: float = 0.0

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        propose_key, accept_key = jax.random.split(key)
        y = self.prior.sample(propose_key, x)
        log_ratio = self.beta * (self.tempered.log_density(y) - self.tempered.log_density(x))
        return jnp.where(flip(accept_key, log_ratio), y, x), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(self.prior)


def _naive_softmax(x: Int[Array, ""]) -> Float[Array, ""]:
    """NaN in every state: exp(900) is inf in float64, too."""
    weights = jnp.exp(jnp.array([900.0, 902.0, 901.0]))
    return jnp.log(weights[x] / jnp.sum(weights))


def _inverse_distance(x: Int[Array, ""]) -> Float[Array, ""]:
    return -jnp.log(jnp.abs(x - 1.0))


def _nearly_sure(x: Int[Array, ""]) -> Float[Array, ""]:
    """The ratio of two small chances, each one minus a number that float32 rounds to one."""
    now, before = jnp.array([0.5, 1 - 1e-9, 0.7]), jnp.array([0.4, 1 - 2e-9, 0.2])
    return jnp.log((1 - now[x]) / (1 - before[x]))


def _cardinal_sine(x: Int[Array, ""]) -> Float[Array, ""]:
    """0 / 0 in state 0."""
    return jnp.sin(x * 1.0) / x


def _log_sharp(x: Int[Array, ""]) -> Float[Array, ""]:
    return log_likelihood(x) + _SHARP


def _unit(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.full_like(x, -_SHARP, dtype=float)


def _log_not_zero(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array([0.0, 0.2, 0.5]))[x]


def _log_below_two(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array([0.9, 0.2, 0.0]))[x]


def _log_only_one(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array([0.3, 0.6, 0.0]))[x]


def _log_three_points(x: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.where(x == 0, jnp.log(0.4), jnp.log(0.3))
