"""A*-decoding: the cost never falls, and what is found is the least of the tree, by exhaustive search."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Status, sample, spawn
from probinf.cases._search_models import SearchModel, TextReward
from probinf.lm import History, Reasoning, RewardFunction, TableLM, spending
from probinf.samplers import AStarSearch, a_star_decoding
from probinf.samplers._a_star_decoding import path_cost

KEY = jax.random.key(0)
TREES, DEPTH, BRANCHES = 40, 3, 2
# Room for the whole tree.
N = 1 + BRANCHES * (2**DEPTH - 1)


class NodeReward(eqx.Module):
    """A reward for each node of a binary tree: that of the text read as a binary number."""

    table: jax.Array

    def __call__(self, x):
        written = jnp.arange(DEPTH) < x.length
        return self.table[x.length - 1, jnp.sum(jnp.where(written, x.tokens * 2 ** jnp.arange(DEPTH), 0))]


def searched(kind, keys, tables):
    """What a search of each tree finds, its whole frontier, and whether every expansion drew both children."""

    @eqx.filter_jit
    def run(key, table):
        lm = TableLM(table=jnp.zeros((2, 2)))
        reward = RewardFunction(NodeReward(table))
        writer = Reasoning(lm, [0], reward, max_steps=DEPTH, tokens_per_step=1, skip_finished=False)
        cloud = spawn(N).replace(values=writer.start().sample_lanes(key, (), N))
        search = kind(writer, BRANCHES)
        frontier = search.frontier(key, cloud)
        chosen, info = search(key, cloud)
        last = frontier.values.generation.tokens[jnp.arange(N), jnp.maximum(frontier.values.steps - 1, 0)]
        drawn = jnp.arange(N) < 1 + BRANCHES * frontier.expansions
        pairs = last[1:].reshape(-1, BRANCHES)
        both = jnp.all((jnp.sum(pairs, axis=1) == 1) | ~drawn[1::BRANCHES])
        return chosen.values.generation.tokens[0], info, both

    return jax.vmap(run)(keys, tables)


class IncreasesTwice(AStarSearch):
    """A step costs the increase of h, so that f = g + h falls where a reward rises: as second-hand reports have it."""

    def costs(self, values):
        f, h = super().costs(values)
        return f + h, h


def costs_of_leaves(table):
    """The sum of the increases of 1 - r on the way to each leaf, by exhaustive search."""
    costs = {}
    for text in itertools.product(range(2), repeat=DEPTH):
        rewards = [table[t - 1, sum(token * 2**i for i, token in enumerate(text[:t]))] for t in range(1, DEPTH + 1)]
        costs[text] = sum(max(0.0, b - a) for a, b in itertools.pairwise([0.0, *(1 - np.array(rewards))]))
    return costs


@pytest.mark.parametrize(("kind", "right"), [(AStarSearch, True), (IncreasesTwice, False)])
def test_the_first_goal_that_is_taken_is_the_least_of_the_tree(kind, right):
    tables = np.random.default_rng(0).uniform(0.05, 0.95, (TREES, DEPTH, 2**DEPTH)).astype(np.float32)
    # Many seeds each: only runs count in which both children of each expanded node were drawn, so that what was not
    # expanded is all that is left of the full tree.
    seeds = 64
    keys = jax.random.split(KEY, TREES * seeds)
    texts, info, both = searched(kind, keys, jnp.asarray(np.repeat(tables, seeds, axis=0)))
    tried = missed = 0
    for i in np.flatnonzero(np.asarray(both) & (np.asarray(info.status) == Status.OK)):
        costs = costs_of_leaves(tables[i // seeds].astype(float))
        tried += 1
        missed += costs[tuple(np.asarray(texts[i]).tolist())] > min(costs.values()) + 1e-5
    print(f"\n{kind.__name__}: {missed} of {tried} runs miss the least cost")
    assert tried > 50
    assert (missed == 0) if right else (missed > 0.05 * tried)


def test_cost_is_non_decreasing_along_a_path(x64):
    log_odds = jnp.asarray(np.random.default_rng(1).normal(size=(500, 6)))
    flags = jnp.zeros(500, bool)
    f = np.stack([path_cost(History(log_odds, jnp.full(500, t), flags, flags))[0] for t in range(7)])
    assert np.all(np.diff(f, axis=0) >= 0) and np.all(f[0] == 0)
    # g + h with g the decreases: the definition.
    h = np.concatenate([np.zeros((500, 1)), 1 - 1 / (1 + np.exp(-np.asarray(log_odds)))], axis=1)
    g = np.maximum(h[:, :-1] - h[:, 1:], 0).sum(axis=1)
    np.testing.assert_allclose(f[6], g + h[:, -1], atol=1e-12)


MODEL = SearchModel(2, 3)


def test_statuses_tell_how_a_search_ended():
    search = a_star_decoding(MODEL.writer(), branching=2)
    # One expansion: no text of three steps, but one may be finished after its first token.
    short = [sample(search, jax.random.key(i), 3) for i in range(8)]
    finished = [bool(r.particles.values.generation.finished[0]) for r in short]
    assert len(set(finished)) == 2
    for result, done in zip(short, finished, strict=True):
        assert result.status in ((Status.OK, Status.BUDGET) if done else (Status.DEGENERATE,))
        assert (float(result.particles.log_z) == 0.0) is done
    found = sample(search, KEY, 15)
    assert found.status is Status.OK
    # The ledger counts what was written, not what the frontier could hold.
    expansions = int(found.info[1].expansions)
    assert int(spending(found.particles.values).tokens) == 2 * expansions
    reward = RewardFunction(TextReward(jnp.full((3, 3), jnp.nan)))
    nothing = sample(a_star_decoding(eqx.tree_at(lambda w: w.reward, MODEL.writer(), reward), branching=2), KEY, 15)
    assert nothing.status is Status.INVALID


def test_knobs_out_of_range_are_refused():
    with pytest.raises(ValueError, match="at least one next step, got branching=0"):
        a_star_decoding(MODEL.writer(), branching=0)
    with pytest.raises(ValueError, match="needs 5 lanes, got n=4"):
        a_star_decoding(MODEL.writer(), branching=4)(KEY, spawn(4))
