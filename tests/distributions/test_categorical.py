"""Categorical: the law of the draw is the stated density."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf._arguments import real
from probinf.distributions import Categorical
from probinf.validity import enumerate_law

LOG_PROBS = np.array([0.4, -np.inf, 1.3, -2.0])


class Sample(eqx.Module):
    distribution: pi.Distribution

    def __call__(self, key):
        return self.distribution.sample(key, ())


def test_draws_follow_the_density_exactly(x64):
    distribution = Categorical(LOG_PROBS)
    law = enumerate_law(Sample(distribution), jax.random.key(0)).grouped()
    stated = jax.vmap(distribution.log_density)(jnp.arange(4))
    assert law.outputs.tolist() == [0, 2, 3]
    np.testing.assert_allclose(law.log_prob, stated[law.outputs], rtol=0, atol=1e-14)
    assert abs(float(jnp.sum(jnp.exp(stated))) - 1.0) < 1e-14


@pytest.mark.parametrize("index", [-1, 4])
def test_no_density_outside_the_table(index):
    assert Categorical(LOG_PROBS).log_density(jnp.int32(index)) == -jnp.inf


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0.0, 0.0]], "one row"),
        ([-np.inf, -np.inf], "possible outcome"),
        ([0.0, np.nan], "NaN"),
        (np.array([1, 2]), "floating-point"),
        ([], "at least one outcome"),
    ],
)
def test_bad_tables_are_refused(table, message):
    with pytest.raises(ValueError, match=message):
        Categorical(table)


def test_tables_of_numpy_that_were_read_in_float64_are_float32_afterwards():
    """JAX would go on making float64 of the array that a trace converted: findings/jax_float64_trace.sh."""
    table = np.log([0.5, 0.2, 0.3])
    for convert in (lambda: Categorical(table).log_probs, lambda: real("table", table)):

        def add(x, convert=convert):
            return x + convert()

        with jax.enable_x64(True):
            jax.make_jaxpr(add)(jnp.zeros(3))
        assert convert().dtype == jnp.float32
        assert (jnp.zeros(3) + table).dtype == jnp.float32
