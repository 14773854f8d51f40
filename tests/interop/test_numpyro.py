"""A numpyro model is a prior and a likelihood: the densities agree with numpyro's, and samplers accept them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density, potential_energy
from scipy import integrate, stats

from probinf import Draw, Measure, Reweight, sample
from probinf.interop import from_numpyro
from probinf.kernels import MetropolisHastings, random_walk
from probinf.samplers import importance, tempered_smc
from tests.interop.models import EFFECTS, ERRORS, draw, gaussian, line, scanned, schools, supports

KEY = jax.random.key(0)
X = np.linspace(0.0, 1.0, 5)


@pytest.mark.parametrize(
    ("model", "args", "kwargs"),
    [
        (schools, (ERRORS, EFFECTS), {}),
        (supports, (X,), {"y": np.sin(X)}),
        (scanned, (np.cos(X),), {}),
    ],
    ids=["eight schools", "supports", "scan"],
)
def test_joint_is_minus_the_potential_energy_of_numpyro(x64, model, args, kwargs):
    ours = from_numpyro(model, *args, **kwargs)
    rng = np.random.default_rng(0)
    x = {name: jnp.asarray(rng.normal(size=(3, *shape))) for name, shape in ours.sites.unconstrained}
    energy, log_joint, log_posterior = jax.jit(
        jax.vmap(
            lambda x: (
                potential_energy(model, args, kwargs, x),
                log_density(model, args, kwargs, ours.constrain(x))[0],
                ours.posterior.log_density(x),
            )
        )
    )(x)
    np.testing.assert_allclose(log_posterior, -energy, rtol=1e-12, atol=1e-10)
    # Without the determinants of the bijections the two differ.
    assert model is schools or float(jnp.min(jnp.abs(log_joint + energy))) > 1e-3


def test_prior_alone_integrates_to_one_and_the_joint_to_the_evidence(x64):
    ours = from_numpyro(line, 1.3)
    grid = jnp.linspace(-30.0, 8.0, 20_001)
    both = lambda x: (ours.prior.log_density(x), ours.posterior.log_density(x))  # noqa: E731
    prior, joint = (np.exp(log) for log in jax.jit(jax.vmap(both))({"x": grid}))
    assert np.trapezoid(prior, grid) == pytest.approx(1.0, abs=1e-9)
    density = lambda x: stats.gamma.pdf(x, 3.0, scale=1 / 1.5) * stats.norm.pdf(1.3, x, 2.0)  # noqa: E731
    assert np.trapezoid(joint, grid) == pytest.approx(integrate.quad(density, 0, 60)[0], rel=1e-8)


def test_prior_draws_have_the_density_of_the_prior():
    """Kolmogorov-Smirnov on 4000 draws in constrained coordinates: false alarm 1e-6."""
    ours = from_numpyro(line, 1.3)
    draws = jax.vmap(lambda k: ours.prior.sample(k, ()))(jax.random.split(KEY, 4000))
    constrained = np.asarray(ours.constrain(draws)["x"], np.float64)
    assert stats.kstest(constrained, stats.gamma(3.0, scale=1 / 1.5).cdf).pvalue > 1e-6
    assert stats.kstest(np.asarray(draws["x"], np.float64), stats.gamma(3.0, scale=1 / 1.5).cdf).pvalue < 1e-12


def test_constrain_takes_any_batch_axes_and_unconstrain_inverts_it(x64):
    ours = from_numpyro(supports, X, y=np.sin(X))
    rng = np.random.default_rng(1)
    values = {name: jnp.asarray(rng.normal(size=(2, 3, *shape))) for name, shape in ours.sites.unconstrained}
    constrained = ours.constrain(values)
    assert constrained["cholesky"].shape == (2, 3, 3, 3) and constrained["weights"].shape == (2, 3, 4)
    np.testing.assert_allclose(jnp.sum(constrained["weights"], axis=-1), 1.0, rtol=1e-12)
    assert bool(jnp.all(constrained["low"] < constrained["scale"]))
    assert bool(jnp.all(jnp.diff(constrained["ordered"], axis=-1) > 0))
    back = ours.unconstrain(constrained)
    assert jax.tree.all(jax.tree.map(lambda a, b: jnp.allclose(a, b, rtol=0, atol=1e-9), back, values))
    one = jax.tree.map(lambda leaf: leaf[1, 2], values)
    np.testing.assert_array_equal(ours.constrain(one)["level"], constrained["level"][1, 2])


def test_deterministic_sites_on_request():
    ours = from_numpyro(schools, ERRORS, EFFECTS)
    values = jax.vmap(lambda k: ours.prior.sample(k, ()))(jax.random.split(KEY, 4))
    assert "effect" not in ours.constrain(values)
    effect = ours.constrain(values, deterministic=True)["effect"]
    expected = values["mean"][:, None] + jnp.exp(values["log_spread"])[:, None] * values["standard"]
    np.testing.assert_allclose(effect, expected, rtol=1e-6)


def missing(y):
    x = draw("x", dist.Normal(0.0, 1.0))
    with handlers.mask(mask=~jnp.isnan(y)):
        draw("y", dist.Normal(x, 1.0), obs=jnp.nan_to_num(y))


def test_masked_data_are_missing_and_unmasked_nan_is_never_silent(x64):
    x = {"x": jnp.asarray(0.4)}
    ours = from_numpyro(missing, np.array([1.0, np.nan]))
    assert float(ours.likelihood.log_density(x)) == pytest.approx(stats.norm.logpdf(1.0, 0.4))
    late = eqx.tree_at(lambda m: m.args[0], from_numpyro(gaussian, 1.2), jnp.asarray(np.nan))
    assert np.isnan(eqx.filter_jit(lambda m: m.likelihood.log_density(x))(late))


def log_evidence(y, prior_scale=1.0, scale=0.5):
    return stats.norm.logpdf(y, 0.0, np.hypot(prior_scale, scale))


@pytest.mark.parametrize("how", ["importance", "tempered"])
def test_samplers_find_the_evidence(how):
    """Each Z-hat has a relative error below 2 %: five of them are 1e-6 unlikely."""
    ours = from_numpyro(gaussian, 1.2)
    kernel = eqx.Partial(MetropolisHastings, proposal=random_walk(0.7))
    sampler = {
        "importance": lambda: importance(ours.prior, ours.posterior),
        "tempered": lambda: tempered_smc(ours.prior, ours.likelihood, kernel, [0.3, 1.0]),
    }[how]()
    assert sampler.meaning(Measure()).same_law(ours.posterior)
    result = sample(sampler, KEY, n=20_000)
    assert abs(float(result.particles.log_z) - log_evidence(1.2)) < 0.1
    mean = jnp.sum(result.particles.normalized_weights * result.particles.values["x"])
    assert abs(float(mean) - 0.96) < 0.05


def test_metropolis_hastings_keeps_the_posterior_of_a_model():
    """Kolmogorov-Smirnov on 2000 chains started from the posterior: a right kernel fails with probability 1e-6."""
    ours = from_numpyro(gaussian, 1.2)
    kernel = MetropolisHastings(ours.posterior, random_walk(0.8))
    posterior = stats.norm(0.96, np.sqrt(0.2))
    start = 0.96 + jnp.sqrt(0.2) * jax.random.normal(jax.random.key(1), (2000,))

    def step(x, key):
        return jax.vmap(kernel)(jax.random.split(key, 2000), x)[0], None

    ends, _ = jax.lax.scan(step, {"x": start}, jax.random.split(KEY, 10))
    assert stats.kstest(np.asarray(ends["x"], np.float64), posterior.cdf).pvalue > 1e-6


def test_new_data_does_not_trace_again():
    runs = []

    def counted(y, prior_scale):
        runs.append(None)
        gaussian(y, prior_scale)

    first, *others = (from_numpyro(counted, y, scale) for y, scale in [(1.2, 1.0), (0.3, 2.0), (-1.0, 0.5)])
    estimates = [sample(Draw(first.prior) >> Reweight(first.likelihood), KEY, n=2000)]
    before = len(runs)
    estimates += [sample(Draw(m.prior) >> Reweight(m.likelihood), KEY, n=2000) for m in others]
    assert len(runs) == before > 0
    expected = [log_evidence(1.2), log_evidence(0.3, 2.0), log_evidence(-1.0, 0.5)]
    np.testing.assert_allclose([float(r.particles.log_z) for r in estimates], expected, atol=0.3)


def test_models_can_be_made_under_jit_and_vmap(x64):
    def log_density(y):
        return from_numpyro(gaussian, y).posterior.log_density({"x": jnp.asarray(0.4)})

    found = jax.jit(jax.vmap(log_density))(jnp.array([0.0, 1.0]))
    expected = stats.norm.logpdf(0.4) + stats.norm.logpdf([0.0, 1.0], 0.4, 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_draw_that_rounds_to_the_edge_of_its_support_stays_finite():
    def tiny(y):
        x = draw("x", dist.LogNormal(0.0, 1e3))
        draw("y", dist.Normal(jnp.minimum(x, 1.0), 1.0), obs=y)

    ours = from_numpyro(tiny, 0.5)
    values = jax.vmap(lambda k: ours.prior.sample(k, ()))(jax.random.split(KEY, 200))
    # exp(-1000) is no float, nor is exp(1000).
    assert bool(jnp.all(jnp.isfinite(values["x"]))) and float(jnp.max(jnp.abs(values["x"]))) > 80
    assert bool(jnp.all(jnp.isfinite(jax.vmap(ours.posterior.log_density)(values))))


def test_an_impossible_site_beats_an_infinite_one():
    def spiked(y):
        x = draw("x", dist.Normal(0.0, 1.0))
        numpyro.factor("wall", jnp.where(x > 0, 0.0, -jnp.inf))
        numpyro.factor("spike", jnp.where(x > 0, 0.0, jnp.inf))
        draw("y", dist.Normal(x, 1.0), obs=y)

    ours = from_numpyro(spiked, 0.5)
    assert float(ours.likelihood.log_density({"x": jnp.asarray(-1.0)})) == -np.inf


def discrete(y):
    z = draw("z", dist.Bernoulli(0.3))
    draw("y", dist.Normal(z, 1.0), obs=y)


def improper(y):
    x = draw("x", dist.ImproperUniform(dist.constraints.real, (), ()))
    draw("y", dist.Normal(x, 1.0), obs=y)


def masked(y):
    with handlers.mask(mask=jnp.array([True, False])), numpyro.plate("n", 2):
        x = draw("x", dist.Normal(0.0, 1.0))
    draw("y", dist.Normal(x[0], 1.0), obs=y)


def scaled(y):
    with handlers.scale(scale=2.0):
        gaussian(y)


def parameter(y):
    draw("y", dist.Normal(numpyro.param("x", 0.3), 1.0), obs=y)


def subsampled(y):
    x = draw("x", dist.Normal(0.0, 1.0))
    with numpyro.plate("data", 4, subsample_size=2):
        draw("y", dist.Normal(x, 1.0), obs=jnp.zeros(2) + y)


def branching(y):
    x = draw("x", dist.Normal(0.0, 1.0))
    if x > 0:
        x = x + draw("more", dist.Normal(0.0, 1.0))
    draw("y", dist.Normal(x, 1.0), obs=y)


def observed(y):
    draw("y", dist.Normal(0.0, 1.0), obs=y)


def point(y):
    x = draw("x", dist.Delta(0.3))
    draw("y", dist.Normal(x, 1.0), obs=y)


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (discrete, 0.0, "marginalize it|no continuous latent site"),
        (improper, 0.0, "proper prior"),
        (masked, 0.0, "observed sites only"),
        (scaled, 0.0, "observed sites only"),
        (parameter, 0.0, "numpyro.sample"),
        (subsampled, 0.0, "use all of it"),
        (branching, 0.0, "jnp.where"),
        (observed, 0.0, "nothing to infer"),
        (point, 0.0, "numpyro.deterministic"),
        (gaussian, None, "observes nothing"),
        (gaussian, np.nan, "site 'y' of gaussian has log-density nan.*mask what is missing"),
    ],
)
def test_what_is_no_prior_times_likelihood_is_refused(model, y, message):
    with pytest.raises(ValueError, match=message):
        from_numpyro(model, y)


def test_values_of_other_sites_or_shapes_are_refused():
    ours = from_numpyro(gaussian, 1.2)
    with pytest.raises(ValueError, match="expected values of the sites"):
        ours.constrain({"z": jnp.zeros(())})
    with pytest.raises(ValueError, match="same batch axes"):
        from_numpyro(schools, ERRORS, EFFECTS).constrain(
            {"mean": jnp.zeros(2), "log_spread": jnp.zeros(3), "standard": jnp.zeros((2, 8))}
        )
