"""The optimal number of attempts: the published row, the tail rule, and a search that trusts no sum."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.verifiers.imperfect import (
    BetaPopulation,
    Payoff,
    Population,
    break_even_cost,
    optimal_attempts,
    optimal_attempts_of_two_types,
    utility,
)
from tests.verifiers.imperfect.brute import (
    COSTS,
    LLAMA,
    PUBLISHED_ROW,
    published_increments,
    published_optimum,
    random_populations,
)

best = eqx.filter_jit(optimal_attempts)
closed_form = eqx.filter_jit(optimal_attempts_of_two_types)
TRUE_ROW = (np.inf,) * 6 + (3, 2, 2, 2, 1, 1, 0)


def llama():
    return Population(LLAMA["p"], 1.0, 1 - LLAMA["soundness"], LLAMA["weights"])


def test_published_heat_map_is_where_sums_stop_changing(x64):
    """ArXiv 2411.17501, heat map of optimal K: its large entries are the end of float64, not of what retrying buys."""
    assert tuple(published_optimum(c) for c in COSTS) == PUBLISHED_ROW
    assert tuple(float(best(llama(), Payoff(1.0, c))) for c in COSTS) == TRUE_ROW
    # Where the published optimum is large its next attempt is worth more than nothing.
    for cost, k in zip(COSTS[:6], PUBLISHED_ROW[:6], strict=True):
        assert float(llama().gain(k + 1, Payoff(1.0, cost))) > 0


def test_published_utility_counts_the_posterior_twice(x64):
    """ArXiv 2411.17501, appendix C: its curve passes the ceiling of its own model, and has the wrong sign at cost 2."""
    population = llama()
    assert published_increments(0, 15).sum() == pytest.approx(0.864, abs=5e-4)
    assert float(population.ceiling) == pytest.approx(0.7132, abs=5e-5)
    assert float(utility(population, 15, Payoff(1.0, 0))) == pytest.approx(0.7130, abs=5e-5)
    assert published_increments(2, 15).sum() == pytest.approx(-0.066, abs=5e-4)
    assert float(utility(population, 15, Payoff(1.0, 2))) == pytest.approx(0.140, abs=5e-4)


def test_two_types_have_a_closed_form(x64):
    population = llama()
    for cost in COSTS:
        payoff = Payoff(1.0, cost)
        closed = closed_form(population.acceptance, population.first_gains(payoff))
        assert float(closed) == float(best(population, payoff))
    # The switch to infinity is where the hard type breaks even.
    switch = float(break_even_cost(Population(LLAMA["p"][1], 1.0, 1 - LLAMA["soundness"]), 4))
    assert switch == pytest.approx(0.6456, abs=5e-4)
    assert np.isinf(best(population, Payoff(1.0, switch - 1e-6)))
    assert np.isfinite(best(population, Payoff(1.0, switch + 1e-6)))


def test_one_task_has_its_optimum_at_an_end(x64):
    one = Population(0.4, 0.9, 0.2)
    worth = float(break_even_cost(one, 1))
    assert float(best(one, Payoff(1.0, worth * 0.999))) == np.inf
    assert float(best(one, Payoff(1.0, worth * 1.001))) == 0
    # A sampling cost can only make it zero.
    assert float(best(one, Payoff(1.0, 0, 0, 0.35))) == np.inf
    assert float(best(one, Payoff(1.0, 0, 0, 0.37))) == 0


def test_where_all_is_accepted_at_once_one_attempt_is_enough(x64):
    for population, cost, expected in [
        (Population(0.6, 1.0, 1.0), 1.0, 1),
        (Population([0.9, 0.2], 1.0, 1.0), 1.0, 1),
        (Population(0.4, 1.0, 1.0), 1.0, 0),
        # The second task is never accepted, so it counts for nothing.
        (Population.from_joint([0.9, 0.0], [0.1, 0.0]), 1.0, 1),
    ]:
        assert float(best(population, Payoff(1.0, cost))) == expected
    assert float(best(BetaPopulation(2.0, 1.0, 1.0, 1.0), Payoff(1.0, 1.0))) == 1
    assert float(closed_form(jnp.asarray([1.0, 0.5]), jnp.asarray([0.3, 0.0]))) == 1
    assert float(closed_form(jnp.asarray([1.0, 0.5]), jnp.asarray([0.3, 0.1]))) == np.inf
    assert float(closed_form(jnp.asarray([1.0, 0.5]), jnp.asarray([0.3, -0.1]))) == 1


def test_two_types_out_of_order_are_told():
    for acceptance, first, message in [
        ([0.2, 0.5], [0.1, -0.1], "accepted more often"),
        ([1.0, 1.0], [0.1, -0.1], "accepted more often"),
        ([0.5, 0.2], [-0.1, 0.2], "use optimal_attempts"),
    ]:
        with pytest.raises(ValueError, match=message):
            optimal_attempts_of_two_types(jnp.asarray(acceptance), jnp.asarray(first))


def test_unreachable_tasks_make_the_optimum_finite_once_samples_cost(x64):
    half = Population([0.5, 0.0], 1.0, 0.0)
    assert float(best(half, Payoff(1.0, 1))) == np.inf
    # An attempt is worth 2^-(K + 1), and costs .01 (1 + 2^-(K - 1)) / 2 on those who are still there.
    k = np.arange(1, 30)
    gains = 0.5 * 0.5 ** (k - 1) * (0.5 - 0.01) - 0.5 * 0.01
    assert float(best(half, Payoff(1.0, 1, 0, 0.01))) == k[gains > 0][-1]


def test_a_sign_that_changes_twice_is_followed(x64):
    # Easy and good, middling and bad, hard and good: interior maximum against the far end.
    population = Population.from_joint([0.5, 0.0, 1e-4], [0.0, 0.05, 0.0], [0.4, 0.3, 0.3])
    for cost, expected in [(0.1, np.inf), (5.0, None)]:
        found = float(best(population, Payoff(1.0, cost)))
        k = np.arange(1, 200_000)
        d = np.array([0.4 * 0.5, -cost * 0.3 * 0.05, 0.3 * 1e-4])
        gains = (d[:, None] * (1 - np.array([0.5, 0.05, 1e-4])[:, None]) ** (k - 1)).sum(axis=0)
        sums = np.cumsum(gains)
        expected_k = k[sums.argmax()] if sums.max() > np.sum(d / np.array([0.5, 0.05, 1e-4])) else np.inf
        assert found == expected_k and (expected is None or found == expected)
        assert np.isfinite(found) == (cost == 5.0)


def test_random_populations_obey_the_tail_rule_and_are_unimodal(x64):
    """10,000 populations, half sorted so that easier tasks have the higher net value, as the theorem asks."""
    rng = np.random.default_rng(7)
    count, n, grid = 10_000, 4, 400
    weights, p, t, f = random_populations(rng, count, n)
    half = count // 2
    # The same rates on all tasks make q, v and the net value ascend together.
    t[:half], f[:half] = t[:half, :1], np.minimum(f[:half, :1], 0.9 * t[:half, :1])
    cost, sample = rng.gamma(1.0, 2.0, count), np.where(rng.random(count) < 0.5, 0.0, rng.gamma(1.0, 0.02, count))
    build = eqx.filter_vmap(lambda w, p, t, f: Population(p, t, f, w))
    populations = build(*map(jnp.asarray, (weights, p, t, f)))
    payoffs = eqx.filter_vmap(lambda c, s: Payoff(1.0, c, 0.0, s))(jnp.asarray(cost), jnp.asarray(sample))
    found = np.asarray(eqx.filter_jit(eqx.filter_vmap(optimal_attempts))(populations, payoffs))

    q = p * t + (1 - p) * f
    d = weights * (p * t - cost[:, None] * (1 - p) * f - sample[:, None])
    k = np.arange(grid)
    gains = np.einsum("ij,ijk->ik", d, (1 - q)[:, :, None] ** k)
    signs = np.sign(np.where(np.abs(gains) > 1e-14, gains, 0.0))
    # Unimodal: once an attempt loses, no later one gains.
    lost = np.maximum.accumulate(signs[:half] < 0, axis=1)
    assert not np.any(lost & (signs[:half] > 0))
    # Tail rule, in exact signs: infinite if and only if the hardest live task is worth it (single crossing).
    live = d != 0
    hardest = np.where(live, q, np.inf).argmin(axis=1)
    worth = np.where(live.any(axis=1), np.take_along_axis(d, hardest[:, None], 1)[:, 0], 0.0) > 0
    assert np.array_equal(np.isinf(found[:half]), worth[:half])
    # On all of them, sorted or not: no K of the grid is better, nor infinity.
    utilities = np.concatenate([np.zeros((count, 1)), np.cumsum(gains, axis=1)], axis=1)
    steps = np.where(np.isinf(found), 0, found)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        forever = np.sum(np.where(d == 0, 0.0, d / q), axis=1)
        steps = np.where(q > 0, -np.expm1(steps * np.log1p(-np.minimum(q, 1 - 1e-16))) / q, steps)
    at_found = np.where(np.isinf(found), forever, np.sum(d * steps, axis=1))
    assert np.all(at_found >= utilities.max(axis=1) - 1e-12)
    assert np.all(at_found >= forever - 1e-12)
    # All three kinds are there, so none of this is empty.
    inside = np.isfinite(found) & (found > 0)
    assert inside.sum() > 1000 and np.isinf(found).sum() > 1000 and (found == 0).sum() > 500
    # The least maximizer, from the signs of the gains alone: a gain before it, none after.
    small = np.flatnonzero(inside & (found < grid))
    assert np.all(gains[small, found[small].astype(int) - 1] > 0)
    assert np.all(gains[small, np.minimum(found[small].astype(int), grid - 1)] <= 0)
