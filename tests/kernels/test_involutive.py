"""Involutive kernels: exact on a ring, by tests of known size on the half-line and on mixed values."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import probinf as pi
from probinf.cases._jumps import RING, ring_kernel
from probinf.kernels import Auxiliary, FiniteProposal, Independent, Involutive, MetropolisHastings
from probinf.kernels._involutive import log_abs_det_of
from probinf.validity import detailed_balance_error, invariance_error, row_sum_error

STATES = np.arange(5, dtype=np.int32)


def stretch(x, v):
    """Stretches by exp(v): the way back is by exp(-v), and |det| is exp(v)."""
    return x * jnp.exp(v), -v


def no_volume(x, v):
    return jnp.zeros(())


def stretched(log_abs_det=None):
    return Involutive(pi.Named("target", dist.Gamma(3.0, 1.0)), dist.Normal(0.2, 0.8), stretch, log_abs_det)


def test_ring_is_reversible(chains):
    matrix = chains.matrix(ring_kernel(), STATES)
    assert row_sum_error(matrix) < 1e-14
    assert detailed_balance_error(matrix, RING) < 1e-15
    # Up and down are both taken, nothing else is.
    assert (matrix > 0).sum(axis=1).max() == 3


class Proposed(Auxiliary):
    """The next state, as an auxiliary variable."""

    proposal: FiniteProposal

    def sample(self, key, x):
        return self.proposal.sample(key, x)

    def log_density(self, x, v):
        return jax.nn.log_softmax(self.proposal.log_matrix[x])[v]


def swap(x, v):
    return v, x


def test_exchange_is_metropolis_hastings(chains):
    target = pi.Density("table", Table(jnp.asarray(RING)))
    proposal = FiniteProposal(np.sin(np.arange(25.0)).reshape(5, 5))
    matrices = [
        chains.matrix(kernel, STATES)
        for kernel in (Involutive(target, Proposed(proposal), swap), MetropolisHastings(target, proposal))
    ]
    np.testing.assert_allclose(*matrices, rtol=0, atol=1e-15)
    assert invariance_error(matrices[0], RING) < 1e-15


class Table(eqx.Module):
    table: jax.Array

    def __call__(self, x):
        return self.table[x]


def test_a_zero_density_is_never_entered_and_always_left(chains):
    table = jnp.array([0.0, -jnp.inf, jnp.nan, 0.5, 0.1])
    ring = ring_kernel()
    matrix = chains.matrix(Involutive(pi.Density("holes", Table(table)), ring.auxiliary, ring.involution), STATES)
    assert matrix[0, 1] == 0 and matrix[3, 2] == 0
    assert matrix[1, 0] == pytest.approx(0.2) and matrix[2, 3] == pytest.approx(0.3)


def ends_of_chains(kernel, start, steps=20):
    """Ends of independent chains."""

    def step(x, key):
        return jax.vmap(kernel)(jax.random.split(key, len(jax.tree.leaves(x)[0])), x)

    return jax.lax.scan(step, start, jax.random.split(jax.random.key(5), steps))[0]


@pytest.mark.parametrize(("log_abs_det", "right"), [(None, True), (no_volume, False)])
def test_half_line(log_abs_det, right):
    """Kolmogorov-Smirnov on 4000 chains: a right kernel fails with probability 1e-6, never one without Jacobian."""
    start = jax.random.gamma(jax.random.key(1), 3.0, (4000,))
    ends = ends_of_chains(stretched(log_abs_det), start)
    p_value = stats.kstest(np.asarray(ends, np.float64), stats.gamma(3.0).cdf).pvalue
    assert p_value > 1e-6 if right else p_value < 1e-12


class Mixed(NamedTuple):
    """A sign and a position that lives on the side of the sign."""

    side: jax.Array
    position: jax.Array


def log_mixed(x):
    scale = jnp.where(x.side == 1, 2.0, 0.5)
    return jnp.log(jnp.where(x.side == 1, 0.3, 0.7)) + dist.Normal(0.0, scale).log_prob(x.position).sum()


def switch(x, v):
    """Changes side, and stretches by four or a quarter on the way; the Jacobian is 4^2 or 4^-2, and 2 for v."""
    factor = jnp.where(x.side == 1, 0.25, 4.0)
    turned = jnp.where(x.side == 1, 0.5, 2.0)
    return Mixed(1 - x.side, x.position[::-1] * factor), v * turned


def test_mixed_discrete_and_continuous():
    """Counts and a Kolmogorov-Smirnov test on 4000 chains: a right kernel fails with probability 2e-6."""
    kernel = Involutive(pi.Density("mixed", log_mixed), dist.Normal(0.0, 1.0), switch)
    side_key, normal_key = jax.random.split(jax.random.key(2))
    side = jax.random.bernoulli(side_key, 0.3, (4000,)).astype(jnp.int32)
    position = jax.random.normal(normal_key, (4000, 2)) * jnp.where(side == 1, 2.0, 0.5)[:, None]
    ends = ends_of_chains(kernel, Mixed(side, position), 5)
    ones = np.asarray(ends.side) == 1
    assert stats.binomtest(int(ones.sum()), 4000, 0.3).pvalue > 1e-6
    assert stats.kstest(np.asarray(ends.position[ones, 0], np.float64), stats.norm(0, 2).cdf).pvalue > 1e-6
    assert float(kernel.log_jacobian(jax.tree.map(lambda a: a[0], Mixed(side, position)), jnp.array(0.3))) == (
        pytest.approx(np.log(2.0**5) * (1 - 2 * int(side[0])), rel=1e-5)
    )


def test_jacobian_of_trees(x64):
    x, v = {"a": jnp.array([1.0, 2.0]), "k": jnp.int32(3)}, (jnp.array(0.5),)
    shear = lambda x, v: ({"a": x["a"] * x["k"] + v[0], "k": x["k"]}, (v[0] * 5.0,))  # noqa: E731
    assert float(log_abs_det_of(shear, x, v)) == pytest.approx(np.log(45.0), rel=1e-14)
    flat = lambda x, v: ({"a": x["a"][::-1] * 0, "k": x["k"]}, v)  # noqa: E731
    assert float(log_abs_det_of(flat, x, v)) == -np.inf
    assert float(log_abs_det_of(swap, jnp.int32(1), jnp.int32(2))) == 0.0


def test_composes_with_move(x64):
    prior = pi.Named("prior", dist.Gamma(3.0, 1.0))
    kernel = Involutive(prior, dist.Normal(0.0, 1.0), stretch)
    assert (pi.Draw(prior) >> pi.Move(kernel)).meaning(pi.Measure()).same_law(pi.Draw(prior).meaning(pi.Measure()))


def test_new_data_does_not_compile_anew():
    traces = []

    @eqx.filter_jit
    def run(kernel, key, x):
        traces.append(None)
        return kernel(key, x)[0]

    for rate in (1.0, 1.5):
        target = pi.Named("target", dist.Gamma(jnp.asarray(3.0), jnp.asarray(rate)))
        run(Involutive(target, dist.Normal(0.0, rate), stretch), jax.random.key(0), jnp.asarray(1.0))
    assert len(traces) == 1


def test_errors_name_the_fix():
    target = pi.Named("target", dist.Gamma(3.0, 1.0))
    with pytest.raises(TypeError, match="sample"):
        Involutive(target, 3.0, stretch)
    shrinks = Involutive(target, dist.Normal(0.0, 1.0), lambda x, v: (x, jnp.stack([v, v])))
    with pytest.raises(ValueError, match="pair of the same shapes and types"):
        shrinks(jax.random.key(0), jnp.asarray(1.0))
    assert isinstance(stretched().auxiliary, Independent)
