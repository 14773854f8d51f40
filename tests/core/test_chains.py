"""Many Markov chains at once: their law, their keys, their programs and their errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf import sample_chains
from probinf._chains import check_start
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings, pimh, random_walk
from probinf.validity import enumerate_law

KEY = jax.random.key(0)
LOG_TARGET = np.log([0.5, 0.2, 0.3])
PROPOSAL = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])
traces = []


class Counted(pi.Factor):
    """A Gaussian that notes each time Python reads it, which compiled code never does."""

    mean: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="counted")

    def log_density(self, x):
        traces.append(self.name)
        return -0.5 * jnp.sum((x["a"] - self.mean) ** 2)


class NotSummed(Counted):
    """A factor that forgets to add up the entries of a vector."""

    def log_density(self, x):
        return -(x**2)


def gaussian(mean=0.0, scale=1.0):
    return MetropolisHastings(Counted(mean), random_walk(scale))


def starts(chains=3):
    return {"a": jnp.linspace(-1.0, 1.0, 2 * chains).reshape(chains, 2)}


def finite():
    return MetropolisHastings(Categorical(LOG_TARGET, name="target"), FiniteProposal(PROPOSAL))


class Cached(pi.CachedKernel):
    """The kernel of `gaussian`, remembering twice its value."""

    inner: pi.Kernel

    def start(self, x):
        return x, jax.tree.map(lambda leaf: 2 * leaf, x)

    def advance(self, key, state):
        x, info = self.inner(key, jax.tree.map(lambda leaf: leaf / 2, state[1]))
        return self.start(x), info

    def value(self, state):
        return state[0]

    @property
    def invariant(self):
        return self.inner.invariant


def test_two_draws_have_the_exact_law_of_the_chain(x64):
    """From stationarity both draws have the target's law, and two transitions each way are the matrix squared."""

    def run(key, log_target):
        start_key, key = jax.random.split(key)
        x = pi.choice(start_key, log_target)
        result = sample_chains(finite(), key, x[None], 2, thin=2)
        return x, result.values[0, 0], result.values[0, 1]

    law = enumerate_law(run, KEY, jnp.array(LOG_TARGET))
    counts = np.zeros((3, 3, 3))
    np.add.at(counts, tuple(np.asarray(x) for x in law.outputs), law.probability)
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        np.testing.assert_allclose(counts.sum(others), np.exp(LOG_TARGET), rtol=0, atol=1e-14)
    # One transition by hand: proposed with q, accepted with the Hastings ratio.
    pi_, q = np.exp(LOG_TARGET), np.exp(PROPOSAL)
    flow = np.minimum(pi_[:, None] * q, (pi_[:, None] * q).T) / pi_[:, None]
    matrix = flow - np.diag(np.diag(flow)) + np.diag(1 - (flow.sum(1) - np.diag(flow)))
    expected = pi_[:, None, None] * (matrix @ matrix)[:, :, None] * (matrix @ matrix)[None]
    np.testing.assert_allclose(counts, expected, rtol=0, atol=1e-14)


def test_more_chains_and_more_draws_keep_the_first_ones():
    few = sample_chains(gaussian(), KEY, starts(), 4).values["a"]
    more_draws = sample_chains(gaussian(), KEY, starts(), 7).values["a"]
    more_chains = sample_chains(gaussian(), KEY, {"a": jnp.concatenate([starts()["a"], jnp.ones((1, 2))])}, 4)
    assert few.shape == (3, 4, 2)
    np.testing.assert_array_equal(more_draws[:, :4], few)
    np.testing.assert_array_equal(more_chains.values["a"][:3], few)


def test_thinned_draws_are_every_third_one():
    every = sample_chains(gaussian(), KEY, starts(), 6)
    third = sample_chains(gaussian(), KEY, starts(), 2, thin=3)
    np.testing.assert_array_equal(third.values["a"], every.values["a"][:, 2::3])
    np.testing.assert_array_equal(third.info.log_ratio, every.info.log_ratio[:, 2::3])


