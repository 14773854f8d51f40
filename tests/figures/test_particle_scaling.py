"""The figures about scaling: a toy run, claims that can hold and fail, drawings, and the published numbers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from probinf.figures import (
    Plan,
    Verdict,
    particle_scaling_ablations_claims,
    particle_scaling_curve_claims,
    particle_scaling_curve_data,
    plot_particle_scaling_ablations,
    plot_particle_scaling_curve,
)
from probinf.figures import _scaling_published as published
from probinf.figures._cells import Cells
from probinf.figures._scaling_bench import Cell, run_cells
from probinf.figures._scaling_runs import Lanes, Problems, Search, final_clouds
from probinf.figures.particle_scaling_ablations import Gibbs, Tempering
from probinf.lm import Reasoning, RewardFunction, TableLM
from probinf.samplers import solution_pool

BUDGETS = (1, 2, 4, 8, 16, 32, 64, 128)
SELECTIONS = ("argmax", "vote", "majority", "draw", "any")


def half_right(text):
    """Text 1 looks good; whether it is right depends on the problem."""
    return jnp.where(text.tokens[0] == 1, 0.9, 0.2)


def toy():
    """One token a solution, 0 or 1 with chances .25 and .75; the reward prefers 1."""
    lm = TableLM(table=jnp.log(jnp.array([[0.25, 0.75], [0.25, 0.75]])), stop_tokens=(0, 1))
    writer = Reasoning(lm, [0], RewardFunction(half_right), max_steps=1, tokens_per_step=1)
    ids = jnp.tile(writer.prompt.prompt_ids, (3, 1))
    # The right answers of the three problems: 1, 1 and 0.
    return writer, Problems(ids, jnp.ones(3, jnp.int32), jnp.array([1, 1, 0]))


def first_token(text):
    return text.tokens[0]


def test_a_toy_run_gives_the_accuracies_that_its_law_implies(tmp_path):
    writer, problems = toy()
    plan = Plan(problems=3, seeds=40, budgets=(1, 8))
    cell = Cell("pool", Search(solution_pool, 64), 64, writer, {1: Lanes(0, 64, 1), 8: Lanes(0, 64, 8)})
    seen = []

    def run(store):
        return run_cells(jax.random.key(0), [cell], first_token, problems, plan, store=store)

    class Counting(Cells):
        def get(self, name, settings, compute):
            return super().get(name, settings, lambda: seen.append(name) or compute())

    dataset = run(Counting(tmp_path))
    mean = dataset["accuracy"].mean("seed")
    # One sample is right with chance .75 or .25; 64 x 40 samples, five standard errors.
    np.testing.assert_allclose(mean.sel(curve="pool/argmax", budget=1), [0.75, 0.75, 0.25], atol=0.043)
    # Of eight, the best-scored one is 1 but for a chance of .25^8, and so the share of ones with the larger reward.
    np.testing.assert_allclose(mean.sel(curve="pool/argmax", budget=8), [1.0, 1.0, 0.0], atol=0.01)
    np.testing.assert_allclose(mean.sel(curve="pool/any", budget=8), [1.0, 1.0, 1 - 0.75**8], atol=0.06)
    assert float(dataset["tokens"].sel(cell="pool", budget=8)) == 8.0
    assert float(dataset["reward_calls"].sel(cell="pool", budget=1)) == 1.0
    # A second run reads what the first has kept.
    xarray.testing.assert_equal(run(Counting(tmp_path)), dataset)
    assert len(seen) == 1


def test_sweeps_and_temperatures_lie_side_by_side_and_all_is_paid():
    writer, problems = toy()
    keys = jax.random.split(jax.random.key(1), 3)
    # Three clouds of two solutions of one token; then two starts, and two moves of two solutions at two temperatures.
    for search, lanes, paid in ((Gibbs(2, 3, False), 6, 6), (Tempering(2, 1), 4, 2 + 8)):
        clouds = final_clouds(search, writer, first_token, problems, keys)
        assert clouds.answers.shape == (3, lanes)
        assert clouds.tokens.tolist() == clouds.reward_calls.tolist() == [paid] * 3


def table(accuracy, *, problems=60, seeds=5):
    """A dataset whose mean accuracies are given by curve and budget, with noise over problems and seeds."""
    rng = np.random.default_rng(0)
    curves = sorted(accuracy)
    values = np.full((len(curves), len(BUDGETS), problems, seeds), np.nan)
    ease = rng.uniform(-0.02, 0.02, (problems, 1))
    for i, curve in enumerate(curves):
        for n, mean in accuracy[curve].items():
            values[i, BUDGETS.index(n)] = mean + ease + rng.normal(0, 0.002, (problems, seeds))
    cells = sorted({curve.rpartition("/")[0] for curve in curves})
    costs = np.ones((len(cells), len(BUDGETS)))
    return xarray.Dataset(
        {
            "accuracy": (("curve", "budget", "problem", "seed"), values),
            **{name: (("cell", "budget"), costs) for name in ("tokens", "reward_calls", "seconds")},
        },
        coords={"curve": curves, "cell": cells, "budget": list(BUDGETS)},
        attrs={"problems": problems, "seeds": seeds, "language_model": "A toy"},
    )


def like_the_paper(sign=1.0):
    """Curves on which each claim about the main figure holds, or with the other sign fails."""
    level = dict(zip(BUDGETS, (0.2, 0.31, 0.43, 0.5, 0.53, 0.57, 0.6, 0.605), strict=True))
    pf = {n: 0.5 + sign * (y - 0.5) for n, y in level.items()}
    pf[128] = pf[64] + (0.005 if sign > 0 else 0.05)
    shifted = lambda by: {n: y + sign * by for n, y in pf.items()}  # noqa: E731
    flawed = {8: 0.4, 64: 0.4 - sign * 0.05}
    return {
        "PF/argmax": pf,
        "PF/vote": shifted(0.02),
        "DVTS/argmax": shifted(-0.03),
        "DVTS/vote": shifted(-0.02),
        "pool/vote": {n: 0.5 - sign * 0.1 for n in BUDGETS},
        "PF, 30 % false/argmax": flawed,
        "PF, 30 % false/vote": {8: 0.4, 64: 0.4 + sign * 0.05},
        **{f"{search}/{s}": {64: 0.5} for search in ("PF product",) for s in SELECTIONS},
        **{f"DVTS/{s}": {64: 0.5} for s in ("majority", "draw")},
        **{f"PF/{s}": pf for s in ("majority", "draw")},
    }


@pytest.mark.parametrize(("sign", "verdict"), [(1.0, Verdict.HOLDS), (-1.0, Verdict.FAILS)])
def test_claims_about_the_curve_can_hold_and_fail(sign, verdict):
    findings = particle_scaling_curve_claims(table(like_the_paper(sign)))
    assert len(findings) == 9
    assert {f.claim.id: f.verdict for f in findings} == {f.claim.id: verdict for f in findings}


def variants(sign=1.0):
    at = lambda level: {n: level for n in (8, 16, 32)}  # noqa: E731
    return {
        "reference/argmax": at(0.5),
        "gibbs/4/argmax": at(0.5 - sign * 0.1),
        "gibbs, ancestors/4/argmax": at(0.5),
        "reward medium/argmax": at(0.5 - sign * 0.05),
        "reward weak/argmax": at(0.5 - sign * 0.1),
        "aggregate min/argmax": at(0.5 - sign * 0.05),
        "temperature 1.2/argmax": at(0.5 if sign > 0 else 0.3),
        "temperature 0.6/argmax": at(0.5),
        "chains/8/argmax": at(0.5 + sign * 0.03),
        "chains/4/argmax": at(0.5),
        "tempering/4/argmax": at(0.5 + sign * 0.05),
    }


@pytest.mark.parametrize(("sign", "verdict"), [(1.0, Verdict.HOLDS), (-1.0, Verdict.FAILS)])
def test_claims_about_the_ablations_can_hold_and_fail(sign, verdict):
    found = {f.claim.id.partition("/")[2]: f.verdict for f in particle_scaling_ablations_claims(table(variants(sign)))}
    assert len(found) == 8
    assert found == dict.fromkeys(found, verdict)


def test_our_own_claims_are_not_ascribed_to_the_paper():
    findings = particle_scaling_curve_claims(table(like_the_paper()))
    findings += particle_scaling_ablations_claims(table(variants()))
    ours = {f.claim.id.partition("/")[2] for f in findings if f.claim.paper == "ours"}
    assert ours == {"selection", "turnover-argmax", "turnover-vote", "S5-ancestors", "swaps"}
    assert not any(f.claim.published for f in findings if f.claim.paper == "ours")


def test_what_was_not_run_is_not_judged():
    assert particle_scaling_curve_claims(table({"PF/argmax": {1: 0.3}})) == []


def test_figures_can_be_drawn(tmp_path):
    for name, figure in {
        "curve": plot_particle_scaling_curve(table(like_the_paper())),
        "ablations": plot_particle_scaling_ablations(table(variants())),
    }.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=40)
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_an_unknown_budget_is_refused():
    with pytest.raises(ValueError, match="smoke, paper"):
        particle_scaling_curve_data(jax.random.key(0), "huge")


def test_published_curves_are_those_of_the_table(shared_data):
    stored = json.loads((shared_data / "particle_scaling_curves.json").read_text())
    assert tuple(stored["budgets"]) == published.BUDGETS
    for model, curves in published.FIGURE_2.items():
        assert {name: list(curve) for name, curve in curves.items()} == {
            name: curve for name, curve in stored["fig2"][model].items() if name != "refs"
        }
    for figure, prefix in ((4, "fig4"), (5, "fig5"), (6, "fig6"), (7, "fig7"), (8, "fig8")):
        (name,) = (key for key in stored if key.startswith(prefix))
        ours = getattr(published, f"FIGURE_{figure}")
        assert {k: list(v) for k, v in ours.items()} == {k: v for k, v in stored[name].items() if k != "budgets"}
