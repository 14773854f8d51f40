"""Populations in closed form, against SciPy's hypergeometric functions and quadrature to 1e-12."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from probinf.verifiers.imperfect import BetaPopulation, DirichletCounts, Payoff, optimal_attempts, utility

BETAS = [
    (0.3, 0.5, 0.9, 0.1),
    (2.0, 3.0, 0.8, 0.25),
    (0.05, 0.4, 1.0, 0.01),
    (1.0, 1.0, 0.2, 0.6),
    (0.3, 0.5, 1.0, 0.0),
]
K = np.arange(0, 30)


@eqx.filter_jit
def beta_outcomes(population, attempts):
    """By the fine rule, and by Gauss-Jacobi nodes."""
    return population.outcomes(attempts), population.atoms(16).outcomes(attempts), population.ceiling


@eqx.filter_jit
def best(population, payoff):
    return optimal_attempts(population, payoff)


@pytest.mark.parametrize(("alpha", "beta", "t", "f"), BETAS)
def test_beta_populations_are_hypergeometric(x64, alpha, beta, t, f):
    fine, gauss, ceiling = beta_outcomes(BetaPopulation(alpha, beta, t, f), jnp.asarray(K, float))
    z, m = (t - f) / (1 - f), alpha / (alpha + beta)
    abstain = (1 - f) ** K * special.hyp2f1(-K, alpha, alpha + beta, z)
    steps = (1 - f) ** K * special.hyp2f1(-K, alpha + 1, alpha + beta + 1, z)
    correct = t * m * (np.cumsum(steps) - steps)
    for found in (fine, gauss):
        assert found.abstain == pytest.approx(abstain, abs=1e-12)
        assert found.correct == pytest.approx(correct, abs=1e-12)
        assert found.correct + found.wrong + found.abstain == pytest.approx(np.ones(30), abs=1e-12)
        assert found.samples == pytest.approx(np.cumsum(abstain) - abstain, rel=1e-12)
    assert float(ceiling) == pytest.approx(m * special.hyp2f1(1, beta, alpha + beta + 1, 1 - f / t), abs=1e-12)


def test_a_perfect_verifier_gives_coverage_and_its_power_law(x64):
    alpha, beta = 0.3, 0.5
    k = np.array([1, 10, 1e3, 1e6])
    found = BetaPopulation(alpha, beta).outcomes(k)
    miss = np.exp(special.betaln(alpha, beta + k) - special.betaln(alpha, beta))
    assert found.correct == pytest.approx(1 - miss, abs=1e-12)
    law = np.exp(special.gammaln(alpha + beta) - special.gammaln(beta)) * k**-alpha
    assert miss[-1] == pytest.approx(law[-1], rel=1e-6)
    assert found.samples[1] == pytest.approx(
        sum(special.beta(alpha, beta + j) for j in range(10)) / special.beta(alpha, beta)
    )


def test_gauss_jacobi_is_differentiable(x64):
    def correct(alpha, atoms):
        population = BetaPopulation(alpha, 0.5, 0.9, 0.1)
        return (population.atoms(12) if atoms else population).outcomes(10).correct

    slopes = [float(jax.jit(jax.grad(lambda a, atoms=atoms: correct(a, atoms)))(0.3)) for atoms in (True, False)]
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-10)
    h = 1e-5
    difference = float(correct(0.3 + h, False) - correct(0.3 - h, False)) / (2 * h)
    assert slopes[1] == pytest.approx(difference, rel=1e-8)


@pytest.mark.parametrize(
    ("population", "payoff", "infinite"),
    [
        ((0.3, 0.5, 0.9, 0.1), (1, 0, 0, 0), True),  # no cost: the hardest are worth nothing, all others something
        ((0.3, 0.5, 0.9, 0.1), (1, 1, 0, 0), False),  # p near 0 is accepted by mistake
        ((0.3, 0.5, 0.9, 0.0), (1, 1, 0, 0), True),  # no mistakes
        ((0.3, 0.5, 0.9, 0.0), (1, 1, 0, 0.01), False),  # but some tasks take for ever
        ((2.0, 3.0, 0.8, 0.25), (1, 0.9, 0, 0.002), False),
        ((0.5, 0.5, 0.5, 0.5), (1, 0.9, 0, 0), True),  # a coin: PPV 1/2 on average
        ((0.5, 0.5, 0.5, 0.5), (1, 1.1, 0, 0), False),
        ((0.5, 0.5, 1.0, 1.0), (1, 0.9, 0, 0), False),  # all is accepted: once
        ((0.5, 0.5, 0.2, 0.9), (1, 8.0, 5.0, 0), True),  # worse than a coin, but silence costs more
    ],
)
def test_optimum_of_a_beta_population(x64, population, payoff, infinite):
    population, payoff = BetaPopulation(*population), Payoff(*map(float, payoff))
    found = float(best(population, payoff))
    if payoff.abstention_cost > 0:
        ends = utility(population, jnp.asarray([0.0, jnp.inf]), payoff)
        assert found == (np.inf if ends[1] > ends[0] else 0)
        return
    assert np.isinf(found) == infinite
    gains = np.asarray(eqx.filter_jit(population.gain)(jnp.arange(1.0, 200), payoff))
    expected = np.flatnonzero(gains > 0)
    assert found == (np.inf if infinite else (expected[-1] + 1 if expected.size else 0))


def test_dirichlet_counts_are_an_urn(x64):
    """A Dirichlet-multinomial sequence is Polya's urn: what was drawn is put back with one more of its kind."""
    # Closed forms for the samples have a pole where a1 + a2 is one.
    a = np.array([[0.3, 0.2, 1.0], [0.6, 0.4, 2.0], [0.6, 0.4 + 1e-7, 2.0], [0.5, 0.45, 0.01], [3.0, 1.0, 11.0]])
    population = DirichletCounts(np.full(3, 0.005), a - 0.005)
    found = eqx.filter_jit(lambda p, k: p.outcomes(k))(population, jnp.arange(41.0))
    reached, correct, wrong, samples = np.ones(5), np.zeros(5), np.zeros(5), np.zeros(5)
    for k in range(41):
        assert float(found.abstain[k]) == pytest.approx(reached.mean(), abs=1e-12)
        assert float(found.correct[k]) == pytest.approx(correct.mean(), abs=1e-12)
        assert float(found.wrong[k]) == pytest.approx(wrong.mean(), abs=1e-12)
        assert float(found.samples[k]) == pytest.approx(samples.mean(), rel=1e-12)
        urn = a.sum(axis=1) + k
        correct, wrong = correct + reached * a[:, 0] / urn, wrong + reached * a[:, 1] / urn
        samples, reached = samples + reached, reached * (a[:, 2] + k) / urn


