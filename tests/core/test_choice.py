"""The primitives of discrete randomness as they run in production.

Chi-square tests have a false-alarm rate of 1e-6 each, and fixed seeds.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2, kstest

from probinf import choice, flip, uniform_cells
from probinf._choice import _invert_blocks, _invert_flat, _invert_many, check_key, prefix_sum, safe_cdf

FALSE_ALARM = 1e-6


def p_value(counts, probability):
    """Of the chi-square test that `counts` come from `probability`; rare outcomes are pooled."""
    order = np.argsort(probability)
    group = np.minimum(np.cumsum(probability[order]) * 20, 19.999).astype(int)
    observed = np.bincount(group, weights=counts[order], minlength=20)
    expected = np.bincount(group, weights=probability[order], minlength=20) * counts.sum()
    used = expected > 0
    assert not observed[~used].any()
    return chi2.sf(np.sum((observed - expected)[used] ** 2 / expected[used]), used.sum() - 1)


def random_logits(outcomes, seed=0):
    """Rough weights, a fifth of them zero."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, outcomes).astype(np.float32)
    logits[rng.random(outcomes) < 0.2] = -np.inf
    return logits


# Flat below 1024 outcomes, blocks above, one prefix sum for many draws.
@pytest.mark.parametrize(
    ("outcomes", "rows", "draws"),
    [(5, (20_000,), ()), (1500, (4000,), ()), (5, (), (20_000,)), (1500, (2,), (10_000,))],
    ids=["flat", "blocks", "many of few", "many of many"],
)
def test_law_of_choice(outcomes, rows, draws):
    logits = random_logits(outcomes)
    picked = jax.jit(choice, static_argnames="draws")(
        jax.random.key(1), jnp.broadcast_to(logits, (*rows, outcomes)), draws=draws
    )
    assert picked.shape == rows + draws and picked.dtype == jnp.int32
    counts = np.bincount(np.asarray(picked).ravel(), minlength=outcomes)
    probability = np.exp(logits.astype(np.float64))
    assert not counts[probability == 0].any()
    assert p_value(counts, probability / probability.sum()) > FALSE_ALARM


@pytest.mark.parametrize("invert", [_invert_flat, _invert_blocks, _invert_many])
@pytest.mark.parametrize("seed", range(3))
def test_weight_zero_is_out_of_reach_of_every_uniform(invert, seed):
    # Sums of many float32 weights are not monotone in the last bit, where only extreme uniforms look.
    rng = np.random.default_rng(seed)
    weights = rng.random(4099).astype(np.float32)
    weights[rng.random(4099) < 0.5] = 0.0
    weights[:7] = weights[-700:] = 0.0
    cumulative = np.cumsum(weights, dtype=np.float64)
    # The rim of every interval, zero, and the largest float below one.
    u = np.concatenate([[0.0, np.nextafter(np.float32(1), np.float32(0))], cumulative[::3] / cumulative[-1]])
    u = np.minimum(u.astype(np.float32), np.nextafter(np.float32(1), np.float32(0)))
    one = jax.jit(invert if invert is _invert_many else jax.vmap(invert, in_axes=(None, 0)))
    index = np.asarray(one(jnp.asarray(weights), jnp.asarray(u)))
    assert np.all((index >= 0) & (index < len(weights)))
    assert np.all(weights[index] > 0)


# Around the sizes at which a level of groups is added or a group is not full.
@pytest.mark.parametrize("n", [1, 32, 33, 130, 4099])
@pytest.mark.parametrize("alive", [0.2, 0.9])
def test_cumulative_weights_rise_at_weights_only_and_are_accurate(n, alive):
    rng = np.random.default_rng(n)
    weights = (rng.gamma(0.3, size=(20, n)) * (rng.random((20, n)) < alive)).astype(np.float32)
    weights[0], weights[1, : n // 2], weights[2, n // 3 :] = 0.0, 0.0, 0.0
    cumulative = np.asarray(jax.jit(safe_cdf)(weights))
    steps = np.diff(cumulative, prepend=np.float32(0), axis=1)
    assert steps.min() >= 0 and not np.any(steps[weights == 0])
    exact = np.cumsum(weights, axis=1, dtype=np.float64)
    # The rounding of a tree: some units in the last place, not one for each entry.
    np.testing.assert_allclose(cumulative, exact, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 32, 33, 130, 4099])
