"""Weight rules: the potentials of a solution multiply to the factor that each rule states.

What a filter makes of them, on every outcome, is checked by the cases `reasoning_filter(...)` of `probinf.cases`.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from probinf.lm import History
from probinf.samplers import Last, Min, Odds, Product, SoftmaxReward, ValueRatio

ROUNDS = 4
# The factor of a whole solution, from its rewards: the papers' formulas, not the potentials.
LAWS = {
    "Product": (Product(), np.prod),
    "Product of minima": (Product("min"), lambda r: np.prod(np.minimum.accumulate(r))),
    "Product of products": (Product("product"), lambda r: np.prod(np.cumprod(r))),
    "Odds": (Odds(), lambda r: np.prod(r / (1 - r))),
    "Odds, hot": (Odds(temperature=2.0), lambda r: np.prod(np.sqrt(r / (1 - r)))),
    "Odds of the minimum": (Odds(aggregate="min"), lambda r: np.prod((m := np.minimum.accumulate(r)) / (1 - m))),
    "Odds of the product": (Odds(aggregate="product"), lambda r: np.prod((m := np.cumprod(r)) / (1 - m))),
    "SoftmaxReward": (SoftmaxReward(), lambda r: np.exp(r.sum())),
    "SoftmaxReward, cold": (SoftmaxReward(temperature=0.5), lambda r: np.exp(2 * r.sum())),
    "Last": (Last(), lambda r: r[-1]),
    "ValueRatio": (ValueRatio(), lambda r: r[-1]),
    "Min": (Min(), np.min),
    "Product, finished again": (Product(reweight_finished=True), lambda r: np.prod(r) * r[-1] ** (ROUNDS - len(r))),
}


@pytest.mark.parametrize("name", LAWS)
def test_potentials_multiply_to_the_factor(name, x64):
    rule, factor = LAWS[name]
    rng = np.random.default_rng(0)
    lengths = np.array([1, 2, 3, 4] * 4)
    rewards = rng.uniform(0.05, 0.95, (16, ROUNDS))
    total = np.zeros(16)
    for t in range(1, ROUNDS + 1):
        # Each solution as it lies in a cloud after round t: what is not yet written is zero.
        steps = np.minimum(lengths, t)
        log_odds = np.where(np.arange(ROUNDS) < steps[:, None], np.log(rewards / (1 - rewards)), 0.0)
        history = History(*map(jnp.asarray, (log_odds, steps, lengths >= t, lengths <= t)))
        total += np.where(rule.counted(history), rule.log_potential(history), 0.0)
    by_hand = [np.log(factor(row[:length])) for row, length in zip(rewards, lengths, strict=True)]
    np.testing.assert_allclose(total, by_hand, rtol=1e-12)


def test_rewards_of_zero_and_one_are_certainties():
    log_odds = jnp.array([[-jnp.inf, 1.0], [jnp.inf, -1.0], [0.0, jnp.inf]])
    history = History(log_odds, jnp.array([2, 2, 2]), jnp.ones(3, bool), jnp.ones(3, bool))
    # What was worth nothing once is worth nothing in the end; a reward of one is no odds, and reported where weighed.
    assert Min().log_potential(history)[0] == ValueRatio().log_potential(history)[0] == -np.inf
    assert np.isposinf(Odds().log_potential(history)[2]) and Product().log_potential(history)[2] == 0
    assert not np.any(np.isnan(jnp.stack([rule.log_potential(history) for rule in (Min(), ValueRatio(), Last())])))
