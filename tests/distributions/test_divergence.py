"""Kullback-Leibler divergences by draws and by quadrature against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from probinf.distributions import GMM, kl_estimate, kl_quadrature_1d
from probinf.distributions._divergence import _excess


def normal(mean: float, deviation: float) -> GMM:
    return GMM([0.0], [[mean]], [[[deviation]]])


def exact(m: float, s: float, n: float, t: float) -> float:
    """KL(N(m, s^2) || N(n, t^2))."""
    return np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5


def test_the_estimate_is_within_its_error_of_the_divergence(x64):
    """Five standard errors: a false alarm below 1e-6, with a fixed seed. The third pair is nearly equal."""
    estimate = jax.jit(kl_estimate, static_argnums=3)
    for p, q in [((0.3, 0.8), (0.0, 1.0)), ((0.0, 0.5), (0.2, 0.7)), ((0.0, 1.0), (0.0, 1.00001))]:
        value, error = estimate(normal(*p), normal(*q), jax.random.key(2), 4000)
        truth = exact(*p, *q)
        assert value > 0 and abs(value - truth) < 5 * error and error < 0.2 * truth


def test_no_term_is_negative_however_near_the_laws(x64):
    """Against the series, where the difference of its terms would have no digit left."""
    log_r = jnp.array([1e-12, -1e-8, 9.99e-4, -1.001e-3, 0.5, -40.0])
    r = np.asarray(log_r)
    series = r**2 * (1 / 2 + r / 6 + r**2 / 24 + r**3 / 120)
    expected = np.where(np.abs(r) < 0.01, series, np.expm1(r) - r)
    # `expm1(x) - x` at x = 1e-3 has lost three digits of sixteen.
    np.testing.assert_allclose(_excess(log_r), expected, rtol=1e-10)
    tiny = jnp.linspace(-3e-4, 3e-4, 1001, dtype=jnp.float32)
    assert (_excess(tiny) >= 0).all() and not _excess(jnp.zeros(2)).any()


def test_where_q_is_zero_the_divergence_is_infinite(x64):
    assert np.isinf(_excess(jnp.array([-jnp.inf]))[0])
    grid = jnp.linspace(-12.0, 12.0, 2001)
    log_p = jnp.asarray(norm.logpdf(np.asarray(grid)))
    cut = jnp.asarray(np.where(grid > 0, log_p + np.log(2.0), -np.inf))
    assert kl_quadrature_1d(log_p, cut, grid) == jnp.inf
    # The other way round, half of the line holds nothing: the divergence is log 2, up to half a cell of 0.012.
    np.testing.assert_allclose(kl_quadrature_1d(cut, log_p, grid), np.log(2.0), rtol=0.01)
    assert np.isfinite(kl_quadrature_1d(cut, cut, grid))


def test_quadrature_is_exact_for_normals(x64):
    grid, p, q = jnp.linspace(-12.0, 12.0, 801), normal(0.3, 0.8), normal(-0.2, 1.1)

    @jax.jit
    def divergence(p, q):
        return kl_quadrature_1d(lambda t: p.log_density(t[None]), lambda t: q.log_density(t[None]), grid)

    found = divergence(p, q)
    np.testing.assert_allclose(found, exact(0.3, 0.8, -0.2, 1.1), rtol=1e-12)


def test_errors_name_the_fix():
    with pytest.raises(ValueError, match="at least two draws"):
        kl_estimate(normal(0.0, 1.0), normal(0.0, 1.0), jax.random.key(0), 1)
    for grid in (jnp.zeros(1), jnp.array([0.0, 2.0, 1.0])):
        with pytest.raises(ValueError, match="points that rise"):
            kl_quadrature_1d(grid, grid, grid)
