"""Metropolis-Hastings on a finite space, as exact matrices, and on the line by a test of known size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import probinf as pi
from probinf.distributions import Categorical
from probinf.kernels import Cycle, FiniteProposal, MetropolisHastings, Proposal, RandomWalk, random_walk
from probinf.validity import detailed_balance_error, invariance_error, row_sum_error

LOG_TARGET = np.array([0.3, -1.2, 0.9, -0.4])
# Not symmetric, and state 3 cannot propose state 0, though state 0 proposes state 3.
LOG_MATRIX = np.log(
    np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.2, 0.2, 0.1], [0.3, 0.3, 0.1, 0.3], [1e-300, 0.3, 0.6, 0.1]])
)
LOG_MATRIX[3, 0] = -np.inf
STATES = np.arange(4, dtype=np.int32)


class WithoutRatio(FiniteProposal):
    """The planted bug: the Hastings ratio is forgotten."""

    def log_ratio(self, x, y):
        return jnp.zeros(())


class Multiply(Proposal):
    """y = x exp(scale * normal): not symmetric, the ratio is log(y / x)."""

    scale: jax.Array

    def sample(self, key, x):
        return x * jnp.exp(self.scale * jax.random.normal(key, x.shape, x.dtype))

    def log_ratio(self, x, y):
        return jnp.log(y) - jnp.log(x)


class MultiplyWithoutRatio(Multiply):
    """The planted bug on the line."""

    def log_ratio(self, x, y):
        return jnp.zeros(())


@pytest.fixture
def finite(x64):
    return MetropolisHastings(Categorical(LOG_TARGET), FiniteProposal(LOG_MATRIX))


def test_finite_kernel_is_reversible(chains, finite):
    matrix = chains.matrix(finite, STATES)
    assert row_sum_error(matrix) < 1e-12
    assert invariance_error(matrix, LOG_TARGET) < 1e-12
    assert detailed_balance_error(matrix, LOG_TARGET) < 1e-12
    # The way back from 3 to 0 does not exist, so the way there is never taken.
    assert matrix[0, 3] == 0 and matrix[3, 0] == 0 and matrix[0, 2] > 0.1


def test_forgotten_hastings_ratio_is_seen(chains):
    broken = MetropolisHastings(Categorical(LOG_TARGET), WithoutRatio(LOG_MATRIX))
    assert invariance_error(chains.matrix(broken, STATES), LOG_TARGET) > 1e-3


def test_cycle_keeps_the_target_without_being_reversible(chains, finite):
    uniform = MetropolisHastings(Categorical(LOG_TARGET), FiniteProposal(np.zeros((4, 4))))
    matrix = chains.matrix(Cycle((finite, uniform)), STATES)
    assert invariance_error(matrix, LOG_TARGET) < 1e-12
    assert detailed_balance_error(matrix, LOG_TARGET) > 1e-3
    np.testing.assert_allclose(
        matrix, chains.matrix(finite, STATES) @ chains.matrix(uniform, STATES), rtol=0, atol=1e-14
    )


def test_impossible_and_undefined_proposals_are_refused(chains):
    # State 1 has density zero, state 2 an undefined one, state 3 an infinite one.
    table = jnp.array([0.0, -jnp.inf, jnp.nan, jnp.inf])
    target = pi.Density("broken", lambda x: table[x])
    matrix = chains.matrix(MetropolisHastings(target, FiniteProposal(np.zeros((4, 4)))), STATES)
    assert matrix[0].tolist() == [1, 0, 0, 0]
    # From outside the support whatever is alive is accepted, nothing else.
    np.testing.assert_allclose(matrix[1], [0.25, 0.75, 0, 0], atol=1e-15)
    np.testing.assert_allclose(matrix[2], [0.25, 0, 0.75, 0], atol=1e-15)


def test_info_reports_the_ratio(x64):
    kernel = MetropolisHastings(Categorical(np.log([0.9, 0.1])), FiniteProposal(np.array([[-np.inf, 0], [0, 0]])))
    _, info = kernel(jax.random.key(0), jnp.int32(0))
    # From 0 only 1 is proposed, and 1 proposes 0 half of the time.
    assert abs(float(info.log_ratio) - np.log(0.1 / 0.9 * 0.5)) < 1e-14


def ends_of_chains(kernel, n, steps):
    """Ends of n independent chains started from the target, a standard log-normal."""
    start_key, key = jax.random.split(jax.random.key(7))
    x = jnp.exp(jax.random.normal(start_key, (n,)))

    def step(x, key):
        return jax.vmap(kernel)(jax.random.split(key, n), x)

    return np.asarray(jax.lax.scan(step, x, jax.random.split(key, steps))[0], np.float64)


@pytest.mark.parametrize("proposal", [Multiply(jnp.asarray(1.0)), random_walk(1.5)])
def test_chain_on_the_line_stays_in_its_target(proposal):
    """Kolmogorov-Smirnov on 4000 independent chains: a right kernel fails with probability 1e-6."""
    kernel = MetropolisHastings(pi.Named("target", dist.LogNormal(0.0, 1.0)), proposal)
    assert stats.kstest(ends_of_chains(kernel, 4000, 20), stats.lognorm(1.0).cdf).pvalue > 1e-6


def test_forgotten_ratio_on_the_line_is_seen():
    kernel = MetropolisHastings(pi.Named("target", dist.LogNormal(0.0, 1.0)), MultiplyWithoutRatio(jnp.asarray(1.0)))
    assert stats.kstest(ends_of_chains(kernel, 4000, 20), stats.lognorm(1.0).cdf).pvalue < 1e-12


def test_random_walk_moves_every_leaf_by_its_scale():
    walk = RandomWalk({"a": jnp.array([1e-3, 1.0]), "b": jnp.asarray(1e3)})
    x = {"a": jnp.zeros(2), "b": jnp.zeros(())}
    keys = jax.random.split(jax.random.key(0), 500)
    moved = jax.vmap(walk.sample, (0, None))(keys, x)
    spread = np.concatenate([np.std(moved["a"], axis=0), np.std(moved["b"], axis=0, keepdims=True)])
    np.testing.assert_allclose(spread, [1e-3, 1.0, 1e3], rtol=0.15)


def test_new_scale_and_target_do_not_compile_anew():
    traces = []

    @eqx.filter_jit
    def run(kernel, key, x):
        traces.append(None)
        return kernel(key, x)[0]

    kernels = [
        MetropolisHastings(pi.Named("target", dist.Normal(loc, 1.0)), random_walk(scale))
        for loc, scale in [(jnp.asarray(0.0), 0.5), (jnp.asarray(1.0), 0.7)]
    ]
    x, key = jnp.asarray(0.3), jax.random.key(2)
    compiled = [float(run(kernel, key, x)) for kernel in kernels]
    assert len(traces) == 1
    np.testing.assert_allclose(compiled, [float(kernel(key, x)[0]) for kernel in kernels], rtol=1e-6)


def test_bad_arguments_are_refused():
    normal = pi.Named("normal", dist.Normal(0.0, 1.0))
    with pytest.raises(TypeError, match="expected a Proposal"):
        MetropolisHastings(normal, dist.Normal(0.0, 1.0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="runs on the host"):
        MetropolisHastings(HostFactor("text"), random_walk(1.0))
    with pytest.raises(ValueError, match="positive scales"):
        random_walk(0.0)
    with pytest.raises(ValueError, match="square"):
        FiniteProposal(np.zeros((2, 3)))
    with pytest.raises(TypeError, match="use FiniteProposal"):
        random_walk(1.0).sample(jax.random.key(0), jnp.int32(0))


def test_cycle_of_different_targets_is_refused():
    kernels = [
        MetropolisHastings(pi.Named("normal", dist.Normal(loc, 1.0)), random_walk(1.0))
        for loc in (jnp.asarray(0.0), jnp.asarray(1.0))
    ]
    with pytest.raises(pi.MeaningError, match="must keep one measure"):
        Cycle(tuple(kernels))
    with pytest.raises(ValueError, match="at least one kernel"):
        Cycle(())


class HostFactor(pi.Factor):
    name: str = eqx.field(static=True)

    @property
    def traceable(self):
        return False

    def log_density(self, x):
        return jnp.zeros(())
