"""The benchmark models are what their definitions say, and their published moments are met, or shown not to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.figures._benchmark_posteriors import _shipped, autoregression, benchmark_posteriors
from probinf.interop import from_numpyro

pytest.importorskip("inference_gym.version", reason="the data are in inference-gym: pip install 'probinf[data]'")


@pytest.fixture(scope="module")
def posteriors():
    return {posterior.name: posterior for posterior in benchmark_posteriors()}


def test_data_and_moments_are_read(posteriors):
    assert {name: p.data.shape for name, p in posteriors.items()} == {
        "eight_schools": (8,),
        "brownian_motion": (30,),
        "stochastic_volatility": (100,),
    }
    for posterior in posteriors.values():
        for moments in posterior.reference.values():
            assert moments.mean.shape == moments.deviation.shape == moments.error.shape
            assert np.all(moments.deviation > 0) and np.all(moments.error < 0.02 * moments.deviation)
    assert np.isnan(posteriors["brownian_motion"].data).sum() == 10
    assert abs(posteriors["stochastic_volatility"].data.mean()) < 1e-12


def log_joint(posterior, values):
    """Prior and likelihood at constrained values, as numpyro sees them, without the Jacobian of the bijections."""
    model = from_numpyro(posterior.model, jnp.asarray(posterior.data))
    unconstrained = model.unconstrain({name: jnp.asarray(value) for name, value in values.items()})
    back = model.constrain(unconstrained)
    np.testing.assert_allclose(back["z"], values["z"], rtol=1e-12)
    return float(model.likelihood.log_density(unconstrained))


def test_likelihoods_are_those_of_the_definitions(posteriors, x64):
    rng = np.random.default_rng(0)
    eight, walk, volatile = (posteriors[name] for name in ("eight_schools", "brownian_motion", "stochastic_volatility"))
    z = rng.normal(size=8)
    errors = [15, 10, 16, 11, 9, 11, 10, 18]
    assert log_joint(eight, {"avg_effect": 4.0, "log_stddev": 2.0, "z": z}) == pytest.approx(
        stats.norm.logpdf(eight.data, 4 + np.exp(2.0) * z, errors).sum(), abs=1e-9
    )
    z = rng.normal(size=30)
    values = {"innovation_noise_scale": 0.2, "observation_noise_scale": 0.3, "z": z}
    seen = ~np.isnan(walk.data)
    assert log_joint(walk, values) == pytest.approx(
        stats.norm.logpdf(walk.data, 0.2 * np.cumsum(z), 0.3)[seen].sum(), abs=1e-9
    )
    z = rng.normal(size=100)
    x = [z[0] / np.sqrt(1 - 0.9**2)]
    for innovation in z[1:]:
        x.append(0.9 * x[-1] + innovation)
    values = {"persistence": 0.95, "mean_log_volatility": 7.0, "white_noise_shock_scale": 0.5, "z": z}
    expected = stats.norm.logpdf(volatile.data, 0, np.exp(0.5 * (7.0 + 0.5 * np.array(x)))).sum()
    assert log_joint(volatile, values) == pytest.approx(expected, abs=1e-8)


def test_the_autoregression_is_stationary(x64):
    z = jax.random.normal(jax.random.key(0), (4,))
    columns = np.asarray(jax.jacobian(lambda z: autoregression(jnp.asarray(0.8), z))(z))
    covariance = columns @ columns.T
    np.testing.assert_allclose(np.diag(covariance), 1 / (1 - 0.8**2), rtol=1e-12)
    np.testing.assert_allclose(covariance[3, 0] / covariance[0, 0], 0.8**3, rtol=1e-12)


def exact_noise_mean(observed, deviation):
    """Posterior mean of the observation noise if both log-scales are N(0, deviation), by quadrature."""
    seen = ~np.isnan(observed)
    times = np.flatnonzero(seen) + 1.0
    eigenvalues, vectors = np.linalg.eigh(np.minimum(times[:, None], times[None, :]))
    squares = (vectors.T @ observed[seen]) ** 2
    log_scale = np.linspace(-14, 6, 801)
    variance = np.exp(2 * log_scale)
    spectrum = variance[:, None, None] * eigenvalues + variance[None, :, None]
    prior = -0.5 * (log_scale / deviation) ** 2
    log_p = prior[:, None] + prior[None, :] - 0.5 * np.sum(squares / spectrum + np.log(spectrum), axis=-1)
    weight = np.exp(log_p - log_p.max()).sum(axis=0)
    return weight @ np.exp(log_scale) / weight.sum()


def test_the_published_moments_of_the_brownian_motion_are_not_those_of_its_definition():
    """Inference Gym 0.0.5 states LogNormal(0, 2) scales; its reference moments belong to a wider prior."""
    walk = np.asarray(_shipped("internal/datasets/brownian_motion_missing_middle_observations.py").OBSERVED_LOC)
    truth = _shipped("targets/ground_truth/brownian_motion_unknown_scales_missing_middle_observations.py")
    published = float(truth.IDENTITY_OBSERVATION_NOISE_SCALE_MEAN)
    error = float(truth.IDENTITY_OBSERVATION_NOISE_SCALE_MEAN_STANDARD_ERROR)
    stated = exact_noise_mean(walk, 2.0)
    assert stated == pytest.approx(0.11266, abs=1e-4)
    assert abs(published - stated) > 15 * error
    assert abs(published - exact_noise_mean(walk, 4.0)) < 3 * error
