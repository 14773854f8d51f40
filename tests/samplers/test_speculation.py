"""Speculation keeps the target's law and acceptance by a judge does not: at their limits, and measured."""

from collections import defaultdict

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf.cases._speculation as cases
from probinf import sample, spawn
from probinf.cases._speculation import LastToken, Models
from probinf.lm import Continue, Prompt, Reward, RewardFunction, TableLM, log_odds_of, start_generation, stop_table
from probinf.samplers import JudgedStep, ModelPair, spec_reason, speculative_choice
from probinf.samplers._speculative import _left
from probinf.validity import enumerate_law

KEY = jax.random.key(0)
TARGET, DRAFT = (TableLM(table=jax.random.normal(jax.random.key(i), (4, 4)), stop_tokens=(3,)) for i in (1, 2))
END = stop_table([b"a", b"b", b"c", b"d"], [b"b"])


def test_speculation_over_random_pairs_of_laws(x64):
    # P(index) = p and P(accepted) = 1 - TV(p, q) by enumeration, also of outcomes that one of the laws never has.
    logits = np.random.default_rng(0).normal(size=(3, 2, 4))
    logits[0, 0, 0] = logits[0, 1, 1] = logits[0, 0, 2] = logits[0, 1, 2] = -np.inf
    logits[1, 1] = logits[1, 0] + 7.0  # the same law
    logits[2] = [[0.0, -np.inf, -np.inf, 1.0], [-np.inf, 0.0, 0.0, -np.inf]]  # nothing in common
    for log_p, log_q in logits:
        p, q = (np.exp(x - np.logaddexp.reduce(x)) for x in (log_p, log_q))
        law = enumerate_law(speculative_choice, KEY, jnp.asarray(log_p), jnp.asarray(log_q))
        index, accepted = law.outputs
        found = [law.probability[index == i].sum() for i in range(4)]
        np.testing.assert_allclose(found, p, atol=1e-14)
        assert law.probability[accepted].sum() == pytest.approx(np.minimum(p, q).sum(), abs=1e-14)


def test_speculation_in_single_precision_of_a_large_vocabulary():
    log_p = jax.random.normal(KEY, (64, 1000)) * 4
    draw = jax.jit(speculative_choice)
    same = draw(KEY, log_p, log_p + 1.5)
    assert same.accepted.mean() > 0.95
    apart = jnp.where(jnp.arange(1000) < 500, log_p, -jnp.inf), jnp.where(jnp.arange(1000) < 500, -jnp.inf, log_p)
    index, accepted = draw(KEY, *apart)
    assert not accepted.any() and (index < 500).all()


def test_what_is_left_in_single_precision_of_laws_that_nearly_agree():
    # Gaps of 1e-9 to 1e-8, of which exp(gap) rounds to one; the truth from the same float32 logs, in float64. It is
    # the last token, where a row of nothing but -inf gives the first.
    logits = np.array([-4.5, -3.0, -4.0, 0.0])
    for shift in ([0.0, 1e-7, 0.0, 0.0], [1e-7, 1e-7, 1e-7, 0.0], [0.0, 0.0, 0.0, -1e-7], [0.0, 3e-7, 0.0, 0.0]):
        log_p, log_q = (np.float32(x - np.logaddexp.reduce(x)) for x in (logits, logits + shift))
        more = np.maximum(np.exp(log_p.astype(float)) - np.exp(log_q.astype(float)), 0.0)
        assert more[3] > 0 and np.exp(log_q - log_p)[3] == 1
        found = _left(jnp.asarray(log_p), jnp.asarray(log_q))
        np.testing.assert_allclose(np.exp(found), more, rtol=1e-5)
    same = jnp.asarray(log_p)
    np.testing.assert_array_equal(_left(same, same), same)


def test_the_judge_that_passes_all_leaves_the_draft_and_the_one_that_passes_none_the_target():
    pair, judge = ModelPair(TARGET, DRAFT), RewardFunction(LastOfFour())
    start = start_generation(Prompt(pair, [0], 4), 64)
    draft_key, target_key = jax.random.split(KEY)
    for threshold, model, key in ((0.0, pair.drafting(), draft_key), (1.0, pair, target_key)):
        found = JudgedStep(pair, judge, threshold, 3, END).sample_lanes(KEY, start, 64)
        expected = Continue(model, 3, END).sample_lanes(key, start, 64)
        # Steps end at b or d, or after three tokens; both models have read what was written.
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        assert set(np.asarray(found.length).tolist()) == {1, 2, 3}


