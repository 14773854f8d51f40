"""Expectation maximization: monotone, weighted, regularized as stated."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import choose_components, fit_gmm
from tests.distributions.mixtures import density

# Three clumps of 50 about a triangle, so few shapes serve all tests.
CENTERS = np.array([[-5.0, 0.0], [5.0, 0.0], [0.0, 8.0]])
SAMPLES = np.repeat(CENTERS, 50, axis=0) + np.random.default_rng(0).normal(size=(150, 2))
KEYS = jax.random.split(jax.random.key(0), 3)


def weights() -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).normal(size=150))


def test_the_likelihood_never_falls_and_batches_agree(x64):
    """Five steps from each of three starts; rounding may take 1e-13 of about 4."""
    logs = weights()

    def fit(key):
        return fit_gmm(key, jnp.asarray(SAMPLES), 3, log_weights=logs, steps=5)

    batch, info = jax.vmap(fit)(KEYS)
    assert info.log_likelihood.shape == (3, 6)
    assert np.diff(info.log_likelihood).min() > -1e-13 and np.diff(info.log_likelihood).max() > 1e-4
    one, alone = fit(KEYS[1])
    np.testing.assert_allclose(batch.means[1], one.means, atol=1e-10)
    stated = np.average(np.log([density(one, x) for x in SAMPLES]), weights=np.exp(logs))
    np.testing.assert_allclose(alone.log_likelihood[-1], stated, rtol=1e-12)


def test_samples_of_weight_zero_may_hold_anything(x64):
    logs = weights().at[:40].set(-jnp.inf)
    junk = [jnp.asarray(SAMPLES).at[:40].set(value) for value in (0.0, jnp.nan)]
    first, second = (fit_gmm(KEYS[0], samples, 3, log_weights=logs, steps=5)[0] for samples in junk)
    np.testing.assert_array_equal(first.means, second.means)
    np.testing.assert_array_equal(first.scales, second.scales)
    assert np.isfinite(first.means).all()


def test_more_components_than_places_leave_some_absent_and_the_floor_holds(x64):
    """Samples at three places: the best covariance is zero, and the floor is relative to that of all samples."""
    samples = jnp.asarray(np.repeat(CENTERS, 50, axis=0))
    fit, info = fit_gmm(KEYS[0], samples, 5, steps=5, floor=1e-3)
    assert np.sum(np.asarray(fit.log_weights) > -np.inf) == 3 and np.isfinite(info.log_likelihood).all()
    frame = np.linalg.inv(np.linalg.cholesky(np.cov(np.asarray(samples).T, bias=True)))
    roots = frame @ np.asarray(fit.scales)[np.asarray(fit.log_weights) > -np.inf]
    np.testing.assert_allclose(roots @ roots.swapaxes(1, 2), 1e-3 * np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-12)


def test_the_number_of_components_is_found_by_samples_held_out(x64):
    """Of one and three for three clumps; the fit to one is the mean and covariance of the samples it saw."""
    samples = jnp.asarray(
        np.concatenate([SAMPLES, CENTERS[np.arange(50) % 3] + np.random.default_rng(2).normal(size=(50, 2))])
    )
    best, info = choose_components(jax.random.key(1), samples, (1, 3), steps=5)
    assert info.components == (1, 3) and best.components == 3
    # The clumps are more than five deviations apart, so each is found: its mean within six standard errors.
    for center in CENTERS:
        assert np.linalg.norm(np.asarray(best.means) - center, axis=1).min() < 6 / np.sqrt(25)
    assert info.held_out[1] > info.held_out[0] + 0.5


def test_one_component_is_the_weighted_mean_and_covariance(x64):
    fit, _ = fit_gmm(KEYS[0], jnp.asarray(SAMPLES), 1, log_weights=weights(), steps=5)
    mass = np.exp(weights())
    np.testing.assert_allclose(fit.mean, np.average(SAMPLES, axis=0, weights=mass), atol=1e-12)
    np.testing.assert_allclose(fit.covariance, np.cov(SAMPLES.T, aweights=mass, bias=True), atol=1e-11)


@pytest.mark.parametrize(
    ("samples", "components", "knobs", "message"),
    [
        (SAMPLES[:, 0], 1, {}, "needs samples"),
        (SAMPLES, 0, {}, "at least one component"),
        (SAMPLES, 1, {"steps": 0}, "at least one step"),
        (SAMPLES, 1, {"floor": 0.0}, "between 0 and 1"),
        (SAMPLES, 1, {"log_weights": np.zeros(3)}, "as many log-weights"),
        (SAMPLES, 1, {"log_weights": np.full(150, np.nan)}, "NaN"),
        (SAMPLES, 1, {"log_weights": np.full(150, -np.inf)}, "above -infinity"),
        (np.where(SAMPLES > 8, np.nan, SAMPLES), 1, {}, "finite"),
        (SAMPLES[:2], 1, {}, "subspace"),
        (SAMPLES * [1.0, 0.0] + 3.0, 1, {}, "subspace"),
        (SAMPLES[:, :1] * [1.0, 2.0], 1, {}, "subspace"),
    ],
)
def test_errors_name_the_fix(x64, samples, components, knobs, message):
    knobs = {k: jnp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in knobs.items()}
    # In tests annotated shapes are checked first, with another error.
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(fit_gmm)(KEYS[0], jnp.asarray(samples), components, **knobs)


@pytest.mark.parametrize(("candidates", "held_out"), [((), 0.25), ((1,), 0.0), ((1,), 1.0)])
def test_a_choice_needs_candidates_and_two_parts(candidates, held_out):
    with pytest.raises(ValueError, match="both sides"):
        choose_components(KEYS[0], jnp.asarray(SAMPLES), candidates, held_out)
