"""The hidden Markov model: factors are normalized, readable on later values, and agree with the forward algorithm."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.distributions import Emission, HiddenMarkovModel, Path, Step
from probinf.validity import enumerate_law

LOG_INITIAL = np.log([0.3, 0.7])
LOG_TRANSITION = np.log([[0.8, 0.2], [0.4, 0.6]])
LOG_EMISSION = np.log([[0.5, 0.1, 0.4], [0.2, 0.7, 0.1]])


@pytest.fixture
def hmm(x64):
    return HiddenMarkovModel(LOG_INITIAL, LOG_TRANSITION, LOG_EMISSION, 3)


class Run(eqx.Module):
    sampler: pi.Sampler

    def __call__(self, key):
        cloud, _ = self.sampler(key, pi.spawn(1))
        return jax.tree.map(lambda leaf: leaf[0], cloud.values)


def all_paths():
    states = jnp.array(list(itertools.product([0, 1], repeat=3)), jnp.int32)
    return Path(states, jnp.full(8, 3, jnp.int32))


def joint(hmm, observations):
    """The product of all factors, as the composition states it."""
    rows = [jax.tree.map(lambda leaf, t=t: leaf[t], hmm.rows(observations)) for t in range(3)]
    prior = hmm.initial() * hmm.step(rows[1]) * hmm.step(rows[2])
    return prior * hmm.emission(rows[0]) * hmm.emission(rows[1]) * hmm.emission(rows[2])


def test_forward_algorithm_sums_the_product_of_all_factors(hmm):
    observations = jnp.array([2, 0, 1])
    summed = jax.nn.logsumexp(joint(hmm, observations).log_density_lanes(all_paths(), 8))
    assert abs(float(summed - hmm.log_likelihood(observations))) < 1e-13


def test_factors_are_normalized(hmm):
    observations = [jnp.array(y) for y in itertools.product([0, 1, 2], repeat=3)]
    total = sum(float(jnp.exp(hmm.log_likelihood(y))) for y in observations)
    assert abs(total - 1.0) < 1e-13


def test_draws_have_the_density_that_they_state(hmm):
    chain = pi.Draw(hmm.initial()) >> pi.Draw(Step(hmm, 1)) >> pi.Draw(Step(hmm, 2))
    law = enumerate_law(Run(chain), jax.random.key(0)).grouped()
    stated = chain.meaning(pi.Measure()).log_density_lanes(jax.tree.map(jnp.asarray, law.outputs), 8)
    np.testing.assert_allclose(law.log_prob, stated, rtol=0, atol=1e-13)


def test_prefix_retraces_the_path(hmm):
    final = Path(jnp.array([1, 1, 1], jnp.int32), jnp.int32(3))
    first, second = hmm.initial().prefix(final), Step(hmm, 1).prefix(final)
    assert (first.states.tolist(), int(first.t)) == ([1, 0, 0], 1)
    assert (second.states.tolist(), int(second.t)) == ([1, 1, 0], 2)
    # What was drawn at a step is its own prefix.
    drawn = Step(hmm, 1).sample(jax.random.key(0), first)
    again = Step(hmm, 1).prefix(drawn)
    assert (again.states.tolist(), int(again.t)) == (drawn.states.tolist(), int(drawn.t))


def test_names_say_the_time(hmm):
    assert Step(hmm, 2).name == "step 2"
    assert Emission(hmm, 0, 1).name == "emission 0"


def test_bad_arguments_are_refused(hmm):
    with pytest.raises(ValueError, match=r"must be \[2, 2\]"):
        HiddenMarkovModel(LOG_INITIAL, LOG_EMISSION, LOG_EMISSION, 3)
    with pytest.raises(ValueError, match="steps >= 1"):
        HiddenMarkovModel(LOG_INITIAL, LOG_TRANSITION, LOG_EMISSION, 0)
    with pytest.raises(ValueError, match="time from 1 to 2"):
        Step(hmm, 0)
    with pytest.raises(ValueError, match="time from 0 to 2"):
        Emission(hmm, 3, 0)