@pytest.mark.parametrize("draws", [1, 2, 43])
def test_a_bar_changes_no_draw(draws):
    plain, barred = (sample_chains(gaussian(), KEY, starts(), draws, progress=bar) for bar in (False, True))
    for a, b in zip(jax.tree.leaves(plain[:2]), jax.tree.leaves(barred[:2]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_chain_follows_the_kernel_step_by_step():
    result = sample_chains(gaussian(), KEY, starts(), 3)
    for chain, chain_key in enumerate(jax.random.split(KEY, 3)):
        x = {"a": starts()["a"][chain]}
        for draw, key in enumerate(jax.random.split(chain_key, 3)):
            x, _ = gaussian()(key, x)
            np.testing.assert_allclose(result.values["a"][chain, draw], x["a"], rtol=1e-6)


def test_a_cached_kernel_draws_the_same():
    plain = sample_chains(gaussian(), KEY, starts(), 5)
    cached = sample_chains(Cached(gaussian()), KEY, starts(), 5)
    # The same draws; the compiler may round the additions otherwise.
    np.testing.assert_allclose(plain.values["a"], cached.values["a"], rtol=0, atol=1e-6)
    x = {"a": jnp.ones(2)}
    np.testing.assert_array_equal(Cached(gaussian())(KEY, x)[0]["a"], gaussian()(KEY, x)[0]["a"])


def test_new_keys_data_and_scales_do_not_trace_again():
    sample_chains(gaussian(), KEY, starts(), 4)
    traces.clear()
    kernels = [gaussian(mean, scale) for mean, scale in [(0.5, 0.3), (-0.5, 2.0)]]
    results = [sample_chains(k, jax.random.key(i), starts(), 4, progress=i == 1) for i, k in enumerate(kernels)]
    # With a bar the blocks have another length: one more program, the first time.
    traces.clear()
    results += [sample_chains(k, jax.random.key(9), starts(), 4, progress=True) for k in kernels]
    assert traces == []
    assert len({float(result.values["a"].sum()) for result in results}) == 4


def test_the_result_says_what_the_kernel_keeps():
    assert sample_chains(gaussian(), KEY, starts(), 1).invariant.same_law(gaussian().invariant)


def test_a_kernel_whose_measure_has_no_density_starts_unchecked():
    kernel = pimh(pi.Draw(Categorical(LOG_TARGET, name="prior")), 2)
    start = jax.vmap(kernel.init)(jax.random.split(KEY, 2))
    assert sample_chains(kernel, KEY, start, 3).values.value.shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        ({"initial": {"a": jnp.zeros(())}}, "leading axis of chains"),
        ({"initial": {"a": jnp.zeros((0, 2))}}, "at least one long"),
        ({"initial": {}}, "leading axis of chains"),
        ({"initial": {"a": jnp.zeros((2, 1)), "b": jnp.zeros((3, 1))}}, "leading axis of chains"),
        ({"draws": 0}, "draws >= 1"),
        ({"thin": 0}, "thin >= 1"),
        ({"draws": True}, "draws >= 1"),
        ({"initial": {"a": jnp.array([[0.0, 1.0], [0.0, jnp.nan]])}}, "chain 1 starts where 'counted'.*nan"),
        ({"initial": {"a": jnp.array([[0.0, jnp.inf], [0.0, 0.0]])}}, "chain 0 starts.*-inf.*1 of 2"),
    ],
)
def test_values_that_cannot_start_are_refused(arguments, fix):
    with pytest.raises(ValueError, match=fix):
        sample_chains(**{"kernel": gaussian(), "key": KEY, "initial": starts(), "draws": 2, **arguments})


def test_what_is_no_kernel_or_key_is_refused():
    with pytest.raises(TypeError, match="typed PRNG key"):
        sample_chains(gaussian(), jax.random.PRNGKey(0), starts(), 2)
    # The type checker of the tests refuses such a factor inside a measure, so the function is asked itself.
    with pytest.raises(ValueError, match="shape \\(2,\\) for one chain"):
        check_start(NotSummed(0.0), jnp.zeros((3, 2)))
