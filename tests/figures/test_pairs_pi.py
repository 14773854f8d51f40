"""The digits are those of pi, what is said of them is true, and known models measure as they must."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.figures import FIGURES
from probinf.figures import _pi_world as world
from probinf.figures._auroc import auroc
from probinf.figures._pi_runs import ANSWERED, BETAS, SCORES, Scores, curve, measure, questions
from probinf.figures.pairs_pi import Plan
from probinf.verifiers.pairs import ScoredResponses

FIGURE = FIGURES["pairs_pi"]
_FIRST_50 = "31415926535897932384626433832795028841971693993751"


def test_the_digits_are_those_of_pi():
    digits = "".join(map(str, world.pi_digits(world.DIGITS)))
    assert len(digits) == 2000 and digits.startswith(_FIRST_50)
    # The six nines that begin at the 762nd decimal, and the ten decimals that end with the thousandth.
    assert digits[762:768] == "999999" and digits[991:1001] == "2164201989"


def test_digits_do_not_depend_on_how_many_are_asked_for():
    assert world.pi_digits(400) == world.pi_digits(world.DIGITS)[:400]


def test_there_are_eighteen_true_statements_about_a_digit_and_87_in_all():
    truth = world.truth()
    np.testing.assert_allclose(truth.sum(axis=1), 1, atol=1e-12)
    assert truth.shape == (10, 87) and np.all((truth > 0).sum(axis=1) == 18)
    assert len(np.unique(world.statement_tokens(), axis=0)) == 87


def is_true(words, digit):
    """The truth of a statement, by arithmetic and spelling of its own."""
    name = "zero one two three four five six seven eight nine".split()[digit]
    fact = [word for word in words if word not in ("sure,", "it's", "that's")]
    denied = fact[0] == "not"
    match fact[1:] if denied else fact:
        case ["number", numeral]:
            said = int(numeral) == digit
        case ["spelled", *letters]:
            said = "".join(letters) == name
        case [count, "letters", "long"]:
            said = {"three": 3, "four": 4, "five": 5}[count] == len(name)
        case ["even"]:
            said = digit % 2 == 0
        case ["odd"]:
            said = digit % 2 == 1
        case ["below", "five"]:
            said = digit < 5
        case ["prime"]:
            said = digit > 1 and all(digit % k for k in range(2, digit))
        case other:
            raise AssertionError(other)
    return said != denied


def test_statements_that_may_be_said_of_a_digit_are_the_true_ones():
    table = np.array([[is_true(words, digit) for words in world.statements()] for digit in range(10)])
    np.testing.assert_array_equal(table, world.truth() > 0)


def test_drawn_pairs_are_independent_answers_to_the_question():
    prompt, said = jax.jit(jax.vmap(world.draw_pair))(jax.random.split(jax.random.key(0), 20_000))
    row = np.array([int("".join(world.VOCABULARY[t] for t in p[:4])) for p in np.unique(prompt, axis=0)]) - 1
    assert row.min() == 0 and row.max() < world.DIGITS
    place = np.unique(np.asarray(prompt), axis=0, return_inverse=True)[1]
    digit = np.asarray(world.pi_digits(world.DIGITS))[row][place]
    which = {tuple(tokens): i for i, tokens in enumerate(world.statement_tokens())}
    answers = np.array([[which[tuple(y)] for y in pair] for pair in np.asarray(said)])
    joint = np.zeros((87, 87))
    np.add.at(joint, (answers[:, 0], answers[:, 1]), 1 / len(answers))
    truth = world.truth()
    assert np.all(truth[digit[:, None], answers] > 0)
    weight = np.bincount(np.asarray(world.pi_digits(world.DIGITS)), world.asked(), 10)
    expected = np.einsum("d,di,dj->ij", weight, truth, truth)
    # Chi-squared of the cells with five or more expected; a false alarm once in 10,000.
    some = expected * len(answers) > 5
    statistic = np.sum((joint - expected)[some] ** 2 / expected[some]) * len(answers)
    assert statistic < some.sum() + 3.9 * np.sqrt(2 * some.sum())
    early = np.mean(row[place] < 20)
    assert early == pytest.approx(world.asked()[:20].sum(), abs=4 * 0.5 / np.sqrt(20_000))


def scores_of(log_first, log_repeat, rows):
    def one(first, repeat):
        found = ScoredResponses(first, repeat)
        return found.variance, found.confidence, found.clipped

    said = jax.vmap(one)(jnp.asarray(log_first), jnp.asarray(log_repeat))
    digits = np.asarray(world.pi_digits(world.DIGITS))[rows]
    return Scores(rows + 1, log_first, *(np.asarray(part, float) for part in said), truth=world.truth()[digits])


def test_a_model_that_knows_all_digits_always_answers_and_is_right():
    rows = questions(50)
    truth = world.truth()[np.asarray(world.pi_digits(world.DIGITS))[rows]]
    log_p = np.log(np.where(truth > 0, truth, 1e-30))
    found = measure(scores_of(log_p, log_p, rows), 0)
    assert found["squared_error"] < 1e-20 and found["hallucinated"] < 1e-20 and found["hallucination_bound"] == 0
    np.testing.assert_allclose(found["answered"], 1)


def test_a_model_that_knows_that_it_knows_no_digit_is_calibrated(x64):
    # Every place is asked about once in each of the digits' own frequencies.
    digits = np.asarray(world.pi_digits(world.DIGITS))
    rows = np.concatenate([np.flatnonzero(digits == d)[:10] for d in range(10)])
    truth = world.truth()
    joint = np.einsum("di,dj->ij", truth, truth) / 10
    p, repeat = truth.mean(axis=0), np.diagonal(joint) / truth.mean(axis=0)
    every = np.ones((len(rows), 1))
    found = measure(scores_of(every * np.log(p), every * np.log(repeat), rows), 0)
    assert found["variance"] == pytest.approx(found["squared_error"], abs=1e-12)
    assert found["ece_2"] < 1e-8 and found["negative"] == 0
    # A statement is true with one probability or not at all within the group: the bound is attained.
    assert found["hallucinated"] == pytest.approx(found["hallucination_bound"], abs=1e-12)
    for beta, share in zip(BETAS, found["filtered_hallucinated"], strict=True):
        # Each is doubted more than .4: nothing is answered, and nothing hallucinated of that.
        assert np.isnan(share) or share <= beta
    # A swap of the two scores has no doubt, and is seen.
    swapped = measure(scores_of(every * np.log(repeat), every * np.log(p), rows), 0)
    assert swapped["hallucinated"] > swapped["hallucination_bound"] + 0.3


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    score, wrong, chance = rng.integers(0, 5, 40) / 1.0, rng.uniform(size=40) < 0.4, rng.uniform(size=40)
    pairs = chance[wrong][:, None] * chance[~wrong][None, :]
    above = (score[wrong][:, None] > score[~wrong]) + 0.5 * (score[wrong][:, None] == score[~wrong])
    assert auroc(score, wrong, chance) == pytest.approx((pairs * above).sum() / pairs.sum())
    table = (part.reshape(8, 5) for part in (score, wrong, chance))
    assert auroc(*table) == pytest.approx(auroc(score, wrong, chance), abs=1e-15)
    for side in (np.zeros(40, bool), np.ones(40, bool), chance > 2):
        with pytest.raises(ValueError, match="nothing to tell apart"):
            auroc(score, side, chance)


def test_the_curve_gives_the_lowest_scores_first_and_draws_among_equal_ones():
    rng = np.random.default_rng(0)
    score, wrong, chance = rng.integers(0, 4, (20, 3)) / 4.0, rng.uniform(size=(20, 3)) < 0.4, rng.uniform(size=(20, 3))
    found = curve(score, wrong, chance)
    # Everything is given, and at first only of the lowest score.
    assert found[-1] == pytest.approx((chance * wrong).sum() / chance.sum())
    lowest = score == 0
    assert found[0] == pytest.approx((chance * wrong)[lowest].sum() / chance[lowest].sum())
    # By hand at the share of one half: all of the lower scores, and of the next as much as is wanted.
    at = ANSWERED.index(0.5)
    left, bad = 0.5 * chance.sum(), 0.0
    for value in range(4):
        own = score == value / 4
        part = min(1.0, left / chance[own].sum())
        bad, left = bad + part * (chance * wrong)[own].sum(), left - part * chance[own].sum()
    assert found[at] == pytest.approx(bad / (0.5 * chance.sum()))
    # Rows have no order, and one score for all tells nothing.
    for order in (np.argsort(wrong[:, 0]), np.argsort(~wrong[:, 0]), rng.permutation(20)):
        np.testing.assert_allclose(curve(score[order], wrong[order], chance[order]), found, atol=1e-12)
    np.testing.assert_allclose(curve(np.zeros_like(score), wrong, chance), found[-1], atol=1e-12)


def test_a_tiny_plan_runs_from_training_to_picture():
    dataset = FIGURE.data(jax.random.key(0), Plan(seeds=2, steps=3, batch=4, questions=8))
    some = {"filtered_hallucinated": "answered"} | {
        f"{name}_by_{by}": f"drawn_by_{by}" for name in ("doubt", "hallucinated") for by in ("bin", "place")
    }
    for name in map(str, dataset.data_vars):
        # A share is a number exactly where it is one of something.
        expected = dataset[some[name]] > 0 if name in some else True
        assert np.all(np.isfinite(dataset[name]) == expected), name
    assert dataset["auroc"].dims == ("seed", "score") and list(dataset["score"].values) == list(SCORES)
    # Weights of three steps say nothing of digits.
    assert float(dataset["hallucinated"].min()) > 0.3
    np.testing.assert_allclose(dataset["drawn_by_bin"].sum("bin"), 1)
    np.testing.assert_allclose(dataset["curve"].isel(share=-1).sel(score="doubt"), dataset["hallucinated"])
    findings = FIGURE.claims(dataset)
    assert len(findings) == 5 + 5 and {f.claim.id.split("/")[0] for f in findings} == {"pairs_pi"}
    FIGURE.plot(dataset)


def test_an_unknown_budget_is_refused():
    with pytest.raises(ValueError, match="budget must be one of"):
        FIGURE.data(jax.random.key(0), "large")