def test_running_count_is_exact(n):
    counts = np.random.default_rng(n).poisson(1.0, n).astype(np.int32)
    running = jax.jit(prefix_sum)(counts)
    assert running.dtype == jnp.int32
    np.testing.assert_array_equal(running, np.cumsum(counts))


@pytest.mark.parametrize(("shape", "draws"), [((4,), ()), ((2, 1500), ()), ((4,), (3,))])
def test_nothing_possible_gives_index_zero(shape, draws):
    picked = choice(jax.random.key(0), jnp.full(shape, -jnp.inf), draws)
    assert not np.any(picked)


def test_huge_logits_do_not_overflow():
    picked = choice(jax.random.key(0), jnp.broadcast_to(jnp.array([3e38, -3e38, 3e38]), (64, 3)))
    assert set(np.asarray(picked).tolist()) == {0, 2}


def test_transformations_draw_what_a_call_draws():
    keys = jax.random.split(jax.random.key(2), 6)
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)
    called = jnp.stack([choice(k, row) for k, row in zip(keys, logits, strict=True)])
    np.testing.assert_array_equal(jax.jit(jax.vmap(choice))(keys, logits), called)
    _, scanned = jax.lax.scan(lambda carry, row: (carry, choice(*row)), 0, (keys, logits))
    np.testing.assert_array_equal(scanned, called)
    branch = jax.lax.cond(called[0] >= 0, lambda: choice(keys[0], logits[0]), lambda: jnp.int32(-1))
    assert branch == called[0]
    # One key for all rows draws the same uniform in each, as vmap of any key does.
    shared = jax.vmap(choice, in_axes=(None, 0))(keys[0], jnp.broadcast_to(logits[0], (5, 4)))
    assert len(set(np.asarray(shared).tolist())) == 1


def test_gradients_pass_by_a_choice():
    def loss(logits):
        return jnp.sum(logits[choice(jax.random.key(0), logits)] + flip(jax.random.key(1), logits[0]))

    np.testing.assert_allclose(jnp.sum(jax.grad(loss)(jnp.zeros(3))), 1.0)


def test_float64_mode_keeps_int32(x64):
    assert choice(jax.random.key(0), jnp.zeros(3)).dtype == jnp.int32


@pytest.mark.parametrize("p", [0.03, 0.5, 0.9])
def test_law_of_flip(p):
    heads = flip(jax.random.key(3), jnp.full(20_000, np.log(p)))
    counts = np.array([20_000 - heads.sum(), heads.sum()], float)
    expected = 20_000 * np.array([1 - p, p])
    assert chi2.sf(np.sum((counts - expected) ** 2 / expected), 1) > FALSE_ALARM


def test_certain_coins():
    log_p = jnp.repeat(jnp.array([-jnp.inf, 0.0, 3.0, jnp.inf, jnp.nan]), 100).reshape(5, 100)
    np.testing.assert_array_equal(flip(jax.random.key(0), log_p).all(axis=1), [False, True, True, True, False])
    assert not flip(jax.random.key(0), log_p)[jnp.array([0, 4])].any()


def test_uniform_cells_are_uniform():
    u = uniform_cells(jax.random.key(4), jnp.broadcast_to(jnp.array([0.2, 0.7]), (20_000, 2)))
    assert u.shape == (20_000,) and np.all((u >= 0) & (u < 1))
    assert kstest(np.asarray(u), "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("draw", [choice, flip, uniform_cells])
def test_legacy_keys_are_refused_with_the_fix(draw):
    with pytest.raises(TypeError, match=r"use jax\.random\.key\(seed\)"):
        draw(jax.random.PRNGKey(0), jnp.zeros(3))


def test_what_is_not_one_key_is_refused():
    with pytest.raises(TypeError, match="one PRNG key, got an array of keys of shape"):
        # Without the type checks of the tests, which would refuse first.
        inspect.unwrap(check_key)(jax.random.split(jax.random.key(0), 2))


def test_nothing_to_choose_from_is_refused():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="at least one outcome"):
        choice(key, jnp.zeros((2, 0)))
    with pytest.raises(ValueError, match="at least one outcome"):
        choice(key, jnp.zeros(()))