def test_optimum_of_dirichlet_counts(x64):
    counts = np.array([[0, 0, 0], [3, 1, 10], [0, 0, 20.0], [1, 6, 20.0]])
    population = DirichletCounts(np.array([0.3, 0.2, 1.0]), counts)
    # The slowest are the tasks of which nothing was accepted: PPV .6, so they break even at 1.5.
    good = DirichletCounts(population.concentration, counts, [1 / 3, 1 / 3, 1 / 3, 0])
    assert float(best(good, Payoff(1.0, 1.49))) == np.inf
    assert np.isfinite(best(good, Payoff(1.0, 1.51)))
    # What the last task loses is more than they gain: the tail alone does not decide.
    assert float(best(population, Payoff(1.0, 1.49))) == 0
    for payoff in (Payoff(1.0, 2.0), Payoff(1.0, 1.0, 0.0, 0.01)):
        k = np.arange(4000)
        worth = np.asarray(eqx.filter_jit(utility)(population, jnp.asarray(k, float), payoff))
        assert float(best(population, payoff)) == k[worth.argmax()]
    payoff = Payoff(1.0, 2.0, 0.1, 0.03)
    gains = eqx.filter_jit(population.gain)(jnp.arange(1.0, 6), payoff)
    steps = np.diff(np.asarray(eqx.filter_jit(utility)(population, jnp.arange(6.0), payoff)))
    assert gains == pytest.approx(steps, abs=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BetaPopulation(0.0, 1.0), "alpha must be positive"),
        (lambda: BetaPopulation(1.0, 1.0, 1.0, -0.1), "false_positive_rate is a probability"),
        (lambda: DirichletCounts([1.0, 0.0, 1.0]), "concentration must be positive"),
        (lambda: DirichletCounts([1.0, 1.0, 1.0], [[1, -1, 2]]), "at least zero"),
        (lambda: DirichletCounts([1.0, 1.0, 1.0], [[1, 1, 2]], [0.5]), "sum to one"),
    ],
)
def test_bad_input_is_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()
