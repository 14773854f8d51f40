"""The calculus against trees of draws, to 1e-12; its limits, gradients and errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.verifiers.imperfect import (
    Payoff,
    Population,
    apparent_coverage,
    break_even_cost,
    ceiling_slopes,
    compose_all,
    compose_at_least,
    conditional_accuracy,
    forced_accuracy,
    generalization_gap,
    macro_ppv,
    micro_ppv,
    posterior_after_rejections,
    ppv_at_attempt,
    utility,
    value_of_rates,
)
from tests.verifiers.imperfect.brute import tree

W, P, T, F = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.3, 0.05]), np.array([1.0, 0.8, 0.6]), np.array([0.0, 0.1, 0.3])
PAYOFF = (1.3, 0.7, 0.2, 0.05)


@eqx.filter_jit
def everything(population, attempts, payoff):
    """All functions of K from one on, in one program."""
    return {
        "outcomes": jnp.stack(population.outcomes(attempts)),
        "forced": forced_accuracy(population, attempts),
        "gap": generalization_gap(population, attempts),
        "apparent": apparent_coverage(population, attempts),
        "conditional": conditional_accuracy(population, attempts),
        "utility": utility(population, attempts, payoff),
        "utility before": utility(population, attempts - 1, payoff),
        "gain": population.gain(attempts, payoff),
        "break even": break_even_cost(population, attempts),
        "posterior": posterior_after_rejections(population, attempts),
        "ppv at": ppv_at_attempt(population, attempts),
        "micro": micro_ppv(population),
        "macro": macro_ppv(population),
        "ceiling": population.ceiling,
    }


@pytest.fixture(scope="module")
def found():
    """Every function at 1 to 4 attempts and at infinity."""
    with jax.enable_x64(True):
        got = everything(Population(P, T, F, W), jnp.asarray([1.0, 2, 3, 4, jnp.inf]), Payoff(*PAYOFF))
        return {name: np.asarray(value) for name, value in got.items()}


def test_outcomes_are_those_of_the_tree(found):
    for k in range(1, 5):
        correct, wrong, abstain, samples, forced = tree(W, P, T, F, k)
        assert found["outcomes"][:, k - 1] == pytest.approx([correct, wrong, abstain, samples], abs=1e-12)
        assert found["forced"][k - 1] == pytest.approx(forced, abs=1e-12)
        assert found["gap"][k - 1] == pytest.approx(wrong, abs=1e-12)
        assert found["apparent"][k - 1] == pytest.approx(correct + wrong, abs=1e-12)
        assert found["conditional"][k - 1] == pytest.approx(correct / (correct + wrong), abs=1e-12)
        assert found["break even"][k - 1] == pytest.approx(correct / wrong, rel=1e-12)
        benefit, cost, abstention, sample = PAYOFF
        worth = benefit * correct - cost * wrong - abstention * abstain - sample * samples
        assert found["utility"][k - 1] == pytest.approx(worth, abs=1e-12)
    assert found["gain"][:4] == pytest.approx((found["utility"] - found["utility before"])[:4], abs=1e-12)


def test_what_is_known_after_rejections_is_bayes_rule(found):
    q = P * T + (1 - P) * F
    for k in range(1, 5):
        posterior = W * (1 - q) ** k / (W @ (1 - q) ** k)
        assert found["posterior"][k - 1] == pytest.approx(posterior, abs=1e-12)
        before, now = tree(W, P, T, F, k - 1), tree(W, P, T, F, k)
        correct, wrong = now[0] - before[0], now[1] - before[1]
        assert found["ppv at"][k - 1] == pytest.approx(correct / (correct + wrong), abs=1e-12)


def test_conditional_accuracy_goes_from_the_micro_to_the_macro_ppv(found):
    q = P * T + (1 - P) * F
    assert found["micro"] == pytest.approx((W @ (P * T)) / (W @ q), abs=1e-12)
    assert found["conditional"][0] == pytest.approx(found["micro"], abs=1e-15)
    assert found["macro"] == pytest.approx(W @ (P * T / q), abs=1e-12)
    assert found["conditional"][-1] == pytest.approx(found["macro"], abs=1e-12)
    assert found["ceiling"] == pytest.approx(found["outcomes"][0, -1], abs=1e-12)


def test_rare_and_certain_acceptance_keep_their_digits(x64):
    q = jnp.asarray([1e-12, 0.0, 1.0])
    alike = Population(1.0, q, 0.0, jnp.asarray([1.0, 0.0, 0.0]))
    assert float(alike.outcomes(1000).samples) == pytest.approx(1000, rel=1e-8)
    assert float(alike.outcomes(1000).correct) == pytest.approx(1e-9, rel=1e-8)
    never = Population(0.0, 1.0, 0.0)
    assert [float(x) for x in never.outcomes(jnp.inf)] == [0, 0, 1, np.inf]
    assert float(utility(never, jnp.inf, Payoff(1, 1))) == 0
    assert float(utility(never, jnp.inf, Payoff(1, 1, 0, 0.1))) == -np.inf
    assert [float(x) for x in Population(1.0).outcomes(0)] == [0, 0, 1, 0]
    assert [float(x) for x in Population(1.0).outcomes(1)] == [1, 0, 0, 1]


def test_only_the_joint_chances_matter(x64):
    q = Population.from_joint(P * T, (1 - P) * F, W)
    whole = Population(P, T, F, W)
    for k in (0, 3, jnp.inf):
        for a, b in zip(q.outcomes(k), whole.outcomes(k), strict=True):
            assert float(a) == pytest.approx(float(b), abs=1e-15)


def test_false_positives_and_false_discoveries_are_two_rates():
    population = Population(jnp.asarray([0.1, 0.9]), 1.0, 0.2)
    assert population.false_positive_rate == pytest.approx([0.2, 0.2])
    assert population.false_discovery_rate == pytest.approx([0.18 / 0.28, 0.02 / 0.92], rel=1e-5)
    assert population.false_discovery_rate + population.ppv == pytest.approx([1, 1], rel=1e-6)


def test_the_value_of_a_better_verifier_is_its_closed_form(x64):
    population = Population(P, T, F, W)
    found, closed = value_of_rates(lambda p: p.ceiling, population), ceiling_slopes(population)
    for a, b in zip(found, closed, strict=True):
        assert np.asarray(a) == pytest.approx(np.asarray(b), abs=1e-14)
    # By hand for the second task, and by differences for a utility at finite K.
    q = 0.3 * 0.8 + 0.7 * 0.1
    assert float(closed.false_positive_rate[1]) == pytest.approx(-0.5 * 0.3 * 0.8 * 0.7 / q**2, rel=1e-12)
    payoff, h = Payoff(*PAYOFF), 1e-6
    slopes = value_of_rates(lambda p: utility(p, 3, payoff), population)
    up, down = (utility(Population(P, T - s * h * np.eye(3)[1], F, W), 3, payoff) for s in (-1, 1))
    assert float(slopes.true_positive_rate[1]) == pytest.approx(float(up - down) / (2 * h), rel=1e-8)
    up, down = (utility(Population(P, T, F + s * h * np.eye(3)[2], W), 3, payoff) for s in (1, -1))
    assert float(slopes.false_positive_rate[2]) == pytest.approx(float(up - down) / (2 * h), rel=1e-8)


def test_gradients_are_finite_at_the_ends(x64):
    population = Population(jnp.asarray([0.0, 1.0, 0.5]), 1.0, jnp.asarray([0.0, 0.0, 1.0]))
    for k in (0, 1, 5, jnp.inf):
        slopes = value_of_rates(lambda p, k=k: utility(p, k, Payoff(1, 1)), population)
        assert all(bool(jnp.all(jnp.isfinite(s))) for s in slopes)


def test_the_ppv_of_late_acceptance_goes_with_the_tasks_that_are_left(x64):
    """It falls where easier tasks have the higher PPV, and rises where they have the lower."""
    attempts = jnp.arange(1, 9)
    alike = np.asarray(ppv_at_attempt(Population([0.9, 0.3, 0.1], 0.9, 0.2), attempts))
    assert np.all(np.diff(alike) < 0)
    opposite = np.asarray(ppv_at_attempt(Population.from_joint([0.09, 0.1], [0.81, 0.0]), attempts))
    assert np.all(np.diff(opposite) > 0)
    # (.09 + .1) of 1, and (.009 + .09) of (.09 + .09).
    assert opposite[:2] == pytest.approx([0.19, 0.55], abs=1e-12)


def test_a_first_price_on_samples_costs_the_samples(x64):
    population = Population(P, T, F, W)
    slope = jax.grad(lambda cost: utility(population, 5, Payoff(1.0, 1.0, 0.0, cost)))(0.0)
    assert float(slope) == pytest.approx(-float(population.outcomes(5).samples), rel=1e-12)
    # Without a price samples without end cost nothing, and have no slope that is no number.
    endless = lambda cost: utility(Population([0.5, 0.0]), jnp.inf, Payoff(1.0, 1.0, 0.0, cost))  # noqa: E731
    assert float(endless(0.0)) == 0.5
    assert np.isfinite(jax.grad(endless)(0.0))


def test_ends_that_are_no_numbers_by_rule_alone_have_their_limits(x64):
    """After infinitely many rejections the least accepted tasks are left; NaN stands only where nothing is accepted."""
    weights = [0.25, 0.5, 0.25]
    for accuracy, expected in [([0.5, 0.2, 0.2], [0, 2 / 3, 1 / 3]), ([0.5, 0.0, 0.2], [0, 1, 0])]:
        population = Population(accuracy, weights=weights)
        found = posterior_after_rejections(population, jnp.asarray([1e6, jnp.inf]))
        assert np.allclose(found, [expected] * 2, atol=1e-12)
    assert float(Payoff(0.0, 0.0).threshold) == 0
    assert float(Payoff(1.0, 3.0).threshold) == 0.75
    nothing = Population(0.0)
    assert np.isnan(macro_ppv(nothing)) and np.isnan(break_even_cost(nothing, 3))


def test_checks_compose_as_independent_errors(x64):
    t, f = jnp.asarray([0.9, 0.8, 0.7]), jnp.asarray([0.3, 0.1, 0.2])
    u = 0.05
    both = compose_all(t, f, blind_spot=u)
    assert float(both.true_positive_rate) == pytest.approx(0.9 * 0.8 * 0.7, abs=1e-15)
    assert float(both.false_positive_rate) == pytest.approx(u + (1 - u) * 0.3 * 0.1 * 0.2, abs=1e-15)
    alike = compose_at_least(2, jnp.full(5, 0.8), jnp.full(5, 0.1))
    assert float(alike.true_positive_rate) == pytest.approx(stats.binom.sf(1, 5, 0.8), abs=1e-14)
    assert float(alike.false_positive_rate) == pytest.approx(stats.binom.sf(1, 5, 0.1), abs=1e-14)
    # log(t / f) a check, until the blind spot stops it.
    odds = [float(jnp.log(t / f)) for t, f in (compose_all(t[:1], f[:1]), compose_all(t[:2], f[:2]))]
    assert odds[1] - odds[0] == pytest.approx(np.log(8), abs=1e-12)
    many = compose_all(jnp.full(400, 1.0), jnp.full(400, 0.5), blind_spot=u)
    assert float(many.false_positive_rate) == pytest.approx(u, abs=1e-15)
    with pytest.raises(ValueError, match="asks for 1 to 3"):
        compose_at_least(4, t, f)
    with pytest.raises(ValueError, match="blind_spot is a probability"):
        compose_all(t, f, blind_spot=1.2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Population(1.2), "accuracy is a probability"),
        (lambda: Population(0.5, jnp.nan), "true_positive_rate is a probability"),
        (lambda: Population(0.5, 1.0, -0.1), "false_positive_rate is a probability"),
        (lambda: Population(0.5, weights=[0.5, 0.4]), "sum to one"),
        (lambda: Population([0.5, 0.5], [1.0, 1.0, 1.0]), "arrays \\[tasks\\] of one length"),
        (lambda: Population.from_joint(0.7, 0.6), "is a probability"),
        (lambda: Payoff(1, -1), "false_positive_cost must be"),
        (lambda: Payoff(1, 1, 0, -0.1), "sample_cost must be"),
        (lambda: Population(0.5).outcomes(-1), "at least 0"),
        (lambda: Population(0.5).outcomes(1.5), "whole number"),
        (lambda: conditional_accuracy(Population(0.5), 0), "at least 1"),
        (lambda: ppv_at_attempt(Population(0.5), 0), "at least 1"),
    ],
)
def test_bad_input_is_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_new_numbers_do_not_trace_again():
    traced = 0

    @eqx.filter_jit
    def run(population, k, payoff):
        nonlocal traced
        traced += 1
        return utility(population, k, payoff)

    for p, k, c in [(0.2, 3, 1.0), (0.6, 7, 2.0)]:
        run(Population(jnp.asarray([p, 0.5])), jnp.asarray(k), Payoff(1, c))
    assert traced == 1
