"""Word problems on a language model: the task, the probe, runs side by side, and what the figure makes of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from safetensors import safe_open

from probinf import sample
from probinf.figures import Cells
from probinf.figures._claims import Verdict
from probinf.figures._particle_scaling_lm_claims import concordance, particle_scaling_lm_claims
from probinf.figures._side_by_side import run_side_by_side
from probinf.figures._train_word_probe import RIDGES, Rows, held_out_losses, probe_path, sample_rows, train
from probinf.figures._word_problem_runs import METHODS, NO_ANSWER, select_answers
from probinf.figures._word_problem_writer import writer_of
from probinf.figures._word_problems import STEPS, TOKENS_PER_STEP, prompt_text, stated_answer, word_problems
from probinf.figures.particle_scaling_lm import LmBudget, particle_scaling_lm_data, plot_particle_scaling_lm
from probinf.lm import LanguageModel, ModelFileError, TableLM, stop_table
from probinf.lm._linear_probe import LinearProbe, fit_probe, load_probe, save_probe
from probinf.lm._read_along import StateReward

# Digits and signs that SmolLM2's tokenizer reads one by one; "1+2=3" is five tokens and its end.
WORDS = ("1", "2", "3", "+", "=", "\n", "<end>")


class ToyTokenizer:
    """One token a sign; every prompt is the end of a line."""

    def encode(self, text, add_special_tokens=True):
        del text, add_special_tokens
        return np.array([5], np.int32)

    def decode(self, ids):
        return "".join(WORDS[i] for i in ids if i < 6)

    def stop(self, *strings):
        return stop_table([*(w.encode() for w in WORDS[:6]), b""], [s.encode() for s in strings])


class LastToken(LanguageModel):
    """A toy model whose last activation is its last token in one-hot form."""

    lm: TableLM

    @property
    def stop_tokens(self):
        return self.lm.stop_tokens

    @property
    def vocabulary_size(self):
        return self.lm.vocabulary_size

    @property
    def context_length(self):
        return None

    def start(self, prompt_ids, lanes, max_new_tokens, prompt_length=None):
        return Remembering(self.lm.start(prompt_ids, lanes, max_new_tokens, prompt_length))

    def logits(self, state):
        return self.lm.logits(state.token)

    def advance(self, state, tokens, active=None):
        return Remembering(self.lm.advance(state.token, tokens, active))


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Remembering:
    token: jax.Array

    @property
    def hidden(self):
        return jax.nn.one_hot(self.token, len(WORDS))


class ToyModel:
    """Writes lines such as "1+2=3", or less."""

    def __init__(self):
        digit, sign = [0.4, 0.2, 0.3, -9, -9, -9, -9], [-9, -9, -9, 0.3, 0.9, 0.2, -2.0]
        table = jnp.asarray([sign, sign, sign, digit, digit, digit, digit])
        self.lm = LastToken(TableLM(table=table, stop_tokens=(6,)))  # pyright: ignore[reportCallIssue]
        self.tokenizer = ToyTokenizer()
        self.name = "toy"


@pytest.fixture(scope="module")
def model():
    return ToyModel()


@pytest.fixture(scope="module")
def probe():
    return LinearProbe(jnp.asarray([0.5, -0.5, 1.0, 0.2, -0.3, 0.4, -1.0]), jnp.asarray(-0.7))


def test_right_solutions_state_their_answers_and_problems_are_disjoint():
    training, evaluation = word_problems(80, 100)
    assert all(stated_answer(problem.solution) == problem.answer for problem in training + evaluation)
    numbers = [problem[1:] for problem in training + evaluation]
    assert len(set(numbers)) == 180
    assert word_problems(80, 24)[1] == evaluation[:24] and word_problems(10, 0)[0] == training[:10]
    for problem in evaluation[:3]:
        (a, b) = problem.changes
        for number in (problem.first, a, b):
            assert f" {number}" in problem.question
    with pytest.raises(ValueError, match="fewer than"):
        word_problems(80, 1000)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3+4=7\n7-2=5\n", 5),
        ("3 + 4 = 7\n7 - 9 = -2 \n", -2),
        ("3+4=7\n7-2=5", None),
        ("3+4=7\n", None),
        ("3+4=7\n\n", None),
        ("3+4=7\n7-2=5 nuts\n", None),
        ("3+4=\n7-2=5\n", None),
        ("3+4=7\n7-2=5\n1+1=2\n", None),
        ("", None),
    ],
)
def test_answers_are_read_off_two_whole_lines(text, answer):
    assert stated_answer(text) == answer


def test_prompts_show_right_solutions_and_end_where_the_answer_begins():
    problem = word_problems(0, 1)[1][0]
    text = prompt_text(problem)
    *shown, asked = text.split("\n\n")
    assert len(shown) == 4 and asked == f"Q: {problem.question}\nA: "
    for example in shown:
        question, _, solution = example.removeprefix("Q: ").partition("\nA: ")
        assert question.endswith("?") and stated_answer(solution + "\n") is not None
        # Right lines fit into a step, where each sign is a token.
        assert max(len(line) + 1 for line in solution.splitlines()) <= TOKENS_PER_STEP


def test_a_probe_finds_the_direction_that_separates(tmp_path):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(400, 20)) * rng.uniform(0.2, 5.0, 20) + 3.0
    direction = rng.normal(size=20)
    log_odds = (hidden - 3.0) @ direction
    probe = fit_probe(hidden, (rng.random(400) < 1 / (1 + np.exp(-log_odds))).astype(float), 0.01)
    weight = np.asarray(probe.weight)
    assert weight @ direction / np.linalg.norm(weight) / np.linalg.norm(direction) > 0.85
    # Shuffled labels have no direction: the control.
    shuffled = fit_probe(hidden, rng.permutation((log_odds > 0).astype(float)), 0.01)
    assert abs(np.corrcoef(hidden @ np.asarray(shuffled.weight), log_odds)[0, 1]) < 0.3
    save_probe(tmp_path / "probe.safetensors", probe, {"command": "test"})
    np.testing.assert_array_equal(load_probe(tmp_path / "probe.safetensors").weight, probe.weight)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ModelFileError, match="not a readable probe"):
        load_probe(tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match="nothing to tell apart"):
        fit_probe(hidden, np.ones(400), 0.01)
    with pytest.raises(ValueError, match="ridge"):
        fit_probe(hidden, (log_odds > 0).astype(float), 0.0)


def test_a_probe_is_trained_on_outcomes_of_each_prefix(model):
    problems = word_problems(4, 0)[0]
    rows = sample_rows(model, problems, 8)
    assert rows.hidden.shape == (4, STEPS, 8, len(WORDS)) and rows.right.shape == (4, 8)
    right = (rows.hidden[:, -1, :, 5] > 0.5).astype(float)
    losses = held_out_losses(Rows(rows.hidden, right), folds=2)
    assert set(losses) == set(RIDGES) and all(0 < loss < 2 for loss in losses.values())
    assert train(Rows(rows.hidden[:2], right[:2]), 0.01).weight[5] > 0


def test_runs_side_by_side_are_those_of_each_sampler_alone(model, probe):
    writer = writer_of(model, word_problems(0, 1)[1][0], StateReward(probe))
    samplers = {name: make(writer, 4, 2) for name, make in METHODS.items()}
    key = jax.random.key(3)
    runs = run_side_by_side(key, samplers, 8)
    first = [np.asarray(runs[name].cloud.values.ends) for name in METHODS]
    assert len({table.tobytes() for table in first}) > 1
    for name in ("PF odds", "DVTS"):
        alone = sample(samplers[name], key, 8).particles
        found = runs[name].cloud
        np.testing.assert_array_equal(found.values.generation.tokens, alone.values.generation.tokens)
        np.testing.assert_allclose(found.values.log_odds, alone.values.log_odds, rtol=1e-6)
        np.testing.assert_allclose(found.log_weights, alone.log_weights, atol=1e-5)


def test_selections_on_a_cloud_by_hand():
    answers = np.array([[5, 7, 7, NO_ANSWER], [3, 3, 9, 9], [NO_ANSWER] * 4])
    rewards = np.array([[0.9, 0.3, 0.4, 0.99], [0.1, 0.2, 0.3, 0.1], [0.5] * 4])
    chosen = select_answers(answers, rewards)
    assert chosen.argmax.tolist() == [5, 9, NO_ANSWER]
    assert chosen.vote.tolist() == [5, 9, NO_ANSWER]
    assert chosen.majority.tolist() == [7, 3, NO_ANSWER]
    rewards[0] = [0.6, 0.4, 0.4, 0.99]
    assert select_answers(answers, rewards).vote[0] == 7


@pytest.fixture(scope="module")
def dataset(model, probe, tmp_path_factory):
    options = {"model": model, "probe": probe, "cells": Cells(tmp_path_factory.mktemp("cells"))}
    # As many lanes as in the test above, so that nothing is compiled again.
    plan = LmBudget(problems=2, searches=2, generations=(4,))
    data = particle_scaling_lm_data(jax.random.key(0), plan, **options)
    again = particle_scaling_lm_data(jax.random.key(0), plan, **options)
    xarray.testing.assert_identical(data, again)
    return data


def test_the_data_have_every_method_of_every_problem(dataset):
    assert np.isfinite(dataset["accuracy"]).all() and dataset["accuracy"].shape == (20, 1, 2, 2)
    # Two steps are scored in each lane that did not end before.
    calls = dataset["reward_calls"] / dataset["budget"]
    assert (calls <= STEPS).all() and (calls > 1).all()
    # Steps that are written after the shared first ones differ in length only.
    assert (dataset["tokens"] <= dataset["budget"] * STEPS * TOKENS_PER_STEP).all()
    assert dataset["sample_log_odds"].shape == (2, 8, STEPS)


def test_the_drawing_has_both_selections_and_the_reward(dataset, tmp_path):
    drawing = plot_particle_scaling_lm(dataset)
    assert len(drawing.axes) == 5
    drawing.savefig(tmp_path / "figure.png")


def test_generations_must_fit_the_trees(model, probe):
    with pytest.raises(ValueError, match="multiples of the width"):
        particle_scaling_lm_data(jax.random.key(0), LmBudget(1, 1, (6,)), model=model, probe=probe)
    with pytest.raises(ValueError, match="smoke, paper"):
        particle_scaling_lm_data(jax.random.key(0), "huge", model=model)


def synthetic(rates, informative, seed=0):
    """A dataset in which curves have these accuracies, and the probe knows something or nothing."""
    rng = np.random.default_rng(seed)
    curves = [f"{m}/{s}" for m in METHODS for s in ("argmax", "vote", "majority", "lane", "any")]
    table = np.array([np.full((3, 60, 5), rates.get(curve, 0.3)) for curve in curves])
    right = rng.random((60, 80)) < 0.25
    log_odds = informative * right[..., None] + rng.normal(size=(60, 80, 2)) + np.log(0.25 / 0.75)
    return xarray.Dataset(
        {
            "accuracy": (("curve", "budget", "problem", "seed"), (rng.random(table.shape) < table).astype(float)),
            "sample_log_odds": (("problem", "lane", "step"), log_odds),
            "sample_right": (("problem", "lane"), right.astype(np.int8)),
        },
        coords={"curve": curves, "budget": [4, 8, 16]},
    )


def test_each_claim_can_hold_and_can_fail():
    good = {
        "PF odds/vote": 0.8,
        "PF odds/argmax": 0.6,
        "PF odds/lane": 0.6,
        "samples/vote": 0.5,
        "samples/majority": 0.3,
    }
    bad = {
        "PF odds/vote": 0.2,
        "PF odds/argmax": 0.4,
        "PF odds/lane": 0.1,
        "samples/vote": 0.5,
        "samples/majority": 0.8,
        "DVTS/vote": 0.6,
        "DVTS/argmax": 0.7,
        "PF ratio/vote": 0.5,
    }
    holding = particle_scaling_lm_claims(synthetic(good, 2.0))
    failing = particle_scaling_lm_claims(synthetic(bad, -1.0))
    ids = [finding.claim.id for finding in holding]
    assert len(set(ids)) == len(ids) == 11 and ids == [finding.claim.id for finding in failing]
    calibration = "particle_scaling_lm/C1-calibration"
    assert {f.verdict for f in holding if f.claim.id != calibration} == {Verdict.HOLDS}
    assert {f.verdict for f in failing if f.claim.id != calibration} == {Verdict.FAILS}
    # A reward that adds 2 to the log-odds of right texts promises more than there is.
    (over,) = [f for f in particle_scaling_lm_claims(synthetic(bad, 4.0)) if f.claim.id == calibration]
    assert over.verdict is Verdict.FAILS


def test_concordance_counts_pairs_within_problems():
    right = np.array([[True, False, False], [True, True, True]])
    wins, pairs = concordance(right, np.array([[0.0, -1.0, 0.0], [1.0, 2.0, 3.0]]))
    assert wins.tolist() == [1.5, 0] and pairs.tolist() == [2, 0]


def test_the_shipped_probe_says_how_it_was_trained():
    assert load_probe(probe_path()).weight.shape == (576,)
    with safe_open(str(probe_path()), framework="np") as file:
        assert file.metadata()["command"] == "python -m probinf.figures._train_word_probe"