class SevenOfTen(Reward):
    """A judge in float32 that always gives the threshold, on the host or not."""

    on_host: bool = eqx.field(static=True, default=False)

    def log_odds(self, values, n):
        if self.on_host:
            np.asarray(values.tokens)
        return jnp.broadcast_to(log_odds_of(jnp.float32(0.7)), (n,))

    @property
    def traceable(self):
        return not self.on_host


def test_a_reward_equal_to_the_threshold_passes_in_its_own_precision(x64):
    pair = ModelPair(TARGET, DRAFT)
    start = start_generation(Prompt(pair, [0], 1), 64)
    found = JudgedStep(pair, SevenOfTen(), 0.7, 1).sample_lanes(KEY, start, 64)
    drafted = Continue(pair.drafting(), 1).sample_lanes(jax.random.split(KEY)[0], start, 64)
    np.testing.assert_array_equal(found.tokens, drafted.tokens)


def test_a_judge_on_the_host_keeps_the_sampler_there():
    for on_host in (False, True):
        for max_steps in (1, 2):
            sampler = spec_reason(TARGET, DRAFT, [0], SevenOfTen(on_host), max_steps=max_steps, tokens_per_step=1)
            assert sampler.traceable is not on_host
    texts = sample(sampler, KEY, n=2).particles.values
    assert (texts.length > 0).all()


class LastOfFour(LastToken):
    """A judge of four tokens that is never certain."""

    def __call__(self, x):
        return jnp.array([0.9, 0.2, 0.7, 0.4])[x.tokens[x.length - 1]]


def _written(key, sampler):
    texts = sampler(key, spawn(1))[0].values
    return texts.tokens[0], texts.length[0]


def _enumerated(sampler):
    """The law of the texts that a sampler writes, from all its choices."""
    law, found = enumerate_law(_written, KEY, sampler), defaultdict(float)
    for tokens, length, p in zip(*map(np.asarray, (*law.outputs, law.probability)), strict=True):
        found[tuple(tokens[:length].tolist())] += p
    return dict(found)


def test_how_far_judged_steps_are_from_the_target(x64, monkeypatch):
    # Exact laws of two steps, by hand and by every choice of the sampler. Acceptance by a judge does not lie between
    # the two models: it can be farther from the target than the draft is, as it keeps the drafts that the judge likes
    # and draws the others anew.
    models, rows = Models(3, 2), []
    for threshold in (1.0, 0.8, 0.5, 0.0):
        monkeypatch.setattr(cases, "THRESHOLD", threshold)
        target, draft, judged = (models.texts(f) for f in (models.target, models.draft, models.judged_step))
        away = lambda law, judged=judged: sum(max(p - judged.get(x, 0.0), 0.0) for x, p in law.items())  # noqa: E731
        assert sum(judged.values()) == pytest.approx(1, abs=1e-12)
        found = _enumerated(models.judged())
        assert found == pytest.approx(judged, abs=1e-12)
        rows.append((threshold, away(target), away(draft)))
    print("\nthreshold, TV to the target, TV to the draft:", *(f"({a}, {b:.3f}, {c:.3f})" for a, b, c in rows))
    assert rows[0][1] == pytest.approx(0, abs=1e-12) and rows[-1][2] == pytest.approx(0, abs=1e-12)
    assert rows[2][1] > rows[3][1] + 0.1 and rows[1][1] > rows[3][1]


def test_pairs_that_do_not_match_and_thresholds_that_are_none():
    three = TableLM(table=jnp.zeros((3, 3)))
    judge = RewardFunction(LastToken())
    for call, message in (
        (lambda: ModelPair(TARGET, three), "share vocabulary and stop tokens"),
        (lambda: ModelPair(TARGET, TableLM(table=jnp.zeros((4, 4)))), "share vocabulary and stop tokens"),
        (
            lambda: spec_reason(TARGET, DRAFT, [0], judge, max_steps=2, tokens_per_step=1, threshold=7.0),
            "threshold is a probability",
        ),
        (lambda: spec_reason(TARGET, DRAFT, [0], judge, max_steps=0, tokens_per_step=1), "at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
