"""A cloud tunes Hamiltonian Monte Carlo at each temperature, and its settings serve an unbiased second run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import probinf as pi
from probinf.interop import from_numpyro
from probinf.kernels import MetropolisHastings, random_walk
from probinf.samplers import TunedHMC, adaptive_tempered_smc, ladder_of, settings_of, tempered_smc
from probinf.samplers._tuned_hmc import ScaledHMC, TunedSettings

KEY = jax.random.key(0)


def autoregression(y):
    """Two lags, a constant and a scale, as numpyro's example ar2 has them."""
    lags = [numpyro.sample(f"alpha_{i}", dist.Normal(0.0, 1.0)) for i in (1, 2)]
    constant, sigma = numpyro.sample("const", dist.Normal(0.0, 1.0)), numpyro.sample("sigma", dist.HalfNormal(1.0))
    mean = constant + lags[0] * y[1:-1] + lags[1] * y[:-2]
    numpyro.sample("y", dist.Normal(mean, sigma), obs=y[2:])


def test_the_recipe_is_right_on_the_autoregression_of_numpyro():
    # Its posterior is narrow and correlated. With hmc(step_size=.1, steps=8) the last acceptance was 0.0, status OK.
    y = np.sin(np.arange(100.0)) + 0.1 * np.random.default_rng(1).normal(size=100)
    model, kernel = from_numpyro(autoregression, jnp.asarray(y)), TunedHMC()
    pilot = pi.sample(adaptive_tempered_smc(model.prior, model.likelihood, kernel), KEY, 1000, throw=True)
    info = pilot.info[-1]
    rungs = int(info.rungs)
    assert np.all(np.asarray(info.acceptance)[:rungs] > 0.6) and np.all(np.asarray(info.distinct)[:rungs] > 900)
    again = tempered_smc(model.prior, model.likelihood, kernel, ladder_of(info), settings=settings_of(info))
    assert again.meaning(pi.Measure()).guarantee is pi.Guarantee.PROPER
    run = pi.sample(again, jax.random.key(1), 1000, throw=True)
    # Given sigma, the regression is conjugate: moments over a grid of sigma, in float64.
    x = np.stack([y[1:-1], y[:-2], np.ones(98)], axis=1)
    grid = np.linspace(0.1, 0.35, 400)
    log_p, means = [], []
    for sigma in grid:
        precision = np.eye(3) + x.T @ x / sigma**2
        means.append(np.linalg.solve(precision, x.T @ y[2:] / sigma**2))
        covariance = sigma**2 * np.eye(98) + x @ x.T
        log_p.append(stats.multivariate_normal.logpdf(y[2:], np.zeros(98), covariance) + stats.halfnorm.logpdf(sigma))
    weights = np.exp(np.array(log_p) - max(log_p))
    exact_z = np.log(weights.sum() * (grid[1] - grid[0])) + max(log_p)
    means = np.stack([*np.array(means).T, grid]) @ weights / weights.sum()
    assert abs(float(run.particles.log_z) - exact_z) < 0.8
    constrained = model.constrain(run.particles.values)
    for name, mean in zip(("alpha_1", "alpha_2", "const", "sigma"), means, strict=True):
        draws = np.asarray(constrained[name])
        # Five standard errors of as many independent draws as a third of the lanes.
        assert abs(draws @ np.asarray(run.particles.normalized_weights) - mean) < 5 * draws.std() / np.sqrt(333)


class Likelihood(pi.Factor):
    """N(1.5; x, .3) in the first coordinate."""

    name: str = eqx.field(static=True, default="likelihood")

    def log_density(self, x):
        return dist.Normal(x[0], 0.3).log_prob(1.5)


class Forgetful(ScaledHMC):
    """The planted bug: every proposal is accepted."""

    def __call__(self, key, x):
        y, info = super().__call__(key, x)
        return y + 1.0, info


@pytest.mark.parametrize("planted", [False, True])
def test_frozen_settings_leave_the_evidence_unbiased(planted, monkeypatch):
    prior = pi.Named("prior", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    settings = TunedSettings(jnp.array([0.9, 0.6]), jnp.stack([jnp.eye(2), 0.5 * jnp.eye(2)]), jnp.array([2, 3]))
    if planted:
        # Of other steps, so that nothing compiled is used again.
        monkeypatch.setattr("probinf.samplers._tuned_hmc.ScaledHMC", Forgetful)
    sampler = tempered_smc(prior, Likelihood(), TunedHMC(steps=4 if planted else 3), [0.3, 1.0], settings=settings)

    def run(key):
        cloud, _ = sampler(key, pi.spawn(8))
        return jnp.exp(cloud.log_z) * jnp.stack([jnp.ones(()), cloud.normalized_weights @ cloud.values[:, 0]])

    # In closed form, evidence N(1.5; 0, 1 + .09) and mean 1.5 / 1.09.
    exact = stats.norm.pdf(1.5, 0.0, np.sqrt(1.09)) * np.array([1.0, 1.5 / 1.09])
    found = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(KEY, 2000))) / exact
    scores = np.abs(found.mean(axis=0) - 1) / (found.std(axis=0) / np.sqrt(2000))
    assert (scores.max() > 8) if planted else (scores.max() < stats.norm.isf(1e-5 / 4))


def test_tuning_claims_no_more_than_consistency_and_refuses_what_does_not_fit():
    prior = pi.Named("prior", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    tuning = tempered_smc(prior, Likelihood(), TunedHMC(), [0.5, 1.0])
    assert tuning.meaning(pi.Measure()).guarantee is pi.Guarantee.CONSISTENT
    settings = TunedSettings(jnp.ones(3), jnp.ones((3, 2, 2)), jnp.ones(3, jnp.int32))
    with pytest.raises(ValueError, match="one row for each of 2 rungs"):
        tempered_smc(prior, Likelihood(), TunedHMC(), [0.5, 1.0], settings=settings)
    with pytest.raises(ValueError, match="steps >= 1"):
        TunedHMC(steps=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        TunedHMC(acceptance=1.0)
    plain = adaptive_tempered_smc(prior, Likelihood(), eqx.Partial(MetropolisHastings, proposal=random_walk(0.5)))
    with pytest.raises(ValueError, match="give adaptive_tempered_smc a TunedHMC"):
        settings_of(pi.sample(plain, KEY, 100).info[-1])
