"""Models and kernels, right and wrong, for the rank tests."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from probinf import Density, Named, choice
from probinf.distributions import Categorical
from probinf.kernels import Cycle, FiniteProposal, MetropolisHastings, Proposal

# Three parameters, two possible data.
LOG_PRIOR = np.log([0.2, 0.5, 0.3])
LOG_LIKELIHOOD = np.log([[0.9, 0.1], [0.4, 0.6], [0.25, 0.75]])
FORTH = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])


def finite_data(key, theta):
    return choice(key, jnp.asarray(LOG_LIKELIHOOD)[theta])


def finite_prior():
    return Categorical(LOG_PRIOR)


def finite_posterior(data):
    return Categorical(jnp.asarray(LOG_PRIOR) + jnp.asarray(LOG_LIKELIHOOD)[:, data])


def finite_kernel(data):
    return MetropolisHastings(finite_posterior(data), FiniteProposal(FORTH))


class Inflated(FiniteProposal):
    """The planted bug: acceptance ratios are ten percent too large."""

    def log_ratio(self, x, y):
        return super().log_ratio(x, y) + jnp.log(1.1)


def inflated_kernel(data):
    return MetropolisHastings(finite_posterior(data), Inflated(FORTH))


def _pair(data):
    # Inside a trace two kernels are known to have one target only if it is the same object.
    target = finite_posterior(data)
    return tuple(MetropolisHastings(target, FiniteProposal(table)) for table in (FORTH, FORTH.T))


def cycle(data):
    return Cycle(_pair(data))


def cycle_backward(data):
    return Cycle(_pair(data)[::-1])


def finite_sampler(draws):
    return lambda key, data: choice(key, finite_posterior(data).log_probs, (draws,))


# A positive parameter on the line: theta ~ LogNormal(0, 1), data ~ Normal(log theta, 0.7).
POSITIVE = Named("prior", dist.LogNormal(0.0, 1.0))


def positive_data(key, theta):
    return jnp.log(theta) + 0.7 * jax.random.normal(key)


def positive_likelihood(data):
    return Density("likelihood", eqx.Partial(_log_positive, data))


def _log_positive(data, theta):
    return jnp.where(theta > 0, dist.Normal(jnp.log(jnp.where(theta > 0, theta, 1.0)), 0.7).log_prob(data), -jnp.inf)


class Multiply(Proposal):
    """y = x exp(normal); `correction` is 1 where the ratio has its Jacobian, y / x."""

    correction: Any = eqx.field(default=1.0, converter=jnp.asarray)
    log_factor: Any = eqx.field(default=0.0, converter=jnp.asarray)

    def sample(self, key, x):
        return x * jnp.exp(jax.random.normal(key, x.shape, x.dtype))

    def log_ratio(self, x, y):
        return self.correction * (jnp.log(y) - jnp.log(x)) + self.log_factor


class PositiveKernel(eqx.Module):
    """Data to kernel: right unless a number is off, so that all bugs run one program."""

    correction: Any = eqx.field(default=1.0, converter=jnp.asarray)
    log_factor: Any = eqx.field(default=0.0, converter=jnp.asarray)
    prior_power: Any = eqx.field(default=1.0, converter=jnp.asarray)

    def __call__(self, data):
        target = positive_likelihood(data) * POSITIVE**self.prior_power
        return MetropolisHastings(target, Multiply(self.correction, self.log_factor))


POSITIVE_KERNELS = {
    "none": PositiveKernel(),
    "no Jacobian": PositiveKernel(correction=0.0),
    "no prior": PositiveKernel(prior_power=0.0),
    "always accept": PositiveKernel(log_factor=1e6),
    "ratio times 1.1": PositiveKernel(log_factor=np.log(1.1)),
}


# Conjugate: theta ~ N(0, 1), data ~ N(theta, 1), posterior N(data / 2, 1 / 2).
GAUSSIAN = Named("prior", dist.Normal(0.0, 1.0))


def gaussian_data(key, theta):
    return theta + jax.random.normal(key)


class GaussianPosterior(eqx.Module):
    """Exact draws, unless the standard deviation or the mean is off."""

    draws: int
    spread: Any = eqx.field(default=1.0, converter=jnp.asarray)
    shift: Any = eqx.field(default=0.0, converter=jnp.asarray)

    def __call__(self, key, data):
        scale = jnp.sqrt(0.5)
        return data / 2 + scale * (self.shift + self.spread * jax.random.normal(key, (self.draws,)))


def ignores_the_data(key, data):
    """The planted bug that no statistic of theta alone can see: draws from the prior."""
    del data
    return jax.random.normal(key, (31,))


def with_likelihood(theta, data):
    return jnp.stack([theta, dist.Normal(theta, 1.0).log_prob(data)])
