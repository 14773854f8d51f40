"""Heads imply the joint they claim, and training on pairs finds the variance that one response cannot show."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probinf.verifiers.pairs import (
    ChainHead,
    Dirichlet,
    DirichletHead,
    Ensemble,
    JointHead,
    MixtureHead,
    PairNetwork,
    PairTable,
    PairTraining,
    Perceptron,
    response_loss,
    train_pairs,
)

HEADS = [MixtureHead, DirichletHead, JointHead, ChainHead]


def network(rngs, head):
    """A network for one number."""
    return PairNetwork(Perceptron(1, 8, 1, rngs), head(8, 3, rngs))


@pytest.mark.parametrize("head", HEADS)
def test_pairs_of_a_head_sum_to_one_and_are_symmetric_where_it_says_so(head):
    prediction: Any = network(nnx.Rngs(params=0), head)(jnp.array([0.3]))
    responses = jnp.stack(jnp.meshgrid(jnp.arange(3), jnp.arange(3), indexing="ij"), axis=-1).reshape(9, 2)
    joint = np.exp(jax.vmap(prediction.log_probability)(responses)).reshape(3, 3)
    assert joint.sum() == pytest.approx(1, abs=1e-5)
    asymmetry = np.abs(joint - joint.T).max()
    assert (asymmetry > 1e-3) == (head is ChainHead) and (asymmetry < 1e-6) == (head is not ChainHead)
    covariance = PairTable(jnp.asarray(joint)).symmetrized().covariance
    if head is not ChainHead:
        np.testing.assert_allclose(covariance, prediction.covariance, atol=1e-6)


def two_coins(key, responses):
    """Inputs that cannot be told apart: in half of them heads come up nine times in ten, in half once."""
    coin_key, toss_key = jax.random.split(key)
    chance = jnp.where(jax.random.bernoulli(coin_key), 0.9, 0.1)
    return jnp.zeros(1), jax.random.bernoulli(toss_key, chance, (responses,)).astype(int)


def coin_network(rngs, head):
    """A network for two classes."""
    return PairNetwork(Perceptron(1, 4, 1, rngs), head(4, 2, rngs))


@pytest.mark.parametrize("head", HEADS)
def test_training_on_pairs_finds_the_variance_of_what_cannot_be_told_apart(head):
    build = functools.partial(coin_network, head=head)
    config = PairTraining(steps=300, batch=256, learning_rate=1e-2)
    model, losses = train_pairs(jax.random.key(0), build, functools.partial(two_coins, responses=2), config)
    found = model(jnp.zeros(1))
    # The truth: .5 and .4^2. Batches of 256 leave errors of about .01 in either.
    assert float(found.probabilities[1]) == pytest.approx(0.5, abs=0.05)
    assert float(found.variance[1]) == pytest.approx(0.16, abs=0.03)
    # Entropy of a pair, by halves: two alike with .41 each, two different with .09 each.
    entropy = -(0.41 * np.log(0.41) + 0.09 * np.log(0.09))
    assert losses.shape == (300,) and float(losses[-100:].mean()) == pytest.approx(entropy, abs=0.01)


def test_an_ensemble_of_single_responses_does_not():
    build = functools.partial(coin_network, head=functools.partial(MixtureHead, components=1))
    draw = functools.partial(two_coins, responses=1)
    config = PairTraining(steps=200, batch=256, learning_rate=1e-2)
    train = eqx.filter_vmap(lambda key: train_pairs(key, build, draw, config)[0])
    found = Ensemble(train(jax.random.split(jax.random.key(0), 3)))(jnp.zeros(1))
    assert float(found.probabilities[1]) == pytest.approx(0.5, abs=0.05)
    assert float(found.variance[1]) < 0.01


def copies(key):
    """One annotator, taken twice."""
    x, y = two_coins(key, 1)
    return x, jnp.concatenate([y, y])


def beyond(key):
    """A class that the network does not have."""
    x, y = two_coins(key, 2)
    return x, y + 1


def test_copies_are_refused_before_training_also_under_vmap():
    build, config = functools.partial(coin_network, head=MixtureHead), PairTraining(steps=1, batch=2)
    with pytest.raises(ValueError, match="one annotator was taken twice"):
        train_pairs(jax.random.key(0), build, copies, config)
    with pytest.raises(ValueError, match="one annotator was taken twice"):
        eqx.filter_vmap(lambda key: train_pairs(key, build, copies, config)[0])(jax.random.split(jax.random.key(0), 2))
    with pytest.raises(ValueError, match="must be classes 0 to 1"):
        train_pairs(jax.random.key(0), build, beyond, config)
    # Data that are traced cannot be looked at.
    traced = jax.jit(lambda key: train_pairs(key, build, copies, config)[1])
    assert traced(jax.random.key(0)).shape == (1,)


def test_the_loss_of_a_table_takes_both_orders():
    table = PairTable(jnp.array([[0.1, 0.2], [0.4, 0.3]]))
    expected = -0.25 * (np.log(0.2) + np.log(0.4))
    assert float(response_loss(table, jnp.array([0, 1]))) == pytest.approx(expected, abs=1e-6)


def test_a_gate_that_saturates_has_a_finite_gradient():
    def loss(gate):
        return response_loss(Dirichlet(jnp.array([0.5, 0.5]), jax.nn.sigmoid(gate)), jnp.array([1, 1]))

    value, slope = jax.value_and_grad(loss)(jnp.asarray(20.0))
    assert np.isfinite(value) and np.isfinite(slope)


def test_settings_that_train_nothing_are_refused():
    with pytest.raises(ValueError, match="training needs"):
        PairTraining(steps=0)
    for rate in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a learning rate above 0"):
            PairTraining(learning_rate=rate)
    with pytest.raises(ValueError, match="a warm_up and"):
        PairTraining(warm_up=-1)
    for decay in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="a weight_decay of"):
            PairTraining(weight_decay=decay)
