"""Normalized particle averages are biased for every finite number of particles; Z-hat times them is not.

Theorem 1 of arXiv 2502.01618v5 states that the expectation of the weighted average over particles is the target's.
Read on every outcome of a bootstrap filter, it is not.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Resample, spawn
from probinf.validity import enumerate_law
from probinf.validity.planted import small_filter
from probinf.validity.planted._model import small_paths

pytestmark = pytest.mark.usefixtures("x64")


def last_state_is_one(paths):
    return paths.states[..., -1] == 1


def estimates(key, sampler, n):
    cloud, _ = sampler(key, spawn(n))
    average = jnp.sum(cloud.normalized_weights * last_state_is_one(cloud.values))
    return average, jnp.exp(cloud.log_z) * average, jnp.exp(cloud.log_z)


def test_normalized_averages_are_biased_and_unnormalized_ones_are_not():
    exact = small_paths(2)
    mass = np.exp(exact.log_mass)
    z, z_f = mass.sum(), mass[last_state_is_one(exact.values)].sum()
    bias = []
    for n in (1, 2, 4):
        law = enumerate_law(lambda key, n=n: estimates(key, small_filter(Resample(), 2), n), jax.random.key(0))
        average, product, z_hat = (float(law.probability @ np.asarray(column)) for column in law.outputs)
        assert z_hat == pytest.approx(z, abs=1e-12)
        assert product == pytest.approx(z_f, abs=1e-12)
        bias.append(average - z_f / z)
    # Biased at one, two and four particles, by an amount that shrinks with their number: consistent, not unbiased.
    assert abs(bias[0]) > 0.05
    assert abs(bias[0]) > abs(bias[1]) > abs(bias[2]) > 1e-3
    print(f"\nexact {z_f / z:.4f}; bias at N = 1, 2, 4: " + ", ".join(f"{b:+.4f}" for b in bias))
