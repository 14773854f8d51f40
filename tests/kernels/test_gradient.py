"""Kernels that follow a gradient: Green's conditions at points, in float64, and what must not happen."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.flatten_util import ravel_pytree
from scipy import stats

import probinf as pi
from probinf.cases._kernels import AlwaysAccepted, Drift, WholeKick
from probinf.kernels import HamiltonianMonteCarlo, LangevinProposal, MetropolisHastings, hmc, independence, mala

KEY = jax.random.key(0)


def log_banana(x):
    """A bent density over a tree: nothing about it is linear."""
    return -0.5 * jnp.sum(x["a"] ** 2) - 0.5 * jnp.sum((x["b"] - x["a"] ** 2) ** 2 / 0.3)


BANANA = pi.Density("banana", log_banana)
POINTS = [{"a": np.array([0.3, -1.1]), "b": np.array([0.7, 0.2])}, {"a": np.array([-0.5, 0.4]), "b": np.zeros(2)}]


def trajectory(kernel, x, p):
    state, momentum = kernel.trajectory(kernel.start(x), p)
    return state.value, momentum


def green(kernel, x, p):
    """How far the trajectory is from being its own inverse, and log |det| of its Jacobian."""
    flat, unravel = ravel_pytree((x, p))
    function = lambda flat: ravel_pytree(trajectory(kernel, *unravel(flat)))[0]  # noqa: E731
    _, log_det = jnp.linalg.slogdet(jax.jacfwd(function)(flat))
    return float(jnp.max(jnp.abs(function(function(flat)) - flat))), float(log_det)


@pytest.mark.parametrize("inverse_mass", [1.0, {"a": np.array([0.5, 2.0]), "b": 0.3}])
def test_leapfrog_and_flip_is_an_involution_that_keeps_volume(x64, inverse_mass):
    kernel = hmc(BANANA, 0.3, 5, inverse_mass)
    for x, p in [POINTS, POINTS[::-1]]:
        distance, log_det = green(kernel, jax.tree.map(jnp.asarray, x), jax.tree.map(jnp.asarray, p))
        assert distance < 1e-12 and abs(log_det) < 1e-12


def test_a_whole_first_kick_is_no_involution(x64):
    kernel = WholeKick(pi.Density("skew", lambda x: -jnp.sum(jnp.exp(-x) + x)), 0.3, 5)
    distance, log_det = green(kernel, jnp.array([0.3, -1.1]), jnp.array([0.7, 0.2]))
    assert distance > 0.1 and abs(log_det) < 1e-12


def test_langevin_ratio_is_that_of_its_gaussian_steps(x64):
    x, y = (jax.tree.map(jnp.asarray, point) for point in POINTS)
    step = {"a": jnp.array([0.1, 0.4]), "b": jnp.array(0.2)}
    proposal = LangevinProposal(BANANA, step)

    def log_q(x, y):
        gradient = jax.grad(log_banana)(x)
        parts = [
            jax.scipy.stats.norm.logpdf(y[k], x[k] + step[k] * gradient[k], jnp.sqrt(2 * step[k])).sum() for k in "ab"
        ]
        return sum(parts)

    assert abs(float(proposal.log_ratio(x, y)) - (log_q(y, x) - log_q(x, y))) < 1e-12
    assert abs(float(proposal.log_ratio(x, y) + proposal.log_ratio(y, x))) < 1e-12
    # The draws have the mean and the spread of that Gaussian: 4000 draws, five standard errors.
    draws = jax.vmap(proposal.sample, (0, None))(jax.random.split(KEY, 4000), x)
    mean = x["a"] + step["a"] * jax.grad(log_banana)(x)["a"]
    np.testing.assert_array_less(np.abs(draws["a"].mean(0) - mean), 5 * np.sqrt(2 * step["a"] / 4000))
    np.testing.assert_allclose(draws["a"].std(0), np.sqrt(2 * step["a"]), rtol=0.06)


def ends(kernel, n=4000, steps=10):
    """Ends of n chains that start from a Gumbel variable."""
    start = jax.random.gumbel(jax.random.key(5), (n,))
    return np.asarray(pi.sample_chains(kernel, jax.random.key(6), start, steps).values[:, -1], np.float64)


GUMBEL = pi.Named("gumbel", dist.Gumbel(0.0, 1.0))


@pytest.mark.parametrize(
    "kernel", [mala(GUMBEL, 0.5), hmc(GUMBEL, 0.7, 3, 2.0), independence(GUMBEL, dist.Normal(1.0, 3.0))]
)
def test_chains_stay_in_their_target(kernel):
    """Kolmogorov-Smirnov on 4000 independent chains: a right kernel fails with probability 1e-6."""
    assert stats.kstest(ends(kernel), stats.gumbel_r.cdf).pvalue > 1e-6


@pytest.mark.parametrize(
    "kernel",
    [MetropolisHastings(GUMBEL, Drift(GUMBEL, 0.5)), AlwaysAccepted(GUMBEL, 1.2, 3), WholeKick(GUMBEL, 1.0, 3)],
)
def test_planted_bugs_leave_it(kernel):
    assert stats.kstest(ends(kernel), stats.gumbel_r.cdf).pvalue < 1e-12


def test_divergence_is_a_rejection_and_never_nan():
    quartic = pi.Density("quartic", lambda x: -jnp.sum(x**4))
    result = pi.sample_chains(hmc(quartic, 3.0, 10), KEY, jnp.array([[0.5, 1.0], [20.0, -30.0]]), 5)
    assert bool(jnp.all(jnp.isfinite(result.values)))
    assert bool(jnp.all(result.info.divergent)) and not bool(jnp.any(result.info.accepted))
    np.testing.assert_array_equal(result.values[:, -1], [[0.5, 1.0], [20.0, -30.0]])
    # A gradient that is not a number, at one end of the proposal.
    root = mala(pi.Density("root", lambda x: jnp.where(x > 0, -jnp.sqrt(x) * x, -jnp.inf)), 2.0)
    values = pi.sample_chains(root, KEY, jnp.full(50, 0.1), 20).values
    assert bool(jnp.all(values > 0)) and len(np.unique(values)) > 50


def test_a_hamiltonian_chain_computes_each_gradient_once():
    """Carried from one transition to the next, the gradient at the start is not asked for again: 1 + 3 a step."""
    calls = []

    def log_density(x):
        jax.debug.callback(lambda: calls.append(1))
        return -0.5 * jnp.sum(x**2)

    pi.sample_chains(hmc(pi.Density("counted", log_density), 0.5, 3), KEY, jnp.zeros((1, 2)), 4)
    jax.effects_barrier()
    # One for the check of the start, one for the first state, three for each of four trajectories.
    assert len(calls) == 2 + 3 * 4


def test_a_cloud_moves_with_carried_gradients_as_by_calls():
    kernel, values = hmc(GUMBEL, 0.7, 3), jnp.array([0.1, 0.9, -0.4])
    moved, info = kernel.move_lanes(KEY, values, 3, 2)
    x = values
    for key in jax.random.split(KEY, 2):
        x, last = jax.vmap(kernel)(jax.random.split(key, 3), x)
    np.testing.assert_allclose(moved, x, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(info.accepted, last.accepted)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="must be positive, got 0"):
        hmc(GUMBEL, 0.0, 3)
    with pytest.raises(ValueError, match="must be positive"):
        mala(GUMBEL, jnp.array([0.1, -1.0]))
    with pytest.raises(ValueError, match="steps >= 1"):
        HamiltonianMonteCarlo(GUMBEL, 0.1, 0)
    with pytest.raises(TypeError, match="update that part by another kernel"):
        mala(GUMBEL, 0.1)(KEY, jnp.int32(3))
    with pytest.raises(TypeError, match="sample\\(key\\) and log_prob"):
        independence(GUMBEL, 3.0)
