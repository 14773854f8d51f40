"""Discrete sites of numpyro models are summed out as numpyro does, or refused by name."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from scipy import stats

from probinf import Draw, Reweight, sample, sample_chains
from probinf.interop import from_numpyro
from probinf.kernels import hmc
from tests.interop.models import draw

KEY = jax.random.key(0)
Y = np.array([0.3, -1.0, 2.0, 0.5])
MEANS, LOGIT = np.array([0.1, -0.4]), 0.3
needs_funsor = pytest.mark.skipif(importlib.util.find_spec("funsor") is None, reason="funsor is not installed")


def mixture(y):
    share = draw("share", dist.Uniform(0.0, 1.0))
    means = draw("means", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    with numpyro.plate("data", len(y)):
        z = draw("z", dist.Bernoulli(share))
        draw("y", dist.Normal(means[z], 1.0), obs=y)


def nested(y):
    """A continuous site below a discrete one: its prior is a mixture."""
    z = draw("z", dist.Bernoulli(0.3))
    x = draw("x", dist.Normal(2.0 * z, 1.0))
    draw("y", dist.Normal(x, 1.0), obs=y)


def markov(y):
    stay = draw("stay", dist.Uniform(0.0, 1.0))
    means = draw("means", dist.Normal(0.0, 1.0).expand([2]).to_event(1))

    def step(before, value):
        z = draw("z", dist.Categorical(jnp.array([[stay, 1 - stay], [1 - stay, stay]])[before]))
        draw("y", dist.Normal(means[z], 1.0), obs=value)
        return z, None

    scan(step, 0, y)


def share_prior():
    """Uniform on the unit interval in logits: the standard logistic density."""
    return stats.logistic.logpdf(LOGIT) + stats.norm.logpdf(MEANS).sum()


def mixture_likelihood():
    weights = np.array([1 - stats.logistic.cdf(LOGIT), stats.logistic.cdf(LOGIT)])
    return np.log(stats.norm.pdf(Y[:, None], MEANS) @ weights).sum()


def markov_likelihood():
    """The forward algorithm."""
    stay = stats.logistic.cdf(LOGIT)
    step, forward = np.array([[stay, 1 - stay], [1 - stay, stay]]), np.array([1.0, 0.0])
    for y in Y:
        forward = (forward @ step) * stats.norm.pdf(y, MEANS)
    return np.log(forward.sum())


@needs_funsor
@pytest.mark.parametrize(("model", "likelihood"), [(mixture, mixture_likelihood), (markov, markov_likelihood)])
def test_the_likelihood_sums_over_discrete_sites(x64, model, likelihood):
    ours = from_numpyro(model, Y)
    assert ours.sites.discrete == ("z",)
    x = {"share" if model is mixture else "stay": jnp.asarray(LOGIT), "means": jnp.asarray(MEANS)}
    prior, found = jax.jit(lambda x: (ours.prior.log_density(x), ours.likelihood.log_density(x)))(x)
    np.testing.assert_allclose([prior, found], [share_prior(), likelihood()], rtol=1e-12)


@needs_funsor
def test_a_prior_below_a_discrete_site_is_a_mixture(x64):
    """Kolmogorov-Smirnov on 4000 draws, false alarm 1e-6; evidence in closed form, five standard errors."""
    ours = from_numpyro(nested, 0.4)
    x = 0.7
    prior = 0.7 * stats.norm.pdf(x) + 0.3 * stats.norm.pdf(x, 2.0)
    found = ours.prior.log_density({"x": jnp.asarray(x)}), ours.likelihood.log_density({"x": jnp.asarray(x)})
    np.testing.assert_allclose(found, [np.log(prior), stats.norm.logpdf(0.4, x)], rtol=1e-12)
    draws = jax.vmap(lambda k: ours.prior.sample(k, ()))(jax.random.split(KEY, 4000))["x"]
    law = lambda x: 0.7 * stats.norm.cdf(x) + 0.3 * stats.norm.cdf(x, 2.0)  # noqa: E731
    assert stats.kstest(np.asarray(draws), law).pvalue > 1e-6
    run = sample(Draw(ours.prior) >> Reweight(ours.likelihood), KEY, n=4000)
    evidence = 0.7 * stats.norm.pdf(0.4, 0.0, np.sqrt(2)) + 0.3 * stats.norm.pdf(0.4, 2.0, np.sqrt(2))
    assert abs(float(run.particles.log_z) - np.log(evidence)) < 0.1


@needs_funsor
def test_chains_run_over_the_continuous_sites_and_other_data_compile_nothing():
    runs = []

    def counted(y):
        runs.append(None)
        mixture(y)

    def chains(y):
        model = from_numpyro(counted, y)
        before = len(runs)
        starts = model.initialize(KEY, 2)
        values = sample_chains(hmc(model.posterior, 0.1, 4), KEY, starts, 5).values
        return len(runs) - before, model.constrain(values), values, model

    first, constrained, values, model = chains(Y)
    assert first > 0 and chains(2 * Y)[0] == 0
    assert set(constrained) == {"share", "means"} and constrained["means"].shape == (2, 5, 2)
    np.testing.assert_allclose(model.unconstrain(constrained)["share"], values["share"], atol=1e-4)


def poisson(y):
    count = draw("count", dist.Poisson(3.0))
    draw("y", dist.Normal(draw("x", dist.Normal(count, 1.0)), 1.0), obs=y)


def hidden_mask(y):
    with handlers.mask(mask=jnp.asarray(False)):
        z = draw("z", dist.Bernoulli(0.3))
    draw("y", dist.Normal(draw("x", dist.Normal(z, 1.0)), 1.0), obs=y)


def bounded(y):
    z = draw("z", dist.Bernoulli(0.3))
    draw("y", dist.Normal(draw("x", dist.Uniform(0.0, 1.0 + z)), 1.0), obs=y)


def only_discrete(y):
    draw("y", dist.Normal(draw("z", dist.Bernoulli(0.3)), 1.0), obs=y)


def unplated(y):
    z = draw("z", dist.Bernoulli(0.3).expand([3]))
    draw("y", dist.Normal(draw("x", dist.Normal(0.0, 1.0)) + z.sum(), 1.0), obs=y)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (poisson, r"'count' is discrete and cannot be enumerated \(Poisson\): marginalize it"),
        (hidden_mask, "'z' is masked or scaled"),
        pytest.param(bounded, "support of latent site 'x' depends on a discrete site", marks=needs_funsor),
        pytest.param(only_discrete, "no continuous latent site", marks=needs_funsor),
        pytest.param(unplated, "cannot sum out the discrete sites z .*plate", marks=needs_funsor),
    ],
)
def test_discrete_sites_that_cannot_be_summed_out_are_refused_by_name(model, message):
    with pytest.raises(ValueError, match=message):
        from_numpyro(model, 0.4)


def test_without_funsor_the_refusal_names_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="latent site 'z' is discrete, and summing it out needs the package funsor"):
        from_numpyro(nested, 0.4)


def test_a_scan_whose_carry_changes_its_type_is_refused_in_one_sentence(x64):
    def changing(y):
        def step(before, value):
            z = draw("z", dist.Categorical(jnp.array([0.5, 0.5])))
            draw("y", dist.Normal(z + before, 1.0), obs=value)
            return z.astype(jnp.int32), None

        draw("x", dist.Normal(0.0, 1.0))
        scan(step, jnp.asarray(0, jnp.int64), y)

    with pytest.raises(ValueError, match="a scan of the model returns a carry of another type than it starts with"):
        from_numpyro(changing, Y)
