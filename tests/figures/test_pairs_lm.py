"""Pairs from a language model: exact truth, measures by brute force, and a probe that must learn what is there."""

import jax
import numpy as np
import pytest
import xarray

from probinf.figures import FIGURES
from probinf.figures._pairs_lm_questions import (
    LETTERS,
    Questions,
    letter_distributions,
    pack,
    questions_path,
    read_questions,
    single_token_words,
)
from probinf.figures._pairs_lm_runs import BETAS, fit_and_predict, measure
from probinf.figures.pairs_lm import WORLDS
from probinf.verifiers.pairs import PairTraining

FIGURE = FIGURES["pairs_lm"]


def test_truth_is_the_share_of_each_letter():
    p = letter_distributions(["noon", "cab"])
    assert p[0, LETTERS.index("n")] == 0.5 and p[0, LETTERS.index("o")] == 0.5 and p[0].sum() == 1
    assert np.flatnonzero(p[1]).tolist() == [0, 1, 2] and np.allclose(p[1, :3], 1 / 3)


def test_words_are_lower_case_tokens_after_a_space_and_never_of_the_prompt():
    table = [
        b"word",
        b" word",
        b" Word",
        b" w0rd",
        b" cat",
        b" bird",
        b" abcdefghi",
        b" plants",
        b" " + "größe".encode(),
    ]
    assert single_token_words(table, 9) == [(1, "word"), (7, "plants")]
    assert single_token_words(table, 9, skip=1) == [(7, "plants")]


def test_measures_of_a_class_that_is_all_or_nothing_are_exact():
    # Two questions that look alike: of one the first answer is right, of the other the second; p = 1/2, C = 1/2.
    truth = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = measure(np.full((2, 2), 0.5), np.full((2, 2), 0.5), np.log([[0.9, 0.1], [0.6, 0.4]]), truth)
    assert found["probe_wrong"] == found["probe_bound"] == 0.5
    assert found["model_wrong"] == pytest.approx((0.1 + 0.6) / 2)
    assert found["probe_auroc_doubt"] == 0.5
    # Of wrong (.1, .6) against right answers (.9, .4), all pairs but (.6, .4) are in order.
    assert found["model_auroc_choice"] == pytest.approx((0.1 * 1.3 + 0.6 * 0.9) / (0.7 * 1.3))
    assert found["probe_answered"] == [0.0, 0.0, 0.0, 1.0]
    # Of no answers none is a share.
    np.testing.assert_array_equal(found["probe_filtered_wrong"], [np.nan, np.nan, np.nan, 0.5])


def test_a_probe_learns_what_is_on_the_activation_and_doubts_what_is_not():
    rng = np.random.default_rng(0)
    # The sign of the feature tells which of two answers is right; where it is zero, nothing does.
    x = rng.choice([-6.0, 6.0, 0.0], (300, 1))
    side = np.where(x[:, 0] == 0, rng.integers(0, 2, 300), x[:, 0] > 0).astype(int)
    asked = np.array([[6.0], [0.0]])
    # Nearly certain answers: where all are, a second one tells nothing, and training refuses it.
    truth = 0.98 * np.eye(2)[side] + 0.01
    # Doubt is learned after the probabilities: after 300 steps C is still .7 to .8 where it should be a half.
    p, c = fit_and_predict(jax.random.key(0), x, truth, asked, PairTraining(steps=600, batch=64))
    assert p.shape == c.shape == (2, 2)
    assert p[0, 1] > 0.95 and c[0, 1] > 0.95
    assert (np.abs(p[1] - 0.5) < 0.1).all() and (np.abs(c[1] - 0.5) < 0.15).all()


def test_shipped_questions():
    questions = read_questions()
    assert len(questions.words) == 640 and len(set(questions.words)) == 640
    assert questions.hidden.shape == (640, 576) and questions.log_choice.shape == (640, 26)
    assert np.isfinite(questions.hidden).all()
    assert np.allclose(np.exp(questions.log_choice).sum(1), 1, atol=5e-3)
    # Half-known: the language model names a letter of the word more often than chance, and less than always.
    chance = (questions.truth > 0).mean()
    share = (np.exp(questions.log_choice) * (questions.truth > 0)).sum(1).mean()
    assert chance + 0.1 < share < 0.9
    assert questions_path().stat().st_size < 400_000


def test_packing_keeps_activations_to_a_254th_of_their_size(tmp_path):
    hidden = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.savez(tmp_path / "some.npz", **pack(list("abcde"), hidden, np.zeros((5, 26))))
    found = read_questions(tmp_path / "some.npz")
    assert found.words == tuple("abcde")
    assert (np.abs(found.hidden - hidden) <= np.abs(hidden).max(0) / 254 * 1.001).all()


def test_files_that_are_absent_or_damaged_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="_pairs_lm_extract makes it"):
        read_questions(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(questions_path().read_bytes()[:-100])
    with pytest.raises(ValueError, match="no readable file of questions"):
        read_questions(tmp_path / "broken.npz")


def test_an_unknown_budget_is_refused():
    with pytest.raises(ValueError, match="budget must be one of"):
        FIGURE.data(jax.random.key(0), "large", questions=Questions((), np.zeros((0, 1)), np.zeros((0, 26))))


def test_claims_and_picture_come_from_the_data_alone():
    rng = np.random.default_rng(0)
    by = (2, 5, 2)
    auroc_of = np.stack([np.full(by, 0.8), np.full(by, 0.7), np.full(by, 0.6)], -1) + rng.uniform(0, 0.02, (*by, 3))
    each = ("world", "fold", "answers")
    dataset = xarray.Dataset(
        {
            "wrong": (each, 0.4 + rng.uniform(0, 0.02, by)),
            "bound": (each, 0.3 + rng.uniform(0, 0.02, by)),
            "answered": ((*each, "beta"), rng.uniform(size=(*by, 4))),
            "filtered_wrong": ((*each, "beta"), rng.uniform(0.1, 0.2, (*by, 4))),
            "auroc": ((*each, "score"), auroc_of),
        },
        coords={"world": list(WORLDS), "answers": ["probe", "model"], "score": ["doubt", "surprise", "choice"],
                "beta": list(BETAS)},
        attrs={"words": 640},
    )  # fmt: skip
    verdicts = {finding.claim.id: finding.verdict.name for finding in FIGURE.claims(dataset)}
    assert len(verdicts) == 10
    assert verdicts["pairs_lm/capitals/probe/surprise"] == verdicts["pairs_lm/lower-case/probe/filter"] == "HOLDS"
    assert verdicts["pairs_lm/lower-case/probe/bound"] == "FAILS"
    FIGURE.plot(dataset)


@pytest.mark.model
def test_shipped_activations_are_those_of_the_model():
    from probinf.figures._pairs_lm_extract import WORDS, read_words
    from probinf.figures.lm_constraints import default_model

    model, shipped = default_model(), read_questions()
    words = single_token_words(model.tokenizer.token_bytes, WORDS)
    assert tuple(word for _, word in words) == shipped.words
    hidden, choice = read_words(model, [i for i, _ in words[:5]], lanes=5)
    steps = np.abs(shipped.hidden).max(0) / 127
    assert (np.abs(hidden - shipped.hidden[:5]) <= 0.51 * steps + 1e-3).all()
    assert np.abs(choice - shipped.log_choice[:5]).max() < 0.02
