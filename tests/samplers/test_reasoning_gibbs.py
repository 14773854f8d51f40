"""Particle Gibbs and tempering over steps of reasoning: what the cases of `probinf check` do not cover."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Status, sample_chains, spawn
from probinf.cases._reasoning_kernels import small_tempering, tempering_case
from probinf.cases._reasoning_models import ENDING, SHORT, solution_case, states
from probinf.lm import Reasoning, Reward, RewardFunction
from probinf.resampling import Systematic
from probinf.samplers import (
    Min,
    Odds,
    Product,
    RewardTotal,
    SoftmaxReward,
    SolutionLaw,
    ValueRatio,
    reasoning_filter,
    reasoning_gibbs,
    reasoning_tempering,
)
from probinf.samplers._solution_law import at_rest, picked
from probinf.validity import check_case, detailed_balance_error, enumerate_law, invariance_error, kernel_matrix
from tests.lm.models import random_llama

KEY = jax.random.key(0)
traces = []
FACTORS = {
    "Product": (Product(), np.prod),
    "Product, finished again": (Product(reweight_finished=True), lambda r: np.prod(r) * r[-1] ** (3 - len(r))),
    "Odds": (Odds(), lambda r: np.prod(r / (1 - r))),
    "SoftmaxReward": (SoftmaxReward(), lambda r: np.exp(r.sum())),
    "ValueRatio": (ValueRatio(), lambda r: r[-1]),
    "Min": (Min(), np.min),
}


def texts(x):
    return x.generation.tokens, x.generation.length


@pytest.mark.parametrize("name", FACTORS)
def test_reward_of_a_solution_is_the_factor_of_its_rule(name, x64):
    rule, factor = FACTORS[name]
    got = jax.vmap(RewardTotal(rule).log_density)(jax.tree.map(jnp.asarray, states(ENDING)))
    np.testing.assert_allclose(got, np.log([factor(told.rewards) for told in ENDING.solutions()]), atol=1e-14)


def test_other_schemes_and_powers_keep_the_law():
    case = solution_case("", gibbs(SHORT, scheme=Systematic(), beta=0.5), SHORT, lambda r: np.sqrt(np.prod(r)))
    error = check_case(case, KEY, replicates=0).exact_error
    assert error is not None and error < 1e-14


def test_swaps_are_reversible_for_the_product_of_temperatures(x64):
    swap = small_tempering(SHORT).swap(0)
    case = tempering_case("", swap, SHORT)
    matrix = kernel_matrix(lambda key, x: swap(key, x)[0], case.states)
    assert invariance_error(matrix, case.log_target) < 1e-15
    assert detailed_balance_error(matrix, case.log_target) < 1e-16
    assert matrix.diagonal().min() < 0.99


def test_islands_are_separate_filters_in_law(x64):
    # The joint law of texts and weights of two islands of two lanes is the product of two laws of two lanes.
    def run(islands):
        sampler = reasoning_filter(SHORT.writer(), islands=islands)

        def lanes(key):
            cloud, _ = sampler(key, spawn(2 * islands))
            # A single filter banks its mass, an island keeps it in its weights.
            return *texts(cloud.values), jnp.exp(cloud.log_weights + cloud.log_evidence)

        law = enumerate_law(lanes, KEY).grouped()
        rows = [np.concatenate(row, axis=None).round(9) for row in zip(*map(per_lane, law.outputs), strict=True)]
        return {tuple(row): p for row, p in zip(rows, law.probability, strict=True)}

    def per_lane(leaf):
        return leaf.reshape(len(leaf), -1)

    def joined(a, b):
        # Tokens of two slots each, lengths, weights: two numbers a lane for tokens, one for the others.
        tokens = a[:4] + b[:4]
        return tokens + a[4:6] + b[4:6] + a[6:] + b[6:]

    single, both = run(1), run(2)
    product = {}
    for a, p in single.items():
        for b, q in single.items():
            product[joined(a, b)] = product.get(joined(a, b), 0.0) + p * q
    assert both.keys() == product.keys()
    assert max(abs(both[row] - product[row]) for row in both) < 1e-15


def test_problems_and_chains_run_side_by_side_without_a_second_trace():
    # All texts have two steps of one token.
    world = SHORT._replace(end=None)

    @eqx.filter_jit
    def run(writer, prompts, lengths, keys):
        def problem(ids, length, key):
            mine = writer.with_prompt(ids, length)
            start_key, chain_key = jax.random.split(key)
            starts = jax.vmap(lambda key: SolutionLaw(mine).sample(key, ()))(jax.random.split(start_key, 3))
            kernel = reasoning_gibbs(mine, Product(), 4, keep_cloud=True)
            return sample_chains(kernel, chain_key, starts, draws=5)[:2]

        return jax.vmap(problem)(prompts, lengths, keys)

    prompts = jnp.zeros((2, 32), jnp.int32).at[1, 0].set(1)
    writer = world.writer(Counted(2.0))
    values, info = run(writer, prompts, jnp.array([1, 1]), jax.random.split(KEY, 2))
    seen = len(traces)
    assert values.ends.shape == (2, 3, 5, 2) and info.cloud.log_weights.shape == (2, 3, 5, 4)
    # What is kept is one of the final cloud, and everything said of it is what its tokens say.
    kept, final = values.generation.tokens[..., None, :], info.cloud.values.generation.tokens
    assert jnp.all(jnp.any(jnp.all(kept == final, axis=-1), axis=-1))
    assert not jnp.any(jnp.isnan(info.log_z)) and jnp.all(info.status == Status.OK)
    # The ledger grows by what each sweep says it cost: 4 lanes write 2 steps.
    np.testing.assert_array_equal(jnp.diff(values.spent.tokens, axis=-1), info.tokens[..., 1:])
    assert jnp.all(info.reward_calls == 8) and jnp.all(info.tokens == 8)
    again, _ = run(world.writer(Counted(3.0)), prompts[::-1], jnp.array([1, 1]), jax.random.split(jax.random.key(1), 2))
    assert len(traces) == seen and not np.array_equal(again.generation.tokens, values.generation.tokens)


def test_a_network_reads_what_it_would_have_written():
    # The caches of lanes move with their texts, also after another past: reading the text again gives the same.
    reward = RewardFunction(Counted(2.0))
    writer = Reasoning(random_llama(stop_tokens=(3, 5)), [1, 2], reward, max_steps=3, tokens_per_step=2)
    info, told = swept_and_retold(writer, KEY)
    assert jnp.any(info.exchanged) and jnp.all(info.replayed_tokens > 0)
    # The held future is replayed by 4 lanes: at most 2 steps of it after the first round, 1 after the second.
    assert jnp.all(info.replayed_tokens <= 4 * 2 * (2 + 1)) and jnp.all(info.replayed_reward_calls <= 4 * (2 + 1))
    final = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), info.cloud.values)
    np.testing.assert_array_equal(told.generation.tokens, final.generation.tokens)
    np.testing.assert_array_equal(told.ends, final.ends)
    np.testing.assert_allclose(told.generation.log_prob, final.generation.log_prob, atol=1e-4)
    np.testing.assert_allclose(told.log_odds, final.log_odds, atol=1e-5)


@eqx.filter_jit
def swept_and_retold(writer, key):
    """The clouds of some sweeps, and each of their solutions written again token by token."""
    kernel = reasoning_gibbs(writer, Odds(), 4, ancestor_sampling=True, keep_cloud=True)
    start = SolutionLaw(writer).sample(key, ())
    _, info = jax.lax.scan(lambda x, key: kernel(key, x), start, jax.random.split(key, 6))
    final = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), info.cloud.values)
    step = writer.step()

    def told(x):
        def write(values, t):
            return step.replay_lanes(values, 1, step.tokens_of(x, t)), None

        start = writer.start().sample_lanes(key, (), 1)
        return picked(at_rest(jax.lax.scan(write, start, jnp.arange(writer.max_steps))[0]), jnp.int32(0))

    return info, jax.lax.map(told, final)


@pytest.mark.parametrize(("reward", "status"), [(0.0, Status.DEGENERATE), (jnp.nan, Status.INVALID)])
def test_a_dead_sweep_keeps_the_solution_and_says_so(reward, status):
    writer = SHORT.writer(Constant(jnp.asarray(reward)))
    x = jax.tree.map(lambda leaf: jnp.asarray(leaf[1]), states(SHORT))
    y, info = jitted(reasoning_gibbs(writer, Product(), 2, ancestor_sampling=True), KEY, x)
    assert jax.tree.map(jnp.array_equal, texts(y), texts(x)) == (True, True)
    assert info.status == status and info.log_z == -jnp.inf and not info.renewed and not info.exchanged.any()


def test_tempering_swaps_and_other_ladders_do_not_trace_again():
    @eqx.filter_jit
    def run(writer, betas, key):
        # A single step: there is nothing between steps that tempering would change, and it compiles fast.
        ladder = reasoning_tempering(writer, Product(), 2, betas)
        return jax.lax.scan(lambda x, key: ladder(key, x), ladder.init(key), jax.random.split(key, 20))

    single = SHORT._replace(max_steps=1)
    x, info = run(single.writer(Counted(2.0)), jnp.array([0.25, 1.0]), KEY)
    seen = len(traces)
    assert x.ends.shape == (2, 1) and info.swaps.accepted.shape == (20, 1)
    assert 0 < info.swaps.accepted.mean() <= 1 and info.kernel.renewed.shape == (20, 2)
    run(single.writer(Counted(3.0)), jnp.array([0.5, 1.0]), KEY)
    assert len(traces) == seen


def test_bad_arguments_are_refused():
    writer = SHORT.writer()
    with pytest.raises(ValueError, match="n >= 2"):
        reasoning_gibbs(writer, Product(), 1)
    with pytest.raises(ValueError, match="Multinomial"):
        reasoning_gibbs(writer, Product(), 2, scheme=Systematic(), ancestor_sampling=True)
    with pytest.raises(ValueError, match="beta"):
        reasoning_gibbs(writer, Product(), 2, beta=-1.0)
    with pytest.raises(ValueError, match="ess"):
        reasoning_gibbs(writer, Product(), 2, ess=0.0)
    with pytest.raises(TypeError, match="WeightRule"):
        reasoning_gibbs(writer, RewardTotal(Product()), 2)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="traceable"):
        reasoning_gibbs(eqx.tree_at(lambda w: w.reward, writer, HostReward()), Product(), 2)
    with pytest.raises(ValueError, match="betas must increase"):
        reasoning_tempering(writer, Product(), 2, [1.0, 0.5])


class Counted(eqx.Module):
    """A reward that falls with the number of zeros; notes each time Python reads it."""

    scale: jax.Array = eqx.field(converter=jnp.asarray)

    def __call__(self, x):
        traces.append(None)
        written = jnp.arange(x.tokens.shape[0]) < x.length
        return jnp.exp(-(1 + jnp.sum((x.tokens % 3 == 0) & written)) / self.scale)


class Constant(eqx.Module):
    value: jax.Array

    def __call__(self, x):
        return self.value


class HostReward(Reward):
    """Runs Python on concrete values."""

    @property
    def traceable(self):
        return False

    def log_odds(self, values, n):
        return jnp.zeros(n)


def gibbs(world, **knobs):
    return reasoning_gibbs(world.writer(), Product(), 2, **knobs)


@eqx.filter_jit
def jitted(kernel, key, x):
    return kernel(key, x)
