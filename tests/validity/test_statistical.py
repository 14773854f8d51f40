"""The statistical checks: how often they cry wolf, and what they notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Draw, Resample, Reweight
from probinf.distributions import Categorical
from probinf.resampling import Multinomial
from probinf.validity import check_means, log_wealth_of_mean

PRIOR = np.array([0.2, 0.5, 0.3])
LIKELIHOOD = np.array([0.9, 0.2, 0.5])
SAMPLER = Draw(Categorical(np.log(PRIOR))) >> Reweight(lambda x: jnp.log(jnp.asarray(LIKELIHOOD))[x])


def indicators(x):
    return jnp.concatenate([jnp.ones(1), (jnp.arange(3) == x).astype(jnp.float32)])


EXPECTED = np.concatenate([[np.sum(PRIOR * LIKELIHOOD)], PRIOR * LIKELIHOOD])


def test_p_values_of_a_right_sampler_are_not_too_small():
    # 100 p-values that are at worst uniform: at most 15 below 0.05 but for a chance of 4e-5.
    sampler = SAMPLER >> Resample(Multinomial())
    p = [check_means(sampler, 4, indicators, EXPECTED, k, replicates=512).p_value for k in _keys(100)]
    assert sum(value < 0.05 for value in p) <= 15
    # ... and they are not all one: the test would then see nothing.
    assert sum(value < 0.5 for value in p) >= 20


def test_a_bias_of_two_percent_is_seen():
    assert check_means(SAMPLER, 4, indicators, EXPECTED * 1.02, jax.random.key(0)).p_value < 1e-6


def test_a_mean_that_never_varies_must_be_exact():
    draw = Draw(Categorical(np.log(PRIOR)))
    right = check_means(draw, 4, lambda x: jnp.ones(1), np.ones(1), jax.random.key(0), replicates=64)
    wrong = check_means(draw, 4, lambda x: jnp.ones(1), np.full(1, 1.001), jax.random.key(0), replicates=64)
    assert right.p_value == 1.0
    assert wrong.p_value == 0.0


def test_legacy_keys_are_refused():
    with pytest.raises(TypeError, match="jax.random.key"):
        check_means(SAMPLER, 4, indicators, EXPECTED, jax.random.PRNGKey(0))


def test_wealth_of_a_right_mean_rarely_grows_however_often_one_looks():
    # Ville: P(wealth ever reaches 20) <= 0.05. Of 400 gamblers watched at every one of 500 draws, at most 40 may
    # (binomial, 0.05: chance of more is 3e-5).
    x = (jax.random.uniform(jax.random.key(1), (400, 500)) < 0.3).astype(jnp.float32)
    wealth = jax.vmap(lambda row: log_wealth_of_mean(row, 0.3, upper=1.0))(x)
    assert int(jnp.sum(jnp.any(wealth >= jnp.log(20.0), axis=1))) <= 40


@pytest.mark.parametrize("claimed", [0.2, 0.4])
def test_wealth_grows_on_a_wrong_mean_in_either_direction(claimed):
    x = (jax.random.uniform(jax.random.key(2), (20, 1000)) < 0.3).astype(jnp.float32)
    wealth = jax.vmap(lambda row: log_wealth_of_mean(row, claimed, upper=1.0))(x)
    assert float(jnp.median(wealth[:, -1])) > np.log(1e4)


def test_wealth_is_a_fair_game():
    # The expected wealth after three tosses is exactly one.
    tosses = jnp.array([[i >> j & 1 for j in range(3)] for i in range(8)], jnp.float32)
    p = jnp.prod(jnp.where(tosses == 1, 0.3, 0.7), axis=1)
    wealth = jnp.exp(jax.vmap(lambda row: log_wealth_of_mean(row, 0.3, upper=1.0)[-1])(tosses))
    assert float(jnp.sum(p * wealth)) == pytest.approx(1.0, abs=1e-6)


def _keys(n):
    return jax.random.split(jax.random.key(5), n)
