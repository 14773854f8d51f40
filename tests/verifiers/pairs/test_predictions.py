"""Predictions agree with the joint distribution of responses that they imply."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.verifiers.pairs import Dirichlet, Mixture, Moments, PairTable, check_responses

P = np.array([0.5, 0.3, 0.2])


def mixture():
    rng = np.random.default_rng(0)
    return Mixture(np.log(rng.dirichlet(np.ones(4))), np.log(rng.dirichlet(np.ones(3), size=4)))


def rough_table():
    rng = np.random.default_rng(1)
    return PairTable(rng.dirichlet(0.3 * np.ones(9)).reshape(3, 3))


def joint(prediction, k):
    """Probabilities of all k responses, as a table."""
    every = np.array(list(itertools.product(range(3), repeat=k)))
    return np.exp(jax.vmap(prediction.log_probability)(jnp.asarray(every))).reshape((3,) * k)


@pytest.mark.parametrize("make", [mixture, lambda: Dirichlet(P, 0.3), lambda: Dirichlet(P, 0.0)])
def test_moments_are_those_of_the_pairs_it_implies(make, x64):
    prediction = make()
    pairs = PairTable(joint(prediction, 2))
    np.testing.assert_allclose(pairs.probabilities, prediction.probabilities, atol=1e-12)
    np.testing.assert_allclose(pairs.covariance, prediction.covariance, atol=1e-12)
    triples = joint(prediction, 3)
    np.testing.assert_allclose(triples.sum(axis=2), pairs.joint, atol=1e-12)
    np.testing.assert_allclose(triples, triples.transpose(2, 0, 1), atol=1e-12)


def test_an_urn_that_always_copies_knows_nothing_of_the_next_input(x64):
    np.testing.assert_allclose(joint(Dirichlet(P, 1.0), 2), np.diag(P), atol=1e-12)


def test_confidence_is_the_ratio_of_plain_and_cheating_probabilities(x64):
    table = PairTable(joint(mixture(), 2))
    cheating = np.diagonal(table.joint) / np.asarray(table.probabilities)
    np.testing.assert_allclose(table.confidence, table.probabilities / cheating, atol=1e-12)


def test_confidence_in_what_is_hardly_possible_is_a_number():
    tiny = np.array([1e-30, 0.5, 0.5], np.float32)
    sure = Moments(jnp.asarray(tiny), jnp.zeros((3, 3)))
    unsure = Moments(jnp.asarray(tiny), jnp.diag(jnp.full(3, 1e-3)))
    # Compiled, for the compiler may turn two divisions into one by a square.
    confidence = jax.jit(lambda prediction: prediction.confidence)
    np.testing.assert_array_equal(confidence(sure), [1, 1, 1])
    found = confidence(unsure)
    assert float(found[0]) < 1e-30 and bool(jnp.all(jnp.isfinite(found)))
    slope = jax.grad(lambda v: jnp.sum(Moments(jnp.asarray(tiny), jnp.diag(v)).confidence))(jnp.zeros(3))
    assert bool(jnp.all(jnp.isfinite(slope)))


def test_variance_of_an_outcome_is_aleatoric_and_epistemic_together(x64):
    prediction = mixture()
    within = np.exp(prediction.log_components) * (1 - np.exp(prediction.log_components))
    expected = np.exp(prediction.log_weights) @ within
    np.testing.assert_allclose(prediction.aleatoric_variance, expected, atol=1e-12)
    p = np.asarray(prediction.probabilities)
    total = float(prediction.aleatoric_entropy + prediction.epistemic_entropy)
    assert total == pytest.approx(-np.sum(p * np.log(p)), abs=1e-12)
    assert float(prediction.epistemic_entropy) > 0.01


def test_the_projection_is_the_nearest_and_keeps_the_probabilities(x64):
    table = rough_table().symmetrized()
    before, projected = np.asarray(table.covariance), table.projected()
    after = np.asarray(projected.covariance)
    assert np.linalg.eigvalsh(before).min() < -1e-3
    assert np.linalg.eigvalsh(after).min() > -1e-12
    np.testing.assert_allclose(projected.probabilities, table.probabilities, atol=1e-12)
    np.testing.assert_allclose(after.sum(axis=1), 0.0, atol=1e-12)
    # What a projection onto a convex cone leaves is normal to it.
    assert np.sum((before - after) * after) == pytest.approx(0, abs=1e-12)
    assert np.linalg.eigvalsh(before - after).max() < 1e-12


def test_symmetry_never_costs_exchangeable_responses_log_loss(x64):
    truth, table = joint(mixture(), 2), rough_table()
    loss = lambda t: -np.sum(truth * np.log(t.joint))  # noqa: E731
    assert loss(table.symmetrized()) < loss(table)


def test_numbers_that_are_no_prediction_are_refused():
    with pytest.raises(ValueError, match="sum to one"):
        Moments(jnp.array([0.5, 0.4]), jnp.zeros((2, 2)))
    with pytest.raises(ValueError, match="sum to one"):
        Mixture(jnp.zeros(1), jnp.zeros((1, 3)))
    with pytest.raises(ValueError, match="at least 2 classes"):
        Dirichlet(jnp.ones(1), 0.5)
    with pytest.raises(ValueError, match="a gate"):
        Dirichlet(jnp.array([0.5, 0.5]), 1.5)
    with pytest.raises(ValueError, match="a variance is -0.1"):
        Moments(jnp.array([0.5, 0.5]), jnp.array([[-0.1, 0.1], [0.1, -0.1]]))
    with pytest.raises(ValueError, match="square table"):
        PairTable(jnp.full((2, 3), 1 / 6))
    with pytest.raises(ValueError, match="for two responses"):
        rough_table().log_probability(jnp.zeros(3, int))


def test_responses_that_are_no_pairs_are_refused():
    rng = np.random.default_rng(0)
    good = rng.integers(0, 3, size=(40, 2))
    check_responses(good, 3)
    with pytest.raises(ValueError, match="two or more responses"):
        check_responses(good[:, :1], 3)
    with pytest.raises(ValueError, match="one annotator was taken twice"):
        check_responses(np.repeat(good[:, :1], 2, axis=1), 3)
    with pytest.raises(ValueError, match="responses 0 and 2 are equal"):
        check_responses(np.stack([good[:, 0], good[:, 1], good[:, 0]], axis=1), 3)
    with pytest.raises(ValueError, match="classes 0 to 1"):
        check_responses(good, 2)
    with pytest.raises(ValueError, match="a single class"):
        check_responses(np.zeros((40, 2), int), 3)


def test_other_numbers_do_not_compile_anew():
    traced = []

    @jax.jit
    def doubt(prediction):
        traced.append(1)
        return 1 - prediction.confidence

    for seed in range(3):
        rng = np.random.default_rng(seed)
        doubt(Mixture(np.log(rng.dirichlet(np.ones(2))), np.log(rng.dirichlet(np.ones(3), size=2))))
    assert len(traced) == 1
