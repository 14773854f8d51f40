"""Training on a very small network: a step lowers the loss, and an interrupted run ends at the same weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probinf.arithmetic._language_training import TrainingConfig, train_language_model
from probinf.arithmetic._network import NetworkConfig
from probinf.arithmetic._reward_training import RewardConfig, first_prefixes, train_reward
from probinf.arithmetic._rollouts import Rollouts
from probinf.arithmetic._weights import decoder_of

SMALL = NetworkConfig(dimension=80, layers=1, heads=2, hidden_dimension=16)
TRAINING = TrainingConfig(steps=6, batch=4, learning_rate=1e-2, warm_up=1)


def test_an_interrupted_run_ends_at_the_same_weights(tmp_path):
    whole, losses = train_language_model(SMALL, TRAINING)
    path = tmp_path / "checkpoint.safetensors"
    train_language_model(SMALL, TRAINING, checkpoint=path, until=3)
    resumed, later = train_language_model(SMALL, TRAINING, checkpoint=path)
    assert later == losses[3:]
    for a, b in zip(*(jax.tree.leaves(nnx.state(network)) for network in (whole, resumed)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert losses[-1] < losses[0] - 0.1
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(ValueError, match="other settings"):
        train_language_model(SMALL, dataclasses.replace(TRAINING, seed=1), checkpoint=path)


def test_a_reward_learns_what_it_can_read():
    lm = decoder_of(train_language_model(SMALL, TRAINING, until=0)[0])
    key = jax.random.key(0)
    tokens = jax.random.randint(key, (40, 35), 0, 19)
    good = tokens[:, 2] < 9  # told by the token that ends the first step
    data = Rollouts(
        prompt=jnp.zeros((40, 19), jnp.int32),
        prompt_length=jnp.full(40, 11),
        tokens=tokens,
        ends=jnp.broadcast_to(jnp.array([3, 3]), (40, 2)),
        written=jnp.broadcast_to(jnp.array([True, False]), (40, 2)),
        right=jnp.broadcast_to(good[:, None, None], (40, 2, 3)),
    )
    config = RewardConfig(40, 3, layers=1, training=TrainingConfig(steps=30, batch=16, learning_rate=1e-2))
    _, _, losses = train_reward(config, lm, data)
    assert losses[0] == pytest.approx(np.log(2)) and np.mean(losses[-5:]) < 0.3
    with pytest.raises(ValueError, match="wanted 41 prefixes"):
        first_prefixes(data, 41, 3)
