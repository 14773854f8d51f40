"""A model's own confidence steers a particle filter, and its doubt says which texts pass: laws and the guarantee."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Map, spawn
from probinf.lm import TableLM, enumerate_sequences
from probinf.samplers import particle_filtering
from probinf.validity._proper import check_proper_weighting
from probinf.verifiers.pairs import Mixture, PairReward, PairVerifier

BETA = 0.1
KNOBS: dict[str, Any] = {"max_new_tokens": 2, "tokens_per_step": 1, "ess": None}
# The question is the first token, the answer the last one. Truths of two kinds of inputs, for a question whose answers
# 0 and 1 are always right, and for one of which answers 0 and 2 are right for one kind each.
EASY = np.array([[0.5, 0.5, 0.0], [0.5, 0.3, 0.2]])
HARD = np.array([[0.8, 0.2, 0.0], [0.0, 0.2, 0.8]])


class Predict(eqx.Module):
    """Knows the question, and not which kind of input it was: calibrated."""

    def __call__(self, x):
        # From lists, so that the precision is the test's.
        rows = jnp.where(x.tokens[0] == 0, jnp.asarray(EASY.tolist()), jnp.asarray(HARD.tolist()))
        return Mixture(jnp.log(jnp.full(2, 0.5)), jnp.log(rows))


def answer(x):
    """The last token."""
    return x.tokens[x.length - 1]


def text(x):
    """What is compared."""
    return x.tokens, x.length


def toy():
    """Three tokens, none of which ends a text."""
    return TableLM(table=jnp.asarray([[0.1, 0.4, -0.3], [0.3, 0.2, 0.5], [0.0, -0.2, 0.3]]), stop_tokens=())


def texts():
    """Each text with its probability, the confidence in its answer, and the share of truths that rule it out."""
    names, log_p = enumerate_sequences(toy(), np.asarray([0]), 2)
    rows = [EASY if t[0] == 0 else HARD for t in names]
    p = np.array([r.mean(axis=0)[t[-1]] for r, t in zip(rows, names, strict=True)])
    v = np.array([r.var(axis=0)[t[-1]] for r, t in zip(rows, names, strict=True)])
    wrong = np.array([(r[:, t[-1]] == 0).mean() for r, t in zip(rows, names, strict=True)])
    return names, np.exp(log_p), p**2 / (p**2 + v), wrong


def law(accepted):
    """The law of the filter, enumerated: the mass of each text."""
    sampler = particle_filtering(toy(), [0], twist=PairReward(Predict(), answer), accepted=accepted, **KNOBS)
    check = check_proper_weighting(sampler >> Map(text), 2)
    assert check.error <= 1e-10
    tokens, mass = np.asarray(check.target.values[0]), np.exp(check.target.log_mass)
    return {tuple(row.tolist()): m for row, m in zip(tokens, mass, strict=True)}


def test_with_its_verifier_a_filter_gives_hallucinations_a_share_of_beta_at_most(x64):
    found = law(PairVerifier(Predict(), answer, BETA))
    names, p, confidence, wrong = texts()
    mass = np.where(1 - confidence <= BETA, p, 0.0)
    for name, expected in zip(names, mass, strict=True):
        assert found.get(name, 0.0) == pytest.approx(expected, abs=1e-10)
    assert mass.sum() > 0.2 and mass @ wrong / mass.sum() <= BETA
    assert p @ wrong > 2 * BETA


def test_with_its_reward_alone_a_filter_has_the_law_that_it_says_and_bounds_nothing(x64):
    found = law(PairReward(Predict(), answer))
    names, p, confidence, wrong = texts()
    mass = p * confidence
    for name, expected in zip(names, mass, strict=True):
        assert found.get(name, 0.0) == pytest.approx(expected, abs=1e-10)
    assert mass @ wrong / mass.sum() > BETA


def test_new_numbers_do_not_retrace():
    traces = []

    @jax.jit
    def run(key, beta):
        traces.append(1)
        accepted = PairVerifier(Predict(), answer, beta)
        sampler = particle_filtering(toy(), [0], twist=PairReward(Predict(), answer), accepted=accepted, **KNOBS)
        return sampler(key, spawn(4))[0].log_z

    a, b = run(jax.random.key(0), jnp.asarray(0.1)), run(jax.random.key(1), jnp.asarray(0.9))
    assert len(traces) == 1 and a <= 0 and b <= 0
