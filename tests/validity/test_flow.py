"""Reversibility by draws: it sees what no check at points can, a proposal that is not drawn as it says."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import probinf as pi
from probinf.kernels import Auxiliary, Involutive
from probinf.validity import check_green, check_reversible

GAMMA = dist.Gamma(3.0, 1.0)
KEY = jax.random.key(23)


class Noise(Auxiliary):
    """Normal noise with a mean that depends on the value; `shift` is the planted bug."""

    shift: jax.Array = eqx.field(converter=jnp.asarray)

    def sample(self, key, x):
        return 0.1 * x + self.shift + 0.7 * jax.random.normal(key, (), x.dtype)

    def log_density(self, x, v):
        return dist.Normal(0.1 * x, 0.7).log_prob(v)


def stretch(x, v):
    return x * jnp.exp(v), -v


def bounded(x):
    return jnp.stack([jnp.tanh(x / 3), jnp.cos(x)])


class Drift(pi.Kernel):
    """Keeps the uniform law on a ring of three and goes round it one way: invariant, not reversible."""

    def __call__(self, key, x):
        return jnp.where(pi.flip(key, jnp.log(0.5)), (x + 1) % 3, x), ()

    @property
    def invariant(self):
        return pi.Measure()


@pytest.mark.parametrize(("shift", "right"), [(0.0, True), (0.3, False)])
def test_noise_that_is_not_what_it_says(shift, right):
    """Three z-tests on 16384 draws: a right kernel fails with probability 1e-6."""
    kernel = Involutive(pi.Named("gamma", GAMMA), Noise(shift), stretch)
    p_value = check_reversible(kernel, GAMMA, bounded, KEY).p_value
    assert p_value > 1e-6 if right else p_value < 1e-12
    # At points nothing is wrong: the ratio is that of the densities as stated.
    assert check_green(kernel, KEY, jnp.linspace(0.5, 5.0, 40)).error < 1e-6


def test_a_kernel_that_goes_round_is_kept_apart_from_one_that_is_wrong():
    """Three z-tests on 16384 draws, each with probability 1e-6 of a false alarm; the flow round the ring is seen."""
    uniform = pi.Draw(dist.Categorical(jnp.full(3, 1 / 3))).distribution
    check = check_reversible(Drift(), uniform, lambda x: (x == jnp.arange(1, 3)).astype(float), KEY)
    assert check.p_value < 1e-12
    # The pairs with the constant one say that the law is kept; only the last one, between states 1 and 2, does not.
    assert abs(check.means[:2] / check.errors[:2]).max() < 5 and check.means[2] > 0.1
