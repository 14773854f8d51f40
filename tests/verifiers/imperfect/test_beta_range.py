"""Integrals over a Beta law for alpha and beta from .01 to 1e6, in both precisions, eager and compiled."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.verifiers.imperfect import BetaPopulation, DirichletCounts, fit_beta_binomial, pass_at

GRID = np.array(list(itertools.product((0.01, 0.5, 1.0, 30.0, 1e4, 1e6), repeat=2)))
K = np.array([1.0, 2, 7, 100, 1e4])


def missed(a, b):
    """E[(1 - p)^K], as a product of K quotients in float64."""
    return [np.exp(np.sum(np.log1p(-a / (a + b + np.arange(int(k)))))) for k in K]


@pytest.mark.parametrize(("double", "fine", "gauss"), [(True, 1e-12, 1e-12), (False, 1e-6, 1e-4)])
def test_a_beta_law_is_integrated_over_its_whole_range(double, fine, gauss):
    """Before, mass was lost or a node fell outside [0, 1] where alpha and beta were large; off by up to 1."""
    with jax.enable_x64(double):

        def run(pair):
            population = BetaPopulation(pair[0], pair[1])
            return population.outcomes(jnp.asarray(K)).abstain, population.atoms(64).outcomes(jnp.asarray(K)).abstain

        exact = np.array([missed(*pair) for pair in GRID])
        by_trapezoid, by_atoms = (np.asarray(x) for x in jax.jit(jax.vmap(run))(jnp.asarray(GRID)))
        assert by_trapezoid == pytest.approx(exact, abs=fine)
        # Atoms are exact for fewer attempts than twice their number.
        assert by_atoms[:, :4] == pytest.approx(exact[:, :4], abs=gauss)
        closed = DirichletCounts([1.0, 1.0, 1.0], np.stack([GRID[:, 0], 0 * GRID[:, 0], GRID[:, 1]], 1))
        each = jax.jit(jax.vmap(lambda c: DirichletCounts(c).outcomes(jnp.asarray(K)).abstain))
        half = jnp.stack([0.5 * jnp.asarray(GRID[:, 0]), 0.5 * jnp.asarray(GRID[:, 0]), jnp.asarray(GRID[:, 1])], 1)
        assert closed.counts.shape == (36, 3) and np.asarray(each(half)) == pytest.approx(exact, abs=fine)


@pytest.mark.parametrize("pair", [(0.5, 300.0), (1.0, 1e6), (10.0, 1000.0)])
def test_atoms_of_narrow_laws_are_probabilities_in_single_precision(pair):
    """ValueError about an accuracy before."""
    found = BetaPopulation(*pair).atoms(64)
    assert float(found.outcomes(2).abstain) == pytest.approx(missed(*pair)[1], rel=1e-5)


def test_pass_at_of_many_samples_keeps_its_digits_in_single_precision():
    # 1 - prod_j (1 - K / (n - j)) over the correct samples, in float64.
    n, c, k = 10**6, np.array([1, 3, 1000]), 1000
    exact = [1 - np.prod(1 - k / (n - np.arange(x))) for x in c]
    assert np.asarray(pass_at(c, n, k)) == pytest.approx(exact, rel=1e-4)


def test_a_second_fit_compiles_nothing_and_shows_its_parameters():
    n = np.full(40, 50)
    fit_beta_binomial(np.arange(40), n)
    start = time.perf_counter()
    fit = fit_beta_binomial(np.arange(40) // 2, n)
    alpha = float(fit.population.alpha)
    assert time.perf_counter() - start < 2
    assert f"alpha=Array({str(alpha)[:5]}" in repr(fit)
