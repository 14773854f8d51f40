"""A mixture of Markov chains is the mixture over sequences that it stands for."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
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


def test_sequences_that_cannot_be_numbered_are_refused():
    # As many as can be numbered with two states: 2^30.
    halves = jnp.full((1, 30, 2, 2), -jnp.log(2.0))
    longest = MarkovMixture(jnp.zeros(1), halves[:, 0, 0], halves[:, 1:])
    last = longest.log_probability(jnp.array([2**30 - 1]))
    assert float(last) == pytest.approx(-30 * np.log(2), rel=1e-6)
    with pytest.raises(ValueError, match="32-bit"):
        MarkovMixture(jnp.zeros(1), halves[:, 0, 0], halves)
    for message, states, length, components in (
        ("32-bit", 2, 31, 1),
        ("32-bit", 65536, 2, 1),
        ("a mixture of chains", 2, 0, 1),
        ("a mixture of chains", 1, 3, 1),
        ("a mixture of chains", 2, 3, 0),
    ):
        with pytest.raises(ValueError, match=message):
            MarkovMixtureHead(4, states, length, nnx.Rngs(params=0), components=components)


@pytest.mark.parametrize("made", [prediction, lambda: prediction().enumerated])
def test_variances_do_not_need_the_table_of_all_pairs(made):
    program = jax.make_jaxpr(lambda model: model.variance)(made())
    sizes = [output.aval.size for equation in program.eqns for output in equation.outvars]
    assert max(sizes) == COMPONENTS * len(SEQUENCES)


def network(rngs):
    return PairNetwork(Perceptron(1, 16, 1, rngs), MarkovMixtureHead(16, STATES, LENGTH, rngs, components=4))


SLIP = 0.02


def draw(key):
    """One of two hidden answers, 0101 or 1010, which the input does not tell; each expert slips once in fifty."""
    truth_key, slip_key = jax.random.split(key)
    said = jax.random.bernoulli(truth_key) ^ jax.random.bernoulli(slip_key, SLIP, (2,))
    return jnp.ones(1), jnp.where(said, 5, 10)


def test_two_experts_who_agree_teach_that_the_answer_can_be_known():
    config = PairTraining(steps=200, batch=64, learning_rate=1e-2)
    model, losses = train_pairs(jax.random.key(0), network, Partial(draw), config)
    found: Any = model(jnp.ones(1))
    assert found.log_transitions.shape == (4, LENGTH - 1, STATES, STATES)
    # A fair coin between answers of probability .98 and .02: p = 1/2 each, variance .48^2 = .2304.
    np.testing.assert_allclose(np.asarray(found.probabilities)[[5, 10]], 0.5, atol=0.06)
    np.testing.assert_allclose(np.asarray(found.variance)[[5, 10]], (0.5 - SLIP) ** 2, atol=0.03)
    # Half the entropy of a pair: two alike, either way, and two different, either way.
    alike, different = ((1 - SLIP) ** 2 + SLIP**2) / 2, SLIP * (1 - SLIP)
    entropy = -2 * (alike * np.log(alike) + different * np.log(different))
    assert float(losses[-20:].mean()) == pytest.approx(0.5 * entropy, abs=0.03)
