"""The diagnosis of weights agrees with ArviZ, and says when weights cannot be trusted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import diagnose, spawn


def weighted(log_weights):
    return spawn(len(log_weights)).replace(log_weights=jnp.asarray(log_weights))


# The shape is that of psislw in ArviZ 0.23.4. Version 1 takes log-likelihoods and one value fewer into the tail.
@pytest.mark.parametrize(("freedom", "shape"), [(1.0, 1.0672735572207381), (30.0, -0.022334076061190637)])
def test_the_shape_is_that_of_arviz(freedom, shape, x64):
    # Absolute values of Student's t with few degrees of freedom have a heavy tail: its shape is 1 / freedom.
    log_weights = np.log(np.abs(np.random.default_rng(0).standard_t(freedom, size=1000)))
    found = jax.jit(diagnose)(weighted(log_weights))
    assert float(found.pareto_k) == pytest.approx(shape, abs=1e-10)
    assert bool(found.reliable) is (freedom > 2)
    weights = np.exp(log_weights)
    assert float(found.ess) == pytest.approx(weights.sum() ** 2 / (weights**2).sum() / 1000, rel=1e-10)


def test_equal_weights_are_the_best_and_dead_clouds_the_worst():
    best, dead = diagnose(weighted(np.zeros(1000))), diagnose(weighted(np.full(1000, -np.inf)))
    assert float(best.ess) == pytest.approx(1.0, rel=1e-5) and bool(best.reliable)
    assert float(dead.ess) == 0 and not bool(dead.reliable) and float(dead.pareto_k) == np.inf
    with pytest.raises(ValueError, match="at least 25 lanes"):
        diagnose(spawn(10))
