"""All lanes at once: the same law as one by one, fewer draws, and no shortcut around a subclass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal

import probinf as pi
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings, RandomWalk, random_walk
from probinf.validity import FiniteMeasure, check_proper_weighting, enumerate_law

LOG_TARGET = np.log([0.2, 0.5, 0.3])
LOG_MOVE = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])
STARTS = np.array([0, 2], np.int32)


class OneByOne(MetropolisHastings):
    """The same kernel with a transition of its own, so that lanes move one by one."""

    def __call__(self, key, x):
        return super().__call__(key, x)


class AlwaysAccepts(MetropolisHastings):
    """The planted bug: a subclass whose transition keeps nothing."""

    def __call__(self, key, x):
        _, info = super().__call__(key, x)
        return self.proposal.sample(jax.random.fold_in(key, 1), x), info


class StepsUp(RandomWalk):
    """A proposal of its own."""

    def sample(self, key, x):
        del key
        return x + 1.0


def joint_law(kernel, times):
    """The probability of each pair of ends of two lanes."""
    run = lambda key, values: kernel.move_lanes(key, values, 2, times)[0]  # noqa: E731
    law = enumerate_law(run, jax.random.key(0), jnp.asarray(STARTS))
    table = np.zeros((3, 3))
    np.add.at(table, tuple(law.outputs.T), law.probability)
    return table


@pytest.mark.parametrize("times", [1, 2])
def test_lanes_at_once_move_as_one_by_one(x64, times):
    target, proposal = Categorical(LOG_TARGET), FiniteProposal(LOG_MOVE)
    at_once = joint_law(MetropolisHastings(target, proposal), times)
    assert np.abs(at_once - joint_law(OneByOne(target, proposal), times)).max() < 1e-14
    assert np.abs(at_once - joint_law(AlwaysAccepts(target, proposal), times)).max() > 1e-2


def test_a_subclass_is_run_as_it_is(x64):
    weighed = pi.Draw(Categorical(LOG_TARGET))
    target = FiniteMeasure(np.arange(3, dtype=np.int32), LOG_TARGET)
    for kernel, right in ((MetropolisHastings, True), (AlwaysAccepts, False)):
        sampler = weighed >> pi.Move(kernel(Categorical(LOG_TARGET), FiniteProposal(LOG_MOVE)), times=2)
        assert (check_proper_weighting(sampler, 1, target=target).error < 1e-12) is right
    proposed = StepsUp(jnp.asarray(1.0)).sample_lanes(jax.random.key(0), jnp.zeros(3), 3)
    assert proposed.tolist() == [1.0, 1.0, 1.0]


def test_a_longer_cloud_keeps_the_draws_of_its_first_lanes():
    kernel = MetropolisHastings(pi.Named("normal", Normal(0.0, 1.0)), random_walk(0.7))
    short, _ = kernel.move_lanes(jax.random.key(3), jnp.linspace(-1.0, 1.0, 4), 4, 3)
    long, _ = kernel.move_lanes(jax.random.key(3), jnp.concatenate([jnp.linspace(-1.0, 1.0, 4), jnp.ones(4)]), 8, 3)
    assert np.abs(np.asarray(long[:4] - short)).max() < 1e-6


def test_a_scale_for_each_coordinate_serves_all_lanes():
    walk = random_walk(jnp.array([1e-6, 1.0]))
    steps = walk.sample_lanes(jax.random.key(0), jnp.zeros((64, 2)), 64).std(axis=0)
    assert steps[0] < 1e-5 and 0.5 < steps[1] < 1.5


def test_info_is_that_of_the_last_transition():
    kernel = MetropolisHastings(Categorical(LOG_TARGET), FiniteProposal(LOG_MOVE))
    _, info = kernel.move_lanes(jax.random.key(0), jnp.zeros(5, jnp.int32), 5, 3)
    assert info.accepted.shape == info.log_ratio.shape == (5,)


def test_a_move_makes_at_least_one_transition():
    with pytest.raises(ValueError, match="at least one transition"):
        pi.Move(MetropolisHastings(Categorical(LOG_TARGET), FiniteProposal(LOG_MOVE)), times=0)
