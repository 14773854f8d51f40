"""Budgets of thinking: what is forced, what a tempered stop weighs, where a probe stops, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Draw, Guarantee, MeaningError, Measure, Resample, Reweight, sample, spawn
from probinf.cases._budgets import _STEPS, ByFirstToken, early_law
from probinf.distributions import Categorical
from probinf.lm import ConfidenceProbe, Continue, Prompt, TableLM, start_generation, stop_table
from probinf.samplers import (
    Route,
    StopTempered,
    Untempered,
    confidence_roulette,
    confidence_stop,
    solution_pool,
    stop_tempered,
    stop_tempering,
    two_phase,
)
from probinf.samplers._confidence_stop import confident

KEY = jax.random.key(0)
LM = TableLM(table=jnp.array([[0.5, -0.25, 0.0], [0.25, 0.0, -1.0], [0.0, 0.0, 0.0]]), stop_tokens=(2,))
END = stop_table([b"a", b"b", b"c"], [b"bb"])


def log_p(text, drawn):
    """The log-probability of the tokens at some places, by hand."""
    table = np.asarray(LM.table, float)
    rows = table - np.logaddexp.reduce(table, axis=1)[:, None]
    return sum(rows[text[i - 1] if i else 0][text[i]] for i in drawn)


def test_two_phases_force_the_end_only_where_it_is_missing():
    thinking = 3
    sampler = two_phase(LM, [0], end=END, end_ids=[1, 1], thinking_tokens=thinking, answer_tokens=2)
    texts = sample(sampler, KEY, n=200).particles.values
    kinds = set()
    for row, length, log_prob in zip(*map(np.asarray, (texts.tokens, texts.length, texts.log_prob)), strict=True):
        text = row[:length].tolist()
        own = next((i for i in range(2, thinking + 1) if text[i - 2 : i] == [1, 1]), None)
        drawn, kind = list(range(length)), "ended"
        if 2 in text[:thinking]:
            # The model ended the whole text while it was thinking.
            assert text.index(2) == length - 1
            kind = "stopped"
        elif own is None:
            assert text[thinking : thinking + 2] == [1, 1] and length <= thinking + 4
            drawn, kind = [i for i in drawn if i not in (thinking, thinking + 1)], "forced"
        else:
            assert length <= own + 2
        assert log_prob == pytest.approx(log_p(text, drawn), abs=1e-5)
        kinds.add(kind)
    assert kinds == {"ended", "stopped", "forced"}


def test_forcing_and_tempering_claim_a_law_of_their_own():
    thinks = two_phase(LM, [0], end=END, end_ids=[1, 1], thinking_tokens=2, answer_tokens=1)
    stops = stop_tempered(StopTempered(LM, temperature=2.0), [0], max_new_tokens=2)
    for sampler in (thinks, stops):
        assert sampler.meaning(Measure()).guarantee == Guarantee.CHANGES_TARGET


def test_tempering_acts_on_the_probability_of_stopping_and_not_on_the_logit(x64):
    # Length is geometric: with chance p to stop, it is so with chance p' = e^b p^(1/T) / (e^b p^(1/T) + 1 - p).
    chances = {}
    for shift in (-3.0, 0.0, 3.0):
        table = jnp.log(jnp.array([[0.9, 0.1]] * 2)) + shift
        for temperature, bias in ((1.0, 0.0), (2.0, 0.0), (0.5, 0.0), (1.0, 1.0), (1.0, -1.0)):
            model = StopTempered(TableLM(table=table, stop_tokens=(1,)), temperature=temperature, bias=bias)
            state = model.start(jnp.array([0]), 1, 1)
            odds = np.exp(bias) * 0.1 ** (1 / temperature) / 0.9
            p = float(jnp.exp(model.log_probs(state))[0, 1])
            assert p == pytest.approx(odds / (1 + odds), rel=1e-12)
            chances[shift, temperature, bias] = p
    # A logit of -3 divided by two would stop less often, one of +3 as well: the direction must not depend on a shift.
    assert chances[0.0, 0.5, 0.0] < chances[0.0, 1.0, 0.0] < chances[0.0, 2.0, 0.0]
    assert chances[0.0, 1.0, -1.0] < chances[0.0, 1.0, 0.0] < chances[0.0, 1.0, 1.0]


def test_an_impossible_text_of_a_tempered_model_has_probability_zero():
    # Token 1 never follows 0, before or after tempering; written all the same, no NaN comes of it.
    table = jnp.array([[0.5, -jnp.inf, 0.0], [0.25, 0.0, -1.0], [0.0, 0.0, 0.0]])
    model = StopTempered(TableLM(table=table, stop_tokens=(2,)), [1, 2], temperature=2.0)
    start = start_generation(Prompt(model, [0], 2), 2)
    texts = Continue(model, 2).replay_lanes(start, 2, jnp.array([[1, 0], [1, 2]]))
    assert texts.state.log_ratio[0] == -jnp.inf and jnp.isfinite(texts.state.log_ratio[1])
    log_p = Untempered().log_density_lanes(texts, 2)
    rows = np.array([0.5, 0.0]) - np.logaddexp(0.5, 0.0)
    np.testing.assert_allclose(log_p, [-np.inf, rows.sum()], atol=1e-6)


def test_other_temperatures_of_stopping_do_not_retrace():
    traces = []

    @eqx.filter_jit
    def evidence(model, key):
        traces.append(1)
        return stop_tempering(model, [0], max_new_tokens=4)(key, spawn(8))[0].log_z

    for temperature, bias in ((2.0, 0.0), (0.5, 0.0), (1.0, 1.5)):
        assert jnp.isfinite(evidence(StopTempered(LM, temperature=temperature, bias=bias), KEY))
    assert len(traces) == 1


def test_an_early_stop_has_the_probability_of_its_own_tokens():
    texts = sample(confidence_stop(_STEPS.writer()), KEY, n=64).particles.values.generation
    law = early_law()
    for row, length, log_prob in zip(*map(np.asarray, (texts.tokens, texts.length, texts.log_prob)), strict=True):
        assert log_prob == pytest.approx(np.log(law[tuple(row[:length].tolist())]), abs=1e-5)
    # How far that is from the model: the texts that go on after a confident step are gone.
    model = _STEPS.texts()
    distance = sum(max(p - law.get(text, 0.0), 0.0) for text, p in model.items())
    print(f"\ntotal variation between stopped texts and the model's: {distance:.4f}")
    assert distance > 0.1


def test_no_reward_does_not_stop_and_a_solution_that_has_ended_stops_once():
    start = jax.eval_shape(lambda: _STEPS.writer().start().sample_lanes(KEY, (), 4))
    values = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), start)
    log_odds = jnp.zeros((4, 3)).at[:, 1].set(jnp.array([0.0, jnp.nan, jnp.inf, jnp.inf])).at[:, 0].set(-1.0)
    set_to = (log_odds, jnp.array([2, 2, 2, 2]), jnp.array([False, False, False, True]))
    values = eqx.tree_at(lambda s: (s.log_odds, s.steps, s.generation.finished), values, set_to)
    assert confident(values, jnp.array(0.5)).tolist() == [True, False, True, False]
    assert confident(values, jnp.array(0.0)).tolist() == [True, False, True, False]
    assert confident(values, jnp.array(1.0)).tolist() == [False, False, True, False]
    nothing = eqx.tree_at(lambda s: s.steps, values, jnp.zeros(4, jnp.int32))
    assert not confident(nothing, jnp.array(0.0)).any()


def nothing(x):
    return jnp.zeros(())


def test_the_probe_reads_its_words_behind_the_text():
    p = np.exp(np.asarray(LM.table, float))
    p /= p.sum(axis=1, keepdims=True)
    texts = Continue(LM, 2).sample_lanes(KEY, start_generation(Prompt(LM, [0], 3), 16), 16)
    last = np.asarray(texts.tokens)[np.arange(16), np.asarray(texts.length) - 1]
    behind = ConfidenceProbe(LM, [], [1]).log_odds(texts, 16)
    np.testing.assert_allclose(behind, np.log(p[last, 1] / (1 - p[last, 1])), atol=1e-5)
    asked = ConfidenceProbe(LM, [2, 1], [1], [2]).log_odds(texts, 16)
    np.testing.assert_allclose(asked, np.log(p[1, 1] / p[1, 2]), atol=1e-5)


def test_routes_keep_each_lane_where_it_was_sent():
    lm = LM
    easy, hard = Draw(Continue(lm, 1)), Draw(Continue(lm, 2))
    sampler = Draw(Prompt(lm, [0], 3)) >> Draw(Continue(lm, 1)) >> Route(ByFirstToken(), (easy, hard))
    result = sample(sampler, KEY, n=64)
    texts, taken = result.particles.values, np.asarray(result.info[2].taken)
    assert set(taken.tolist()) == {0, 1} and (taken == np.minimum(texts.tokens[:, 0], 1)).all()
    assert (texts.length[taken == 0] == 2).all() and texts.length[taken == 1].max() == 3


def test_a_dead_cloud_stays_dead_on_its_route():
    draw = Draw(Categorical(np.log([0.5, 0.5])))
    dead = spawn(2, jnp.zeros(2)).replace(log_evidence=jnp.array(-jnp.inf))
    # Of two lanes one is dead as well: it stays so, whatever the sampler banks.
    for cloud in (dead, dead.replace(log_weights=jnp.array([0.0, -jnp.inf]))):
        result, _ = Route(to_first, (draw,))(KEY, cloud)
        assert not jnp.isnan(result.log_weights).any() and result.log_z == -jnp.inf
        assert (result.log_weights == cloud.log_weights).all()


def to_first(values):
    return jnp.zeros(len(values), jnp.int32)


def test_what_makes_no_sense_is_refused():
    writer, draw = _STEPS.writer(), Draw(Categorical(np.log([0.5, 0.5])))
    budgets = {"thinking_tokens": 2, "answer_tokens": 1}
    for call, error, message in (
        (lambda: two_phase(LM, [0], end=END, end_ids=[1, 0], **budgets), ValueError, "must complete the stop string"),
        (lambda: two_phase(LM, [0], end=END, end_ids=[1, 1, 2], **budgets), ValueError, "holds a stop token"),
        (lambda: StopTempered(LM, []), ValueError, "name the tokens that stop"),
        (lambda: StopTempered(LM, [3]), ValueError, "name the tokens that stop"),
        (lambda: StopTempered(LM, temperature=0.0), ValueError, "must be positive and finite"),
        (lambda: StopTempered(LM, temperature=np.inf), ValueError, "must be positive and finite"),
        (lambda: StopTempered(LM, temperature=np.nan), ValueError, "must be positive and finite"),
        (lambda: StopTempered(LM, bias=np.inf), ValueError, "bias of stopping must be finite"),
        (lambda: StopTempered(LM, bias=np.nan), ValueError, "bias of stopping must be finite"),
        (lambda: confidence_stop(writer, threshold=1.5), ValueError, "threshold is a probability"),
        (lambda: confidence_roulette(writer, stop_chance=1.0), ValueError, "must be below one"),
        (lambda: confidence_roulette(writer, stop_chance=-0.5), ValueError, "stop_chance is a probability"),
        (lambda: ConfidenceProbe(LM, [5], [1]), ValueError, "must lie in"),
        (lambda: ConfidenceProbe(LM, [], [1], [1, 2]), ValueError, "none may be both"),
        (lambda: Route(to_first, ()), ValueError, "at least one sampler"),
        (lambda: Route(to_first, (draw, draw >> Resample())), MeaningError, "lanes are independent"),
        (lambda: Route(to_first, (solution_pool(writer),))(KEY, spawn(2, jnp.zeros(2))), TypeError, "LaneState"),
        (
            lambda: Route(to_first, (draw, Reweight(nothing)))(KEY, spawn(2, jnp.zeros(2))),
            ValueError,
            "one structure",
        ),
    ):
        with pytest.raises(error, match=message):
            call()
