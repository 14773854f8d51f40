"""The qubit: probabilities against the matrix exponential, exact nodes, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, linalg, stats

from probinf.transformers_dist.families import (
    LogitBeta,
    Quantum,
    QuantumData,
    QuantumLikelihood,
    QuantumView,
    exact_quantum,
    quantum_probabilities,
)
from probinf.transformers_dist.families._quantum import DESIGN, STATE_NOISE, TIME_NOISE

OUTCOMES = QuantumData(jnp.asarray([0.0, 1, 0, 1, 1, 0, 1, 0, 0, 1]))


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
def test_probabilities_are_averages_of_the_evolution_over_the_noise(x64, x):
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum()
    hamiltonian = np.array([[1 - x, x], [x, x - 1]])
    expected = []
    for state, time in DESIGN:
        clean = np.asarray(state) / np.linalg.norm(state)
        noisy = clean + STATE_NOISE * np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1)
        noisy = noisy / np.linalg.norm(noisy, axis=-1, keepdims=True)
        total = 0.0
        for node, weight in zip(nodes, weights, strict=True):
            second = (noisy @ linalg.expm(-1j * hamiltonian * (time + TIME_NOISE * node)).T)[..., 1]
            total += weight * (weights @ np.abs(second) ** 2 @ weights)
        expected.append(total)
    np.testing.assert_allclose(quantum_probabilities(jnp.asarray(x)), expected, atol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.8, 2.5), (6.0, 3.0)])
def test_frame_has_the_moments_of_the_logit(x64, a, b):
    frame = QuantumView().frame(LogitBeta(a, b))
    density = lambda u: stats.beta(a, b).pdf(1 / (1 + np.exp(-u))) * np.exp(-u) / (1 + np.exp(-u)) ** 2  # noqa: E731  # pyright: ignore[reportAttributeAccessIssue]
    assert LogitBeta(a, b).log_density(jnp.asarray([0.4])) == pytest.approx(np.log(density(0.4)), abs=1e-10)
    mean = integrate.quad(lambda u: u * density(u), -35, 35, limit=200)[0]
    variance = integrate.quad(lambda u: (u - mean) ** 2 * density(u), -35, 35, limit=200)[0]
    assert frame.shift[0] == pytest.approx(mean, abs=1e-6)
    assert frame.scale[0, 0] == pytest.approx(np.sqrt(variance), abs=1e-6)


def test_points_have_the_moments_and_the_evidence_of_the_posterior(x64):
    prior = LogitBeta(0.9, 1.4)
    likelihood = jax.jit(jax.vmap(QuantumLikelihood(OUTCOMES).log_density))
    grid = (np.arange(2000) + 0.5) / 2000
    # Through x = t^3 (10 - 15 t + 6 t^2), so that the integrand is flat at both ends.
    x = grid**3 * (10 - 15 * grid + 6 * grid**2)
    slopes = 30 * grid**2 * (1 - grid) ** 2
    values = stats.beta(0.9, 1.4).pdf(x) * np.exp(likelihood(jnp.log(x / (1 - x))[:, None])) * slopes / 2000  # pyright: ignore[reportAttributeAccessIssue]
    exact = jax.jit(exact_quantum, static_argnames="nodes")
    for nodes, tolerance in ((96, 4e-3), (1024, 5e-5)):
        points, log_weights, log_evidence = exact(prior, OUTCOMES, nodes=nodes)
        weights, places = np.exp(log_weights), jax.nn.sigmoid(points[:, 0])
        assert log_evidence == pytest.approx(np.log(values.sum()), abs=tolerance)
        assert weights @ places == pytest.approx(values @ x / values.sum(), abs=tolerance)
        assert weights @ places**2 == pytest.approx(values @ x**2 / values.sum(), abs=tolerance)


def test_outcomes_follow_the_joint_law():
    problems = jax.jit(jax.vmap(Quantum(nodes=32).draw))(jax.random.split(jax.random.key(1), 1500))
    # Over the joint law, the mean of the posterior probabilities of an outcome is its frequency, in each run.
    inner = jax.jit(jax.vmap(jax.vmap(lambda u: quantum_probabilities(jax.nn.sigmoid(u[0])))))(problems.points)
    predicted = np.einsum("is,isr->ir", np.exp(problems.log_weights), inner).mean(0)
    # Four standard deviations of each, and what 32 nodes cost.
    np.testing.assert_allclose(problems.data.outcomes.mean(0), predicted, atol=4 * 0.5 / 1500**0.5 + 5e-3)


def test_bad_input_is_named():
    view = QuantumView()
    with pytest.raises(ValueError, match="concentration b of a beta prior must be positive"):
        view.check(LogitBeta(1.0, -1.0), OUTCOMES)
    with pytest.raises(ValueError, match="each 0 or 1"):
        view.check(LogitBeta(1.0, 1.0), QuantumData(OUTCOMES.outcomes.at[0].set(0.5)))
    with pytest.raises(TypeError, match="LogitBeta"):
        view.check(stats.beta(1, 1), OUTCOMES)  # pyright: ignore[reportArgumentType]
