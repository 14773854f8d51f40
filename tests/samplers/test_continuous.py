"""Tempered SMC on the line: the evidence is unbiased, by a test of known size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import probinf as pi
from probinf.kernels import MetropolisHastings, random_walk
from probinf.samplers import tempered_smc

RUNS = 2000
# Chance that a right sampler fails a test, by the normal approximation of a mean of RUNS bounded estimates.
FALSE_ALARM = 1e-5
# Two two-sided tests share it.
LIMIT = stats.norm.isf(FALSE_ALARM / 4)


class Likelihood(pi.Factor):
    """N(1.5; x, 1): bounded, so the estimates are too."""

    observed: jax.Array
    name: str = eqx.field(static=True, default="likelihood")

    def log_density(self, x):
        return dist.Normal(x, 1.0).log_prob(self.observed)


class ForgetsMass(pi.Resample):
    """The planted bug: what resampling takes out of the weights is not banked."""

    def __call__(self, key, cloud):
        resampled, info = super().__call__(key, cloud)
        return resampled.replace(log_evidence=cloud.log_evidence), info

    def consume(self, key, cloud):
        return self(key, cloud)


def estimates(key, resample):
    """Z-hat and Z-hat times the weighted mean of x, relative to their exact values, over independent runs."""
    sampler = tempered_smc(
        pi.Named("prior", dist.Normal(0.0, 1.0)),
        Likelihood(jnp.asarray(1.5)),
        eqx.Partial(MetropolisHastings, proposal=random_walk(1.0)),
        (0.3, 1.0),
        resample=resample,
    )

    def run(key):
        cloud, _ = sampler(key, pi.spawn(8))
        return jnp.exp(cloud.log_z) * jnp.stack([jnp.ones(()), cloud.normalized_weights @ cloud.values])

    evidence = stats.norm.pdf(1.5, 0.0, np.sqrt(2.0))
    return np.asarray(jax.jit(jax.vmap(run))(jax.random.split(key, RUNS))) / (evidence * np.array([1.0, 0.75]))


def scores(samples):
    """How many standard errors each mean is away from one."""
    return (np.mean(samples, axis=0) - 1.0) / (np.std(samples, axis=0, ddof=1) / np.sqrt(len(samples)))


def test_evidence_and_first_moment_are_unbiased():
    found = estimates(jax.random.key(3), pi.Resample())
    assert np.all(np.abs(scores(found)) < LIMIT)
    # The self-normalized mean is not what is unbiased: this is a different, biased number.
    assert abs(np.mean(found[:, 1] / found[:, 0]) - 1.0) > 0.01


def test_forgotten_mass_is_seen():
    assert np.all(np.abs(scores(estimates(jax.random.key(3), ForgetsMass()))) > 4 * LIMIT)
