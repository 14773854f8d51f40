"""Logits that hold NaN end as INVALID wherever they enter, and never as a draw that looks like any other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import probinf as pi
from probinf import Draw, Move, Resample, Reweight, Status, choice, flip, sample, spawn
from probinf._run import run_status
from probinf.distributions import GMM, Categorical
from probinf.lm import Reasoning, RewardFunction, TableLM
from probinf.samplers import (
    AStarSearch,
    Entropic,
    Product,
    beam_search,
    best_of_majority,
    best_of_n,
    dvts,
    first_solution,
    greedy,
    particle_filtering,
    reasoning_filter,
    reasoning_gibbs,
    reward_best_of_n,
    rpc,
    self_consistency,
    short_m_of_k,
    speculative,
    weighted_best_of_n,
)

KEY = jax.random.key(0)
NAN = jnp.array([0.0, jnp.nan, 0.0])


@pytest.mark.parametrize("logits", [[0.0, np.nan, 0.0], [np.nan] * 3, [0.0, np.inf, 0.0], [np.nan, -np.inf, np.inf]])
@pytest.mark.parametrize("outcomes", [3, 2000])
def test_a_row_with_nan_has_no_index(logits, outcomes):
    # Before, index 0 for every key. Flat below 1024 outcomes, blocks above, one prefix sum for many draws.
    row = jnp.pad(jnp.asarray(logits), (0, outcomes - 3), constant_values=-1.0)
    rows = jnp.stack([row, jnp.zeros(outcomes)])
    nothing = np.iinfo(np.int32).min
    found = np.asarray(jax.jit(choice)(KEY, rows))
    assert found[0] == nothing and 0 <= found[1] < outcomes
    many = np.asarray(choice(KEY, rows, (4,)))
    assert np.all(many[0] == nothing) and np.all(many[1] >= 0)
    assert not flip(KEY, jnp.asarray(jnp.nan))


class Holds(pi.Distribution):
    """An index from logits that come with the run, so that nothing can look at them beforehand."""

    logits: jax.Array
    name: str = "holds"

    def sample(self, key, x):
        return {"index": choice(key, self.logits), "at": jax.random.normal(key)}

    def log_density(self, x):
        return jax.nn.log_softmax(self.logits)[x["index"]]


class NaNMove(pi.Kernel):
    """A kernel that leaves NaN in every lane whose value is positive."""

    def __call__(self, key, x):
        return jnp.where(x > 0, jnp.nan, x), ()

    @property
    def invariant(self):
        return pi.Named("prior", dist.Normal(0.0, 1.0)) * pi.Measure()


@jax.jit
def status_of_categorical(logits):
    _, info = Draw(Categorical(logits))(KEY, spawn(4))
    return info.status


@jax.jit
def status_of_mixture(log_weights):
    mixture = GMM(log_weights, jnp.zeros((3, 1)), jnp.ones((3, 1, 1)))
    return Draw(mixture)(KEY, spawn(4))[1].status


def test_draws_from_nan_weigh_nothing_and_are_reported():
    for good, status in ((jnp.zeros(3), Status.OK), (NAN, Status.INVALID)):
        result = sample(Draw(Holds(good)) >> Reweight(lambda x: x["at"]), KEY, 8)
        assert result.status is status and np.isneginf(result.particles.log_z) == (status is Status.INVALID)
        assert status_of_categorical(good) == status and status_of_mixture(good) == status
        foreign = dist.Categorical(logits=good, validate_args=False)
        assert sample(Draw(foreign), KEY, 8).status is status
    # Some lanes only: the others go on.
    mixed = sample(Draw(pi.Named("prior", dist.Normal(0.0, 1.0))) >> Move(NaNMove()), KEY, 64)
    assert mixed.status is Status.INVALID and np.isfinite(mixed.particles.log_z)
    assert np.array_equal(np.isneginf(mixed.particles.log_weights), np.isnan(mixed.particles.values))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "stage", [Resample(), Resample(ess=0.01), pi.Choose(pi.Proportional())], ids=["all", "ess", "one"]
)
def test_weights_that_are_nan_or_infinite_are_reported(stage, bad):
    cloud = spawn(4, jnp.arange(4)).replace(log_weights=jnp.array([0.0, bad, 0.0, -1.0]))
    after, info = stage(KEY, cloud)
    assert run_status(after, info) is Status.INVALID
    if not isinstance(stage, pi.Choose):
        # Of the other weights: (1 + 1 + exp(-1)) / 4.
        assert info.status == Status.INVALID and float(after.log_z) == pytest.approx(np.log((2 + np.exp(-1)) / 4))
        living = np.isfinite(np.asarray(after.log_weights))
        assert not np.any(np.isnan(after.log_weights)) and np.all(np.asarray(after.values)[living] != 1)


def half(x):
    return 0.5 + 0.0 * x.length


def accepted(x):
    return jnp.zeros(()) + 0.0 * x.log_prob


def answer(x):
    return x.generation.tokens[0]


# After token 1 one logit of three is NaN; nothing else is wrong.
LM = TableLM(table=jnp.array([[0.0, 0.0, 0.0], [0.0, jnp.nan, 0.0], [0.0, 0.0, 0.0]]))
WRITER = Reasoning(LM, [0], RewardFunction(half), max_steps=3, tokens_per_step=2)
SAMPLERS = {
    "reasoning_filter": reasoning_filter(WRITER),
    "reasoning_filter, entropic": reasoning_filter(WRITER, entropic=Entropic()),
    "reasoning_filter, ess": reasoning_filter(WRITER, ess=0.5),
    "greedy": greedy(Reasoning(LM, [1], RewardFunction(half), max_steps=3, tokens_per_step=2)),
    "self_consistency": self_consistency(WRITER, answer),
    "reward_best_of_n": reward_best_of_n(WRITER),
    "weighted_best_of_n": weighted_best_of_n(WRITER, answer),
    "best_of_majority": best_of_majority(WRITER, answer, alpha=0.5),
    "rpc": rpc(WRITER, answer),
    "short_m_of_k": short_m_of_k(WRITER, answer),
    "beam_search": beam_search(WRITER),
    "dvts": dvts(WRITER),
    "a_star_decoding": Draw(WRITER.start()) >> AStarSearch(WRITER, 4),
    "particle_filtering": particle_filtering(LM, [0], twist=accepted, accepted=accepted, max_new_tokens=6),
    "best_of_n": best_of_n(LM, [0], accepted=accepted, max_new_tokens=6),
    "speculative": speculative(LM, TableLM(table=jnp.zeros((3, 3))), [0], max_new_tokens=6),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_nan_in_the_logits_of_a_language_model_ends_as_invalid(name):
    # Before: token 0 for every key after token 1, log-probabilities NaN, status OK.
    result = sample(SAMPLERS[name], KEY, 16)
    assert result.status is Status.INVALID
    # What is left is of texts that never came to the row.
    living = np.asarray(result.particles.log_weights) > -np.inf
    generation = getattr(result.particles.values, "generation", result.particles.values)
    assert not np.any(np.isnan(np.asarray(generation.log_prob)[living])) and not np.isnan(result.particles.log_z)


@pytest.mark.parametrize("ancestor_sampling", [False, True])
def test_particle_gibbs_on_texts_reports_nan(ancestor_sampling):
    good = Reasoning(TableLM(table=jnp.zeros((3, 3))), [0], RewardFunction(half), max_steps=3, tokens_per_step=2)
    start = first_solution(KEY, sample(reasoning_filter(good), KEY, 8).particles)
    kernel = reasoning_gibbs(WRITER, Product(), 8, ancestor_sampling=ancestor_sampling)
    solution, info = eqx.filter_jit(kernel)(KEY, start)
    assert info.status == Status.INVALID and not np.isnan(info.log_z)
    assert np.all(np.asarray(solution.generation.tokens) >= 0)
