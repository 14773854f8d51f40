"""Mixtures of Gaussians: densities, moments, draws, and what is refused."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import hilbert
from scipy.stats import kstest, norm

import probinf as pi
from probinf.distributions import (
    GMM,
    condition_linear,
    condition_on_values,
    marginal,
    moment_match,
    multiply,
    pad_components,
    push_affine,
    split_components,
)
from tests.distributions.mixtures import covariances, density, mixture, permuted, with_absent

X = np.array([0.3, -1.2])


def test_density_and_moments_are_those_of_the_components(x64):
    gmm = mixture(0, 3, 2)
    log_density, mean, covariance = jax.jit(lambda g: (g.log_density(jnp.asarray(X)), g.mean, g.covariance))(gmm)
    np.testing.assert_allclose(np.exp(log_density), density(gmm, X), rtol=1e-12)
    w, means = np.exp(gmm.log_weights), np.asarray(gmm.means)
    second = np.einsum("k,kij->ij", w, covariances(gmm) + means[:, :, None] * means[:, None, :])
    np.testing.assert_allclose(mean, w @ means, atol=1e-13)
    np.testing.assert_allclose(covariance, second - np.outer(w @ means, w @ means), atol=1e-12)


def total(gmm: GMM, other: GMM, x) -> jax.Array:
    """One number in which every operation but merging has a part."""
    rest, evidence = condition_on_values(gmm, (1,), x[1:])
    product, mass = multiply(gmm, other)
    posterior, seen = condition_linear(gmm, jnp.ones((1, 2)), x[:1], jnp.eye(1))
    pushed = push_affine(gmm, jnp.ones((1, 2)), x[:1])
    reduced = [moment_match(gmm), split_components(gmm, 2), pad_components(gmm, 7)]
    whole = sum(g.log_density(x) for g in (gmm, product, posterior, *reduced))
    parts = sum(g.log_density(x[:1]) for g in (rest, pushed, marginal(gmm, (0,))))
    draw = gmm.sample(jax.random.key(0), ())
    return whole + parts + evidence + mass + seen + jnp.sum(gmm.mean) + jnp.sum(gmm.covariance) + jnp.sum(draw)


@pytest.mark.slow
def test_nothing_depends_on_what_an_absent_component_holds(x64):
    """Values and derivatives, and no program is compiled anew."""
    gmm, other = mixture(1, 2, 2), mixture(2, 1, 2)
    run = jax.jit(chex.assert_max_traces(lambda *inputs: jax.value_and_grad(total)(*inputs), n=1))
    expected, slope = run(with_absent(gmm, 1.0), other, jnp.asarray(X))
    for junk in (np.nan, np.inf, 0.0):
        found, slopes = run(with_absent(gmm, junk), other, jnp.asarray(X))
        assert found == expected
        for mine, theirs in zip(jax.tree.leaves(slopes), jax.tree.leaves(slope), strict=True):
            np.testing.assert_array_equal(mine, theirs)
            assert np.isfinite(mine).all()
    assert not np.asarray(slopes.means[0]).any() and not np.asarray(slopes.scales[0]).any()
    chex.clear_trace_counter()


def test_an_absent_component_and_the_order_change_nothing(x64):
    gmm = mixture(1, 3, 2)
    read = jax.jit(lambda g: (g.log_density(jnp.asarray(X)), g.covariance))
    for same in (with_absent(gmm, np.nan), permuted(gmm, [2, 0, 1])):
        for mine, theirs in zip(read(same), read(gmm), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_draws_follow_the_density(x64):
    """Kolmogorov-Smirnov on 4000 draws along one direction: false alarm 1e-6; the seed is fixed."""
    gmm, direction = with_absent(mixture(3, 3, 2), np.nan), np.array([0.8, -0.6])
    draws = jax.jit(lambda g: g.sample_lanes(jax.random.key(4), (), 4000))(gmm)
    w, means = np.exp(gmm.log_weights[1:]), np.asarray(gmm.means[1:]) @ direction
    deviations = np.sqrt(np.einsum("i,kij,j->k", direction, covariances(gmm)[1:], direction))
    test = kstest(np.asarray(draws) @ direction, lambda t: norm.cdf(t[:, None], means, deviations) @ w)
    assert test.pvalue > 1e-6


def test_a_ratio_of_mixtures_means_its_numerator(x64):
    """Two mixtures with the same name are told apart by their arrays, and an equal one cancels."""
    p, q = mixture(5, 3, 2), mixture(6, 3, 2)
    sampler = pi.Draw(q) >> pi.Reweight(p / q)
    meaning = sampler.meaning(pi.Measure())
    assert meaning.same_law(pi.Measure() * p) and not meaning.same_law(pi.Measure() * q)
    again = GMM(q.log_weights, q.means, q.scales)
    assert (pi.Draw(q) >> pi.Reweight(p / again)).meaning(pi.Measure()).same_law(pi.Measure() * p)
    cloud = pi.sample(sampler, jax.random.key(0), n=16).particles
    ratio = [np.log(density(p, x) / density(q, x)) for x in np.asarray(cloud.values)]
    np.testing.assert_allclose(cloud.log_weights, ratio, atol=1e-12)


ONE = ([0.0], [[0.0]], [[[1.0]]])


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (GMM, ([0.0, 0.0], [[0.0], [1.0]], [[[1.0]], [[1.0]]]), "sum to one"),
        (GMM, ([np.nan], *ONE[1:]), "sum to one"),
        (GMM, ([0.0], [0.0], [[[1.0]]]), "in D dimensions needs"),
        (GMM, ([0.0], [[0.0]], [[1.0]]), "in D dimensions needs"),
        (GMM, ([0.0], [[np.nan]], [[[1.0]]]), "finite"),
        (GMM, ([0.0], [[0.0]], [[[np.inf]]]), "finite"),
        (GMM, ([0.0], [[0.0]], [[[-1.0]]]), "positive diagonal"),
        (GMM, ([0.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]]), "lower triangular"),
        (GMM.of, ([0.5], [[0.0]], [[[1.0]]]), "sum to one"),
        (GMM.of, ([2.0, -1.0], [[0.0], [0.0]], [[[1.0]], [[1.0]]]), "negative"),
        (GMM.of, ([1.0], [[0.0]], [[[-1.0]]]), "positive definite"),
        (GMM.of, ([1.0], [[0.0]], [[[np.nan]]]), "positive definite"),
        (GMM.of, ([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "positive definite"),
        (GMM.of, ([1.0], [[0.0, 0.0]], [[[1e-8, 1e-9], [0.0, 1e-8]]]), "symmetric"),
        (GMM.of, ([1.0], [[0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]), "in D dimensions needs"),
        (
            GMM.of,
            ([1.0], [np.zeros(6)], [hilbert(6).astype(np.float32)]),
            "factor 5e.05 given the others, at most 8.4e",
        ),
        (GMM.of, ([1.0], [np.zeros(12)], [hilbert(12)]), "nearly singular"),
        (GMM, ([0.0], [np.zeros(2)], [[[1.0, 0.0], [1.0, 1e-6]]]), "scales of a mixture are nearly singular"),
    ],
)
def test_what_is_no_mixture_is_refused(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(*arguments)


def test_the_covariance_of_an_absent_component_may_be_anything():
    gmm = GMM.of([0.0, 1.0], [[np.nan], [0.0]], [[[np.nan]], [[4.0]]])
    assert not gmm.present[0] and float(gmm.covariance[0, 0]) == 4.0


def test_an_ill_conditioned_covariance_is_factored_in_double_precision():
    """The Hilbert matrix, whose inverse and determinant are known: 50 digits of mpmath, rounded.

    With a Cholesky factor computed in single precision it is -1.051.
    """
    x = jnp.array([2.4375, 1.59375, 1.21875, 0.9921875, 0.84375, 0.734375])
    assert float(GMM.of([1.0], [np.zeros(6)], [hilbert(6)]).log_density(x)) == pytest.approx(-1.64419972, abs=1e-3)


def test_a_traced_covariance_that_rounding_has_changed_is_no_number():
    log_density = jax.jit(lambda c, x: GMM.of(jnp.ones(1), jnp.zeros((1, x.size)), c[None]).log_density(x))
    assert np.isnan(log_density(jnp.asarray(hilbert(6)), jnp.zeros(6)))
    assert np.isfinite(log_density(jnp.asarray(hilbert(6)) + 1e-3 * jnp.eye(6), jnp.zeros(6)))
