"""Particle filtering over steps of reasoning: each rule's law, listed text by text, against every outcome of the code."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf import Map, Status, sample
from probinf.lm import Reasoning, RewardFunction, TableLM, enumerate_sequences
from probinf.samplers import Last, Min, Odds, Product, SoftmaxReward, ValueRatio, reasoning_filter
from probinf.validity import enumerate_law
from probinf.validity._proper import check_proper_weighting

STEPS, END = 3, 2
TABLE = [[0.1, 0.4, -0.3], [0.3, 0.2, 0.5], [0.0, 0.0, 0.0]]
# The reward of a text by its last token, its length and whether it has a 0.
REWARDS = [[0.3, 0.8, 0.6], [0.9, 0.25, 0.7], [0.45, 0.5, 0.85]]


class TableReward(eqx.Module):
    table: jax.Array

    def __call__(self, x):
        last = x.tokens[jnp.maximum(x.length - 1, 0)]
        zeros = jnp.any((x.tokens == 0) & (jnp.arange(x.tokens.shape[0]) < x.length))
        return self.table[x.length - 1, last] * jnp.where(zeros, 0.9, 1.0)


def problem(reward=None):
    lm = TableLM(table=jnp.asarray(TABLE), stop_tokens=(END,))
    reward = RewardFunction(TableReward(jnp.asarray(REWARDS))) if reward is None else reward
    return Reasoning(lm, [0], reward, max_steps=STEPS, tokens_per_step=1)


def rewards_of(text):
    return np.array([REWARDS[t][text[t]] * (0.9 if 0 in text[: t + 1] else 1.0) for t in range(len(text))])


def tokens(x):
    return x.generation.tokens, x.generation.length


# The factor of a whole solution, from its rewards: written from the papers' formulas, not from the potentials.
LAWS = {
    "Product": (Product(), np.prod),
    "Odds": (Odds(), lambda r: np.prod(r / (1 - r))),
    "Odds, hot": (Odds(temperature=2.0), lambda r: np.prod(np.sqrt(r / (1 - r)))),
    "Odds of the minimum": (Odds(aggregate="min"), lambda r: np.prod((m := np.minimum.accumulate(r)) / (1 - m))),
    "Odds of the product": (Odds(aggregate="product"), lambda r: np.prod((m := np.cumprod(r)) / (1 - m))),
    "SoftmaxReward": (SoftmaxReward(), lambda r: np.exp(r.sum())),
    "Last": (Last(), lambda r: r[-1]),
    "ValueRatio": (ValueRatio(), lambda r: r[-1]),
    "Min": (Min(), np.min),
    "Product, finished again": (Product(reweight_finished=True), lambda r: np.prod(r) * r[-1] ** (STEPS - len(r))),
}


@pytest.mark.parametrize("name", LAWS)
def test_rule_has_the_law_it_states(name, x64):
    rule, factor = LAWS[name]
    error, measure = law_of(reasoning_filter(problem(), rule))
    texts, log_p = enumerate_sequences(problem().continuation.lm, np.array([0]), STEPS)
    target = {text: np.exp(p) * factor(rewards_of(text)) for text, p in zip(texts, log_p, strict=True)}
    assert measure.keys() == target.keys()
    np.testing.assert_allclose([measure[text] for text in texts], [target[text] for text in texts], rtol=1e-12)
    assert error < 1e-12


def law_of(sampler):
    """The largest error of the cloud's expected measure at two particles, and the measure itself."""
    report = check_proper_weighting(sampler >> Map(tokens), 2)
    rows = zip(*map(np.asarray, report.found.values), np.exp(report.found.log_mass), strict=True)
    return report.error, {tuple(row[:size].tolist()): float(mass) for row, size, mass in rows if mass > 0}
