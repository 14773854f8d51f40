"""The lake pays what it says, its truth is exact, and decoders that know how little is known stay safe on it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from probinf import spawn
from probinf.figures import FIGURES
from probinf.figures._pairs_lake_runs import BETAS, DECODERS, _outcomes, answers, exact, measure, moments
from probinf.figures._pairs_lake_world import (
    CONTEXTS,
    HIDDEN,
    LAKE,
    NO_HAZARD,
    PATHS,
    draw,
    inputs,
    moves_of,
    path_through,
    reset,
    rows_of,
    start,
    step,
    truth,
    walks,
)
from probinf.figures.pairs_lake import MODELS, Plan
from probinf.verifiers.pairs import MarkovMixture, rejection_decoder, respond, top_admitted

FIGURE = FIGURES["pairs_lake"]
CENTER, FIRST_OF_ROW = LAKE.index((2, 2)), LAKE.index((2, 1))
STRAIGHT, BORDER = path_through(2, 2, 2, 2), path_through(4, 4, 4, 4)
PLAN = Plan(seeds=2, steps=4, walkers=6)


@pytest.fixture(scope="module")
def tiny():
    return FIGURE.data(jax.random.key(0), PLAN)


@pytest.mark.parametrize(
    ("rows", "hazard", "expected"),
    [
        # Lake, center, lake, goal.
        ((2, 2, 2, 2), NO_HAZARD, -5 - 10 - 5 + 40),
        ((2, 2, 2, 2), CENTER, -5 - 100),
        ((2, 2, 2, 2), FIRST_OF_ROW, -100),
        # Two steps down, four right and one up on land, then the goal.
        ((4, 4, 4, 4), CENTER, -7 * 3 + 40),
        # Up, then the rim of the lake, then land above the goal.
        ((1, 1, 1, 1), CENTER, -3 - 3 * 5 - 3 + 40),
        # To the bottom, and up to the top through the last column of the lake, where it gives way at the third cell.
        ((4, 4, 4, 0), NO_HAZARD, -5 * 3 - 3 * 5 - 3 - 3 - 3 + 40),
        ((4, 4, 4, 0), LAKE.index((1, 3)), -5 * 3 - 2 * 5 - 100),
    ],
)
def test_paths_earn_what_one_counts_by_hand(rows, hazard, expected):
    path = path_through(*rows)
    assert rows_of(path) == rows
    assert walks().returns[hazard, path] == expected
    assert walks().falls[hazard, path] == (expected < -50)


def test_a_walk_ends_where_it_falls_or_arrives_and_the_board_has_an_edge():
    walk = jax.jit(step)
    state, reward, done = walk(start(jnp.asarray(NO_HAZARD)), jnp.asarray(0))
    assert (int(state.row), int(state.column), float(reward), bool(done)) == (2, 0, -3.0, False)
    for hazard, ends in ((NO_HAZARD, (2, 4)), (CENTER, (2, 2))):
        state = start(jnp.asarray(hazard))
        rewards = []
        for move in moves_of(STRAIGHT):
            state, reward, done = walk(state, jnp.asarray(move))
            rewards.append(float(reward))
        assert bool(done) and (int(state.row), int(state.column)) == ends
        assert rewards == ([-5, -10, -5, 40] if hazard == NO_HAZARD else [-5, -100, 0, 0])
        after, reward, done = walk(state, jnp.asarray(1))
        assert float(reward) == 0 and bool(done) and int(after.row) == int(state.row)


def test_lakes_and_contexts_come_as_often_as_said():
    states, contexts = jax.jit(jax.vmap(reset))(jax.random.split(jax.random.key(0), 20_000))
    hazard, context = np.asarray(states.hazard), np.asarray(contexts)
    # Whatever is told is true.
    assert np.all((context == HIDDEN) | (context == hazard + 1))
    counts = np.zeros((CONTEXTS, NO_HAZARD + 1))
    np.add.at(counts, (context, hazard), 1)
    expected = np.zeros_like(counts)
    np.add.at(expected, tuple(inputs().T), len(hazard) / len(inputs()))
    assert len(inputs()) == 90 and np.all((expected > 0) | (counts == 0))
    some = expected > 0
    # Chi-square of 20 cells: false alarm 1e-5, fixed seed.
    assert np.sum((counts - expected)[some] ** 2 / expected[some]) < 57.4


def test_the_expert_never_meets_the_hazard_and_prefers_as_boltzmann_says():
    p, (returns, falls) = truth(), walks()
    assert p.shape == (NO_HAZARD + 1, PATHS)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert np.all(p[falls] == 0) and np.all(p[~falls] > 0)
    assert np.all(falls.sum(axis=1)[:NO_HAZARD] > 100) and not falls[NO_HAZARD].any()
    assert np.log(p[NO_HAZARD, STRAIGHT] / p[NO_HAZARD, BORDER]) == pytest.approx((20 - 19) / 3, abs=1e-12)
    assert np.log(p[CENTER, path_through(1, 1, 1, 1)] / p[CENTER, BORDER]) == pytest.approx(0, abs=1e-12)
    assert returns[NO_HAZARD].argmax() == STRAIGHT


def test_experts_are_drawn_from_the_truth_and_two_of_them_know_the_same_lake():
    x, y = jax.jit(jax.vmap(lambda key: draw(key, 2)))(jax.random.split(jax.random.key(1), 20_000))
    context, y = np.asarray(x).argmax(axis=1), np.asarray(y)
    told = context != HIDDEN
    assert not walks().falls[context[told] - 1, y[told].T].any()
    _, falls = walks()
    # Of pairs of which nothing is told, none needs more hazards than one, so some lake admits both.
    assert np.all((~falls[:, y[:, 0]] & ~falls[:, y[:, 1]]).any(axis=0))
    hidden = y[~told]
    mean = truth()[inputs()[inputs()[:, 0] == HIDDEN, 1]]
    for path in (STRAIGHT, BORDER):
        one, both = mean[:, path].mean(), (mean[:, path] ** 2).mean()
        for share, found in ((one, hidden[:, 0] == path), (both, (hidden == path).all(axis=1))):
            # 4.5 standard errors: false alarm 7e-6 each, fixed seed.
            assert abs(found.mean() - share) < 4.5 * np.sqrt(share * (1 - share) / len(hidden))


def test_the_bayes_answer_is_second_order_calibrated_and_keeps_its_promises(x64):
    model = exact()
    p, v, c = moments(model)
    context, hazard = inputs().T
    target = truth()[hazard]
    for one in range(CONTEXTS):
        group = target[context == one]
        # The theorem of equivalence: the covariance of pairs is that of the truth within the group.
        pairs = np.einsum("gi,gj->ij", group, group) / len(group)
        covariance = np.asarray(jax.tree.map(lambda leaf, i=one: leaf[i], model).covariance)
        np.testing.assert_allclose(covariance, pairs - np.outer(p[one], p[one]), atol=1e-10)
        np.testing.assert_allclose(p[one], group.mean(axis=0), atol=1e-10)
        np.testing.assert_allclose(v[one], group.var(axis=0), atol=1e-10)
    # Self-cheating: variance is squared error for every response that looks at the context alone.
    squared = (p[context] - target) ** 2
    for response in (STRAIGHT, BORDER):
        assert squared[:, response].mean() == pytest.approx(v[context, response].mean(), abs=1e-10)
        for one in range(CONTEXTS):
            rows = context == one
            assert squared[rows, response].mean() == pytest.approx(v[one, response], abs=1e-10)
            for beta in (0.05, 0.25, 0.5):
                missed = (squared[rows, response] > v[one, response] / beta + 1e-20).mean()
                assert missed <= beta + 1e-10
    # Hallucination: whatever is drawn, and whatever a decoder gives, within each context.
    impossible = target == 0
    assert np.all(impossible == walks().falls[hazard])
    for one in range(CONTEXTS):
        rows = context == one
        assert np.all(impossible[rows].mean(axis=0) <= 1 - c[one] + 1e-10)
    assert 1 - c[HIDDEN, STRAIGHT] == pytest.approx(0.1953936, abs=1e-6)
    assert 1 - c[HIDDEN, BORDER] == pytest.approx(0.0340653, abs=1e-6)
    assert v[HIDDEN].sum() == pytest.approx(0.00512206, abs=1e-7)


def test_exact_decoders_are_as_safe_as_promised_and_search_is_the_best_there_is(x64):
    found = measure(exact())
    unsafe, reward = np.array(found["unsafe_hidden"]), np.array(found["reward"])
    rejection, search = DECODERS.index("rejection"), DECODERS.index("search")
    # A share of no answers is no number, and above nothing.
    assert not np.any(unsafe[[rejection, search]] > np.array(BETAS)[None] + 1e-10)
    # A search at .2 takes the straight path, which one lake in six forbids.
    assert unsafe[search, BETAS.index(0.2)] == pytest.approx(1 / 6, abs=1e-10)
    assert found["variance"] == pytest.approx(found["squared_error"], abs=1e-10)
    assert found["ece_2"] < 1e-10 and found["distance"] < 1e-10
    context, hazard = inputs().T
    best = sum(walks().returns[hazard[context == one]].sum(axis=0).max() for one in range(CONTEXTS)) / len(inputs())
    assert reward[search, BETAS.index(0.05)] == pytest.approx(best, abs=1e-10) == pytest.approx(19.5, abs=1e-10)
    assert reward[DECODERS.index("most probable"), 0] == pytest.approx(11.45556, abs=1e-4)


def test_laws_of_decoders_are_those_of_the_samplers():
    model = exact()
    p, _, c = moments(model)
    one = jax.tree.map(lambda leaf: leaf[HIDDEN], model)
    count, beta = 4000, 0.1
    samplers = {"sample": respond(one), "rejection": rejection_decoder(one, beta), "search": top_admitted(one, beta)}
    for name, sampler in samplers.items():
        law, chance = answers(name, p, 1 - c <= beta)
        cloud, _ = eqx.filter_jit(sampler)(jax.random.key(0), spawn(count))
        answered = np.isfinite(np.asarray(cloud.log_weights))
        # Five standard errors, and a count: false alarm below 1e-4 in all, fixed seed.
        assert (
            abs(answered.mean() - chance[HIDDEN]) <= 5 * np.sqrt(chance[HIDDEN] * (1 - chance[HIDDEN]) / count) + 1e-6
        )
        counts = np.bincount(np.asarray(cloud.values)[answered], minlength=PATHS)
        expected = law[HIDDEN] * counts.sum()
        assert np.all(counts[expected == 0] == 0)
        assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected * (1 - law[HIDDEN])) + 3)


def test_a_network_of_chains_can_say_the_bayes_answer(x64):
    """The truth of each lake is a Markov chain in the rows, so the head holds the exact mixture."""
    p, v, _ = moments(exact())
    table = truth().reshape(-1, 5, 5, 5, 5)
    n = len(table)
    start_rows = table.sum(axis=(2, 3, 4))
    steps = [table.sum(axis=(3, 4)), table.sum(axis=(1, 4)), table.sum(axis=(1, 2))]
    given = [pair / np.maximum(pair.sum(axis=2, keepdims=True), 1e-300) for pair in steps]
    given = [np.where(pair.sum(axis=2, keepdims=True) > 0, pair, 0.2) for pair in given]
    weights = np.bincount(inputs()[inputs()[:, 0] == HIDDEN, 1], minlength=n) / 36
    with np.errstate(divide="ignore"):
        model = MarkovMixture(*(np.log(part) for part in (weights, start_rows, np.stack(given, axis=1))))
    assert float(model.probabilities.sum()) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(model.probabilities, p[HIDDEN], atol=1e-12)
    np.testing.assert_allclose(model.variance, v[HIDDEN], atol=1e-12)


def test_a_tiny_plan_gives_claims_and_a_picture(tiny):
    assert tiny.sizes == {"model": 3, "seed": 2, "decoder": 4, "beta": 5, "shown": 3, "walker": 6}
    for name, values in tiny.data_vars.items():
        # Shares of answers are numbers exactly where there are answers.
        if name not in ("unsafe", "unsafe_hidden", "reward_answered"):
            assert not np.isnan(values).any(), name
    np.testing.assert_array_equal(np.isnan(tiny["unsafe"]), tiny["answered"] == 0)
    oracle = tiny.sel(model="exact")
    assert np.ptp(oracle["reward"].values, axis=0).max() == 0 and float(oracle["distance"].max()) < 1e-5
    assert np.all(tiny["path"].sel(shown="sample") >= 0)
    # Four steps teach next to nothing, least of all to agree with one another.
    assert float(tiny["distance"].sel(model="pairs").min()) > 0.3
    assert np.ptp(tiny["distance"].sel(model="pairs").values) > 0
    found = {finding.claim.id: finding.verdict.name for finding in FIGURE.claims(tiny)}
    assert len(found) == 14 and found["pairs_lake/rejection/answered"] != "HOLDS"
    FIGURE.plot(tiny)


def test_claims_hold_for_a_good_model_and_fail_for_a_bad_one():
    good, bad = claims_of(unsafe=0.001, doubt=0.19), claims_of(unsafe=0.15, doubt=0.01)
    assert set(good.values()) == {"HOLDS"}
    # Those on the ensemble look at the same numbers in both.
    assert {name for name, verdict in bad.items() if verdict == "FAILS"} == {
        name for name in bad if not name.startswith("pairs_lake/ensemble/") and not name.endswith("-0.2")
    }
    # One bad seed among five is seen.
    last = np.where(np.arange(5) == 4, 0.15, 0.001)[:, None, None]
    worst = claims_of(unsafe=last, doubt=0.19)
    assert [worst[f"pairs_lake/pairs/hallucinated-{beta}"] for beta in (0.05, 0.1, 0.2)] == ["FAILS", "FAILS", "HOLDS"]


def test_silence_decides_nothing():
    p = np.full((CONTEXTS, PATHS), 1 / PATHS)
    silent = _outcomes(*answers("rejection", p, np.zeros_like(p, dtype=bool)))
    assert silent["answered"] == silent["reward"] == 0
    assert all(np.isnan(silent[name]) for name in ("unsafe", "unsafe_hidden", "reward_answered"))
    found = claims_of(unsafe=np.where(np.arange(5) == 4, np.nan, 0.001)[:, None, None], doubt=0.19)
    assert {name for name, verdict in found.items() if verdict == "UNDECIDED"} == {
        f"pairs_lake/{name}"
        for name in ("rejection/unsafe", "search/unsafe", *(f"pairs/hallucinated-{b}" for b in (0.05, 0.1, 0.2)))
    }


def claims_of(unsafe, doubt):
    """Verdicts on made-up measures: decoders of pairs as unsafe as said, imitation at .06, an ensemble at .05."""
    rng = np.random.default_rng(0)
    shape = (len(MODELS), 5, len(DECODERS), len(BETAS))
    table = lambda value: np.full(shape, value) + rng.uniform(0, 1e-4, shape)  # noqa: E731
    measures = {name: table(0.06) for name in ("unsafe", "unsafe_hidden")} | {"answered": table(0.9)}
    measures["reward"] = table(8.0)
    for name in ("unsafe", "unsafe_hidden"):
        measures[name][0, :, 2:] = table(unsafe)[0, :, 2:]
    measures["reward"][0, :, 2:] += 8 if doubt > 0.1 else -8
    measures["answered"] = measures["answered"] if doubt > 0.1 else measures["answered"] / 2
    flat = {"straight_doubt": [doubt, 0.0, 0.195], "hidden_variance": [doubt, 0.0, 0.2]}
    flat |= {"variance": [doubt, 1e-3, 0.2], "squared_error": [0.2, 0.2, 0.2]}
    rows = {name: np.array(values)[:, None] + rng.uniform(0, 1e-4, (3, 5)) for name, values in flat.items()}
    dataset = xarray.Dataset(
        {name: (("model", "seed", "decoder", "beta"), values) for name, values in measures.items()}
        | {name: (("model", "seed"), values) for name, values in rows.items()},
        coords={"model": list(MODELS), "decoder": list(DECODERS), "beta": list(BETAS)},
    )
    return {finding.claim.id: finding.verdict.name for finding in FIGURE.claims(dataset)}


def test_an_unknown_budget_is_refused():
    with pytest.raises(ValueError, match="budget must be one of"):
        FIGURE.data(jax.random.key(0), "large")
