"""A mixture of Markov chains is the mixture over sequences that it stands for."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from probinf.verifiers.pairs import (
    MarkovMixture,
    MarkovMixtureHead,
    PairNetwork,
    PairTraining,
    Perceptron,
    train_pairs,
)

COMPONENTS, STATES, LENGTH = 3, 2, 4
SEQUENCES = list(itertools.product(range(STATES), repeat=LENGTH))


def chains():
    rng = np.random.default_rng(0)
    weights, start = rng.dirichlet(np.ones(COMPONENTS)), rng.dirichlet(np.ones(STATES), size=COMPONENTS)
    return weights, start, rng.dirichlet(np.ones(STATES), size=(COMPONENTS, LENGTH - 1, STATES))


def prediction():
    return MarkovMixture(*(np.log(part) for part in chains()))


def by_hand():
    """The probability of every sequence under every component, one factor at a time."""
    _, start, moves = chains()
    table = np.ones((COMPONENTS, len(SEQUENCES)))
    for m, (number, sequence) in itertools.product(range(COMPONENTS), enumerate(SEQUENCES)):
        table[m, number] = start[m, sequence[0]]
        for t in range(LENGTH - 1):
            table[m, number] *= moves[m, t, sequence[t], sequence[t + 1]]
    return table


def test_moments_are_those_of_all_sequences(x64):
    weights, table, found = chains()[0], by_hand(), prediction()
    mean = weights @ table
    assert float(found.probabilities.sum()) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-12)
    np.testing.assert_allclose(found.variance, weights @ (table - mean) ** 2, atol=1e-12)
    second = np.einsum("m,mi,mj->ij", weights, table, table)
    np.testing.assert_allclose(found.covariance, second - np.outer(mean, mean), atol=1e-12)
    np.testing.assert_allclose(found.confidence, mean**2 / np.diagonal(second), atol=1e-12)


def test_the_short_way_to_a_probability_is_that_of_the_table(x64):
    found = prediction()
    table = found.enumerated
    for k in (1, 3):
        responses = jax.random.randint(jax.random.key(k), (20, k), 0, len(SEQUENCES))
        short = jax.vmap(found.log_probability)(responses)
        np.testing.assert_allclose(short, jax.vmap(table.log_probability)(responses), atol=1e-12)


def test_shapes_that_do_not_fit_are_refused():
    weights, start, moves = (jnp.log(jnp.asarray(part)) for part in chains())
    with pytest.raises(ValueError, match="must agree"):
        MarkovMixture(weights, start, moves[:2])
    with pytest.raises(ValueError, match="sum to one"):
        MarkovMixture(weights, start, moves + 1)


def network(rngs):
    return PairNetwork(Perceptron(1, 16, 1, rngs), MarkovMixtureHead(16, STATES, LENGTH, rngs, components=4))


def draw(key):
    """One of two hidden answers, 0101 or 1010, which both experts know and the input does not tell."""
    truth = jax.random.bernoulli(key)
    return jnp.ones(1), jnp.full(2, jnp.where(truth, 5, 10))


def test_two_experts_who_agree_teach_that_the_answer_can_be_known():
    config = PairTraining(steps=200, batch=64, learning_rate=1e-2)
    model, losses = train_pairs(jax.random.key(0), network, Partial(draw), config)
    found: Any = model(jnp.ones(1))
    assert found.log_transitions.shape == (4, LENGTH - 1, STATES, STATES)
    # A fair coin between two certain answers: p = 1/2 each, variance 1/4; the mean loss is half of log 2.
    np.testing.assert_allclose(np.asarray(found.probabilities)[[5, 10]], 0.5, atol=0.06)
    np.testing.assert_allclose(np.asarray(found.variance)[[5, 10]], 0.25, atol=0.03)
    assert float(losses[-20:].mean()) == pytest.approx(0.5 * np.log(2), abs=0.03)
