"""The conjugate variance: exact nodes, the frame of the prior, and one look for every unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.transformers_dist.families import (
    InverseGammaView,
    LogInverseGamma,
    VarianceData,
    VarianceLikelihood,
    exact_inverse_gamma,
    inverse_gamma,
)

PAIRS = [(0.7, 3.0, 0.4), (2.0, 2.0, -1.5), (40.0, 5.0, 2.0)]


@pytest.mark.parametrize(("shape", "scale", "z"), PAIRS)
def test_density_and_moments_are_those_of_an_inverse_gamma_variable(x64, shape, scale, z):
    law = LogInverseGamma(shape, scale)
    u = jnp.log(jnp.asarray([0.3]))
    expected = stats.invgamma(shape, scale=scale).logpdf(0.3) + np.log(0.3)  # pyright: ignore[reportAttributeAccessIssue]
    assert law.log_density(u) == pytest.approx(expected, abs=1e-10)
    reference = stats.loggamma(shape, loc=-np.log(scale))
    assert law.mean == pytest.approx(-reference.mean(), abs=1e-9)
    assert law.deviation == pytest.approx(reference.std(), abs=1e-9)
    frame = InverseGammaView().frame(law)
    assert frame.shift[0] == law.mean and frame.scale[0, 0] == law.deviation


def test_prior_times_likelihood_is_the_posterior_up_to_the_evidence(x64):
    shape, scale, z = PAIRS[1]
    prior, data = LogInverseGamma(shape, scale), VarianceData(jnp.asarray(z))
    joint, posterior = prior * VarianceLikelihood(data), exact_inverse_gamma(prior, data)
    grid = jnp.linspace(-2.0, 3.0, 5)[:, None]
    gaps = jax.vmap(joint.log_density)(grid) - jax.vmap(posterior.log_density)(grid)
    # The evidence is Student's t with 2 shape degrees of freedom.
    evidence = stats.t(2 * shape, scale=np.sqrt(scale / shape)).logpdf(z)  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_allclose(gaps, evidence, atol=1e-10)


def test_points_have_the_moments_of_the_exact_posterior_and_data_the_joint_law(x64):
    problems = jax.jit(jax.vmap(inverse_gamma("wide", "narrow").draw))(jax.random.split(jax.random.key(1), 2000))
    posterior = jax.vmap(exact_inverse_gamma)(problems.prior, problems.data)
    weights, u = np.exp(problems.log_weights), np.asarray(problems.points[:, :, 0])
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-9)
    moments = jax.jit(jax.vmap(lambda law: (law.mean, law.deviation)))(posterior)
    means, deviations = (np.asarray(part) for part in moments)
    np.testing.assert_allclose(((weights * u).sum(1) - means) / deviations, 0.0, atol=1e-5)
    spread = np.sqrt((weights * (u - means[:, None]) ** 2).sum(1))
    np.testing.assert_allclose(spread / deviations, 1.0, atol=1e-5)
    # Given the prior, z is Student's t with 2 shape degrees of freedom and scale^2 = scale / shape.
    shape, scale = np.asarray(problems.prior.shape), np.asarray(problems.prior.scale)
    levels = stats.t(2 * shape, scale=np.sqrt(scale / shape)).cdf(np.asarray(problems.data.z))
    assert stats.kstest(levels, stats.uniform.cdf).pvalue > 1e-3


def test_look_does_not_depend_on_the_unit_of_the_observation(x64):
    view = InverseGammaView()
    looks = []
    for unit in (1.0, 7.0):
        prior = LogInverseGamma(2.5, 3.0 * unit**2)
        looks.append(view.look(prior, VarianceData(jnp.asarray(1.2 * unit)), view.frame(prior)))
    np.testing.assert_allclose(looks[0].rows, looks[1].rows, atol=1e-12)
    np.testing.assert_allclose(looks[0].features, looks[1].features, atol=1e-12)


def test_bijection_gives_the_density_of_the_variance(x64):
    view = InverseGammaView()
    x = jnp.asarray([0.7])
    np.testing.assert_allclose(view.outward(view.inward(x)), x, rtol=1e-12)
    law = LogInverseGamma(2.0, 3.0)
    u = view.inward(x)
    expected = stats.invgamma(2.0, scale=3.0).logpdf(0.7)  # pyright: ignore[reportAttributeAccessIssue]
    assert law.log_density(u) - view.log_jacobian(u) == pytest.approx(expected, abs=1e-10)


def test_bad_input_is_named():
    view, data = InverseGammaView(), VarianceData(jnp.asarray(1.0))
    with pytest.raises(TypeError, match="LogInverseGamma"):
        view.check(stats.invgamma(2.0), data)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="shape of an inverse-gamma prior must be positive"):
        view.check(LogInverseGamma(0.0, 1.0), data)
    with pytest.raises(ValueError, match="scale of an inverse-gamma prior must be positive"):
        view.check(LogInverseGamma(1.0, jnp.nan), data)
    with pytest.raises(ValueError, match="one finite number"):
        view.check(LogInverseGamma(1.0, 1.0), VarianceData(jnp.asarray(jnp.nan)))
    with pytest.raises(ValueError, match="meta-priors are wide"):
        inverse_gamma("broad")
