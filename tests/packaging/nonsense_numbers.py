"""Good arguments of public functions that work on numbers: estimates, laws, votes, bounds, checks, mixtures."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import probinf as pi
from probinf import distributions, resampling, samplers, validity
from probinf.lm import log_odds_of
from probinf.transformers_dist import families
from probinf.verifiers import deduction, imperfect, pairs, procedures
from probinf.verifiers.pairs import baselines
from tests.packaging.nonsense import Case

KEY = jax.random.key(0)
P, V = jnp.array([0.2, 0.5, 0.3]), jnp.array([0.05, 0.1, 0.02])
LOG_P = jnp.log(P)
ANSWERS, REWARDS = jnp.array([1, 1, 0, -1]), jnp.array([0.5, 0.25, 0.75, 0.5])
LENGTHS, BITS = jnp.array([3.0, 1.0, 2.0, 4.0]), jnp.array([True, False, True, True])
Y = jnp.array([0, 1, 1, 0, 1, 0])
SIX, SIX_V = jnp.array([0.1, 0.9, 0.6, 0.3, 0.7, 0.2]), jnp.array([0.1, 0.2, 0.1, 0.05, 0.0, 0.1])
FIRST, SECOND = jnp.array([1, 0, 1, 0, 1, 0]) == 1, jnp.array([1, 1, 1, 0, 0, 0]) == 1
CLOUD = pi.Particles(jnp.linspace(0.0, 1.0, 32), jnp.linspace(-1.0, 0.0, 32), jnp.zeros(()), jnp.zeros(32))
MIXTURE = distributions.GMM.of([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], [np.eye(2), np.eye(2)])
LINE = distributions.GMM.of([0.5, 0.5], [[0.0], [1.0]], [[[1.0]], [[2.0]]])
TASKS = imperfect.Population(jnp.array([0.2, 0.7]), 0.9, 0.2)
PAYOFF = imperfect.Payoff(1.0, 0.5, 0.1, 0.01)
COUNTS = imperfect.SampleCounts(jnp.array([2, 3, 1]), jnp.array([1, 0, 2]), jnp.array([1, 2, 3]))
SCORES = jnp.array([[0.1, 0.2], [0.3, 0.1], [0.2, 0.5], [0.4, 0.4]])
MATRIX = np.array([[0.5, 0.5], [0.25, 0.75]])
PREDICTION = pairs.Moments(P, jnp.diag(V))
URN = pairs.Dirichlet(P, jnp.array(0.2))
THEORY = (
    deduction.horn_theory(["a", "a -> b"])
    if False
    else deduction.HornTheory(jnp.array([[False, False], [True, False]]), jnp.array([0, 1]))
)
TRUTH = jnp.array([[1, 2], [3, 0], [2, 2]])


def _cases(module: Any, prefix: str, **cases: Case | tuple[Any, ...]) -> dict[str, Case]:
    made = {}
    for name, case in cases.items():
        if not isinstance(case, Case):
            arguments, *more = case
            case = Case(getattr(module, name), arguments, *more)
        made[f"{prefix}.{name}"] = case
    return made


CHANCE, LOG, POSITIVE = ({name: ("",)} for name in ("probability", "log-probability", "at least zero"))

CORE = _cases(
    pi,
    "probinf",
    Signed=({"value": jnp.array([0, 1]), "sign": jnp.array([1.0, -1.0])}, {}, ("value",)),
    choice=({"key": KEY, "logits": LOG_P},),
    flip=({"key": KEY, "log_p": LOG_P},),
    uniform_cells=({"key": KEY, "breaks": P}, CHANCE),
    take_lanes=({"values": P, "ancestors": jnp.array([0, 0, 2])}, {}, ("values",)),
    spawn=({"n": 3, "values": P}, {}, ("values",)),
    diagnose=Case(
        lambda log_weights: pi.diagnose(CLOUD.replace(log_weights=log_weights)),
        {"log_weights": CLOUD.log_weights},
        {"probability": ("ess",)},
    ),
)
RESAMPLING = _cases(
    resampling,
    "probinf.resampling",
    effective_sample_size=({"log_weights": LOG_P}, POSITIVE),
    ess_below=({"log_weights": LOG_P, "threshold": 0.5},),
    adaptive_ancestors=({"scheme": resampling.Multinomial(), "threshold": 0.5, "key": KEY, "log_weights": LOG_P},),
    **{
        name: Case(
            lambda key, log_weights, scheme=scheme: scheme(key, log_weights),
            {"key": KEY, "log_weights": LOG_P},
            POSITIVE,
        )
        for name, scheme in {
            "Killing": resampling.Killing(),
            "Multinomial": resampling.Multinomial(),
            "Residual": resampling.Residual(),
            "Settled": resampling.Settled(resampling.Multinomial()),
            "Stratified": resampling.Stratified(),
            "Systematic": resampling.Systematic(),
        }.items()
    },
)
VOTES = _cases(
    samplers,
    "probinf.samplers",
    majority_law=({"log_p": LOG_P, "n": 3}, CHANCE),
    majority_at_k=({"counts": jnp.array([3, 2, 1]), "k": 3}, CHANCE),
    accepted_vote=({"answers": ANSWERS, "accepted": BITS},),
    log_odds_vote=({"answers": ANSWERS, "accepted": BITS, "true_positive_rate": 0.9, "false_positive_rate": 0.2},),
    best_of_majority_lanes=({"answers": ANSWERS, "rewards": REWARDS, "k": 2, "alpha": 0.25},),
    perplexity_consistency=(
        {"answers": ANSWERS, "texts": jnp.array([0, 1, 2, 3]), "log_probs": -REWARDS, "kept": BITS},
        {"at least zero": ("score",), "probability": ("confidence", "credit")},
    ),
    reasoning_pruning=({"log_probs": -LENGTHS},),
    weibull_mixture=({"log_x": -LENGTHS}, {"at least zero": ("",), "probability": ("weight",)}),
    short_1_at_k=({"correct": BITS, "lengths": LENGTHS, "k": 2}, CHANCE),
    short_m_at_k=({"answers": ANSWERS, "lengths": LENGTHS, "right": 1, "m": 2, "k": 3}, CHANCE),
    short_cost=({"lengths": LENGTHS, "m": 2, "k": 3}, POSITIVE),
    short_m_lane=({"answers": ANSWERS, "lengths": LENGTHS, "m": 2}, POSITIVE),
    select=({"key": KEY, "answers": ANSWERS, "log_rewards": jnp.log(REWARDS), "log_weights": jnp.zeros(4)},),
    knockout_failure_bound=({"n": 4, "votes": 3, "p_right": 0.6, "accuracy": 0.7}, POSITIVE),
    league_failure_bound=({"n": 4, "rounds": 3, "p_strong": 0.6, "gap": 0.2}, POSITIVE),
    speculative_choice=({"key": KEY, "log_target": LOG_P, "log_draft": LOG_P[::-1]},),
)
DISTRIBUTIONS = _cases(
    distributions,
    "probinf.distributions",
    Categorical=({"log_probs": LOG_P},),
    GMM=({"log_weights": jnp.log(jnp.array([0.5, 0.5])), "means": jnp.zeros((2, 1)), "scales": jnp.ones((2, 1, 1))},),
    condition_components=({"gmm": MIXTURE, "rows": jnp.ones((2, 1, 2)), "values": jnp.ones((2, 1))},),
    condition_linear=({"gmm": MIXTURE, "matrix": jnp.ones((1, 2)), "y": jnp.ones(1), "noise_scale": jnp.ones((1, 1))},),
    condition_on_values=({"gmm": MIXTURE, "indices": (1,), "values": jnp.ones(1)},),
    marginal=({"gmm": MIXTURE, "indices": (1,)},),
    merge_components=({"gmm": MIXTURE, "components": 1},),
    moment_match=({"gmm": MIXTURE},),
    multiply=({"a": MIXTURE, "b": MIXTURE},),
    pad_components=({"gmm": MIXTURE, "components": 3},),
    push_affine=({"gmm": MIXTURE, "matrix": jnp.ones((1, 2)), "shift": jnp.ones(1), "noise_scale": jnp.ones((1, 1))},),
    split_components=({"gmm": MIXTURE, "times": 2, "spread": 0.5},),
    fit_gmm=(
        {
            "key": KEY,
            "samples": jnp.linspace(0.0, 1.0, 8).reshape(8, 1) ** 2,
            "components": 1,
            "log_weights": jnp.zeros(8),
            "steps": 2,
            "floor": 1e-3,
        },
    ),
    choose_components=(
        {
            "key": KEY,
            "samples": jnp.linspace(0.0, 1.0, 8).reshape(8, 1) ** 2,
            "candidates": (1, 2),
            "held_out": 0.25,
            "steps": 2,
            "floor": 1e-3,
        },
    ),
    kl_estimate=({"p": LINE, "q": LINE, "key": KEY, "n": 4},),
    kl_quadrature_1d=(
        {
            "log_p": jnp.full(5, -jnp.log(2.0)),
            "log_q": jnp.full(5, -jnp.log(2.0)),
            "grid": jnp.linspace(-1, 1, 5),
        },
        {"at least zero": ("",)},
    ),
    normal_columns=({"key": KEY, "n": 3, "dimension": 2},),
    next_hops=({"parents": jnp.array([-1, 0, 0])},),
    path_between=({"hop": distributions.next_hops(jnp.array([-1, 0, 0])), "start": jnp.array(1), "end": jnp.array(2)},),
    tree_distances=({"hop": distributions.next_hops(jnp.array([-1, 0, 0]))}, POSITIVE),
    random_tree_network=({"key": KEY, "size": 3, "least": 0.1},),
    TreeNetwork=({"parents": jnp.array([-1, 0]), "log_probs": jnp.log(jnp.full((2, 2, 2), 0.5))},),
    HiddenMarkovModel=(
        {
            "log_initial": LOG_P,
            "log_transition": jnp.log(jnp.full((3, 3), 1 / 3)),
            "log_emission": jnp.log(jnp.full((3, 2), 0.5)),
            "steps": 2,
        },
    ),
    FiniteDynamics=({"log_initial_table": LOG_P, "log_transition_table": jnp.log(jnp.full((3, 3), 1 / 3))},),
    FiniteStateModel=(
        {
            "log_initial_table": LOG_P,
            "log_transition_table": jnp.log(jnp.full((3, 3), 1 / 3)),
            "log_emission_table": jnp.log(jnp.full((3, 2), 0.5)),
        },
    ),
    LinearGaussianModel=(
        {
            "initial_mean": jnp.zeros(2),
            "initial_scale": jnp.eye(2),
            "transition_matrix": jnp.eye(2),
            "transition_scale": jnp.eye(2),
            "observation_matrix": jnp.ones((1, 2)),
            "observation_scale": jnp.ones((1, 1)),
            "transition_offset": jnp.zeros(2),
            "observation_offset": jnp.zeros(1),
        },
    ),
    StochasticVolatilityModel=({"mean": jnp.array(0.0), "persistence": jnp.array(0.9), "scale": jnp.array(0.3)},),
)
IMPERFECT = _cases(
    imperfect,
    "probinf.verifiers.imperfect",
    Population=(
        {
            "accuracy": jnp.array([0.2, 0.7]),
            "true_positive_rate": jnp.array([0.9, 0.8]),
            "false_positive_rate": jnp.array([0.2, 0.1]),
            "weights": jnp.array([0.5, 0.5]),
        },
    ),
    BetaPopulation=({"alpha": 1.0, "beta": 2.0, "true_positive_rate": 0.9, "false_positive_rate": 0.2},),
    DirichletCounts=({"concentration": jnp.ones(3), "counts": jnp.ones((2, 3))},),
    Payoff=({"benefit": 1.0, "false_positive_cost": 0.5, "abstention_cost": 0.1, "sample_cost": 0.1},),
    SampleCounts=({"correct": jnp.array([2, 3]), "wrong": jnp.array([1, 0]), "rejected": jnp.array([1, 2])},),
    PowerLaw=({"a": jnp.array(-1.0), "b": jnp.array(-0.5)},),
    acceptance_bound=({"trials": jnp.array([3, 5]), "level": 0.9}, CHANCE),
    apparent_coverage=({"population": TASKS, "attempts": jnp.array([1.0, 5.0])}, CHANCE),
    break_even_cost=({"population": TASKS, "attempts": jnp.array([1.0, 5.0])}, POSITIVE),
    ceiling_bounds=({"counts": COUNTS}, {"probability": ("lower", "upper")}),
    ceiling_interval=({"key": KEY, "counts": COUNTS, "level": 0.9, "draws": 20}, {"probability": ("lower", "upper")}),
    ceiling_slopes=({"population": TASKS},),
    clopper_pearson=(
        {"successes": jnp.array([1, 2]), "trials": jnp.array([3, 5]), "level": 0.9},
        {"probability": ("lower", "upper")},
    ),
    compose_all=(
        {"true_positive_rate": jnp.array([0.9, 0.8]), "false_positive_rate": jnp.array([0.2, 0.1]), "blind_spot": 0.05},
        CHANCE,
    ),
    compose_at_least=(
        {
            "least": 1,
            "true_positive_rate": jnp.array([0.9, 0.8]),
            "false_positive_rate": jnp.array([0.2, 0.1]),
            "blind_spot": 0.05,
        },
        CHANCE,
    ),
    conditional_accuracy=(
        {"population": TASKS, "attempts": jnp.array([1.0, 5.0])},
        CHANCE,
        (),
        "zero attempts answer nothing",
    ),
    credible_interval=({"draws": SCORES, "level": 0.9},),
    estimate_outcomes=({"counts": COUNTS, "attempts": jnp.array([1.0, 2.0])},),
    estimate_rates=(
        {"counts": COUNTS, "rejected_correct": jnp.array([0.0, 1.0, 1.0])},
        {},
        (),
        "tasks without a sample of the kind",
    ),
    estimate_utilities=({"counts": COUNTS, "attempts": jnp.array([1.0, 2.0]), "payoff": PAYOFF},),
    fit_beta_binomial=({"correct": jnp.array([1, 2, 4]), "total": jnp.array([5, 5, 5])},),
    fit_power_law=({"attempts": jnp.array([1.0, 2.0, 4.0]), "coverage": jnp.array([0.2, 0.3, 0.4])},),
    forced_accuracy=({"population": TASKS, "attempts": jnp.array([1.0, 5.0])}, CHANCE),
    generalization_gap=({"population": TASKS, "attempts": jnp.array([1.0, 5.0])},),
    macro_ppv=({"population": TASKS}, CHANCE),
    micro_ppv=({"population": TASKS}, CHANCE),
    optimal_attempts=({"population": TASKS, "payoff": PAYOFF}, POSITIVE),
    optimal_attempts_of_two_types=({"acceptance": jnp.array([0.5, 0.2]), "first": jnp.array([0.3, -0.1])}, POSITIVE),
    pass_all=({"correct": jnp.array([1, 2]), "total": jnp.array([5, 5]), "attempts": jnp.array([1, 2])}, CHANCE),
    pass_at=({"correct": jnp.array([1, 2]), "total": jnp.array([5, 5]), "attempts": jnp.array([1, 2])}, CHANCE),
    plausible_attempts=Case(
        lambda lower, upper: imperfect.plausible_attempts(imperfect.Interval(lower, upper)),
        {"lower": jnp.array([0.1, 0.2]), "upper": jnp.array([0.3, 0.4])},
    ),
    posterior_after_rejections=({"population": TASKS, "rejections": jnp.array([1.0, 5.0])}, CHANCE),
    ppv_at_attempt=({"population": TASKS, "attempt": jnp.array([1.0, 5.0])}, CHANCE),
    sample_concentrations=({"key": KEY, "counts": COUNTS, "draws": 4, "chains": 1},),
    select_attempts=({"key": KEY, "scores": SCORES, "folds": 2, "level": 0.9},),
    simultaneous_band=({"key": KEY, "scores": SCORES, "level": 0.9, "draws": 20},),
    task_interval=({"key": KEY, "scores": SCORES, "level": 0.9, "draws": 20, "bounds": (0.0, 1.0)},),
    utility=({"population": TASKS, "attempts": jnp.array([1.0, 5.0]), "payoff": PAYOFF},),
    value_of_rates=({"measure": lambda population: imperfect.utility(population, 2, PAYOFF), "population": TASKS},),
)
PAIRS = _cases(
    pairs,
    "probinf.verifiers.pairs",
    Moments=(
        {"given_probabilities": P, "given_covariance": jnp.diag(V)},
        {"at least zero": ("variance",), "probability": ("probabilities", "confidence")},
    ),
    Mixture=(
        {"log_weights": jnp.log(jnp.array([0.5, 0.5])), "log_components": jnp.stack([LOG_P, LOG_P[::-1]])},
        {"at least zero": ("variance",), "probability": ("probabilities", "confidence")},
    ),
    Dirichlet=(
        {"given_probabilities": P, "gate": jnp.array(0.2)},
        {"at least zero": ("variance",), "probability": ("probabilities", "confidence")},
    ),
    PairTable=({"joint": jnp.outer(P, P)}, {"probability": ("probabilities", "confidence")}),
    MarkovMixture=(
        {
            "log_weights": jnp.zeros(1),
            "log_start": jnp.log(jnp.array([[0.5, 0.5]])),
            "log_transitions": jnp.log(jnp.full((1, 1, 2, 2), 0.5)),
        },
        {"at least zero": ("variance",), "probability": ("probabilities", "confidence")},
    ),
    ScoredResponses=(
        {"log_first": LOG_P, "log_repeat": jnp.log(P + 0.1)},
        {"at least zero": ("variance",), "probability": ("confidence",)},
    ),
    Admitted=({"prediction": PREDICTION, "beta": 0.2},),
    selective_filter=({"prediction": PREDICTION, "beta": 0.2},),
    rejection_decoder=({"prediction": PREDICTION, "beta": 0.2, "budget": 2},),
    top_admitted=({"prediction": PREDICTION, "beta": 0.2},),
    respond=({"prediction": PREDICTION},),
    PairVerifier=({"predict": lambda x: PREDICTION, "answer": lambda x: x, "beta": 0.2},),
    check_responses=({"responses": jnp.array([[0, 1], [1, 0]]), "classes": 2},),
    covered=({"variance": SIX_V, "error": SIX, "beta": 0.2, "floor": 0.01},),
    error_ratio_bound=(
        {
            "probability": SIX,
            "variance": SIX_V,
            "first": FIRST,
            "second": SECOND,
            "floor": 0.05,
            "alpha": 0.1,
            "method": "betting",
        },
        POSITIVE,
    ),
    error_ratio_bounds=(
        {
            "probability": jnp.stack([SIX, 1 - SIX], 1),
            "variance": jnp.stack([SIX_V, SIX_V], 1),
            "first": Y,
            "second": 1 - Y,
            "floor": 0.05,
            "alpha": 0.1,
            "method": "hoeffding",
        },
        POSITIVE,
    ),
    expected_calibration_error=({"probability": SIX, "truth": FIRST, "bins": 2}, CHANCE),
    second_order_calibration_error=({"variance": SIX_V, "squared_error": SIX, "bins": 2}, POSITIVE),
    grouped_pairs=({"truth": jnp.stack([P, P]), "group": jnp.array([0, 1]), "groups": 2}, CHANCE),
    half_width=({"bound": 0.5, "variance": SIX_V, "beta": 0.2, "floor": 0.01}, POSITIVE),
    hallucination_bound=({"confidence": SIX, "answered": FIRST}, CHANCE),
    mean_upper_bound=({"x": SIX, "low": 0.0, "high": 1.0, "alpha": 0.1, "method": "bernstein"}, POSITIVE),
    squared_error_from_counts=({"probability": SIX, "count": Y, "annotators": 3},),
    squared_error_from_pairs=({"probability": SIX, "first": FIRST, "second": SECOND},),
    worst_decile=({"variance": SIX_V, "good": FIRST}, CHANCE),
    response_loss=({"prediction": URN, "responses": jnp.array([0, 2])}, POSITIVE),
) | _cases(
    baselines,
    "probinf.verifiers.pairs.baselines",
    evidential_loss=({"prediction": URN, "response": jnp.array(1), "weight": 0.5}, POSITIVE),
    spectral_bound=({"kernel": jnp.ones((2, 3))}, POSITIVE),
)
VALIDITY = _cases(
    validity,
    "probinf.validity",
    check_ancestors=({"log_weights": LOG_P, "ancestors": jnp.array([0, 1, 1])}, {}, (), "fields that were not checked"),
    check_ladder=(
        {"temperatures": jnp.array([0.5, 1.0]), "ess": jnp.array([0.5, 0.6]), "target": 0.5},
        {},
        (),
        "violations count NaN as one",
    ),
    check_weights=Case(
        lambda log_weights: validity.check_weights(CLOUD.replace(log_weights=log_weights)),
        {"log_weights": CLOUD.log_weights},
        nan="a violation counts NaN",
    ),
    log_wealth_of_categories=({"x": jnp.array([0, 1, 2]), "log_p": LOG_P},),
    log_wealth_of_mean=({"x": P, "mean": 0.4, "upper": 1.0},),
    log_wealth_of_ranks=({"ranks": jnp.array([0, 1, 2]), "outcomes": 4, "cells": 2},),
    samples_to_alarm=({"log_wealth": jnp.array([0.0, 3.0, 9.0]), "alpha": 0.01},),
    FiniteMeasure=(
        {"values": np.array([0, 1]), "log_mass": np.log([0.5, 0.5]), "sign": np.array([1.0, -1.0])},
        {},
        ("values",),
        "it is undefined, and compared as infinitely far",
    ),
    invariance_error=({"matrix": MATRIX, "log_pi": np.log([1 / 3, 2 / 3])}, POSITIVE),
    detailed_balance_error=({"matrix": MATRIX, "log_pi": np.log([1 / 3, 2 / 3])}, POSITIVE),
    row_sum_error=({"matrix": MATRIX}, POSITIVE),
    ergodicity_failure=({"matrix": MATRIX, "log_pi": np.log([1 / 3, 2 / 3])},),
    RankCheck=Case(
        lambda ranks, outcomes: validity.RankCheck(ranks, outcomes).p_value(),
        {"ranks": jnp.array([[0], [1], [2]]), "outcomes": 4},
        CHANCE,
    ),
)
OTHERS = (
    {"probinf.lm.log_odds_of": Case(log_odds_of, {"r": P}, nan="no probability has no log-odds")}
    | _cases(
        deduction,
        "probinf.verifiers.deduction",
        HornTheory=({"premises": jnp.array([[False, False], [True, False]]), "conclusions": jnp.array([0, 1])},),
        Honest=({"theory": THEORY, "atom": 1},),
        honest_answer=({"theory": THEORY},),
        honesty_report=(
            {"answers": jnp.array([0, 1, 2]), "honest": jnp.array([0, 1, 2])},
            {},
            (),
            "no questions of a kind",
        ),
        deduction_task=({"key": KEY, "answerable": True, "depth": 2, "distractors": 1},),
        horn_theory=({"clauses": ["a"]},),
    )
    | _cases(
        procedures,
        "probinf.verifiers.procedures",
        StepReward=({"truth": TRUTH, "right": 1.0, "wrong": 0.0},),
        prefix_match=({"told": TRUTH, "count": 2, "truth": TRUTH},),
        right_steps=({"tokens": TRUTH.reshape(-1), "length": jnp.array(4), "truth": TRUTH},),
        procedure_instance=({"key": KEY, "name": "rotate", "steps": 2, "width": 3, "symbols": 3},),
    )
)
FAMILIES = _cases(
    families,
    "probinf.transformers_dist.families",
    linear_gaussian=(
        {"dimension": 2, "components": 2, "observations": 4, "least": 1, "least_components": 1, "points": 8},
    ),
    squared=({"components": 2, "observations": 3},),
    gaussian_process=({"inputs": 2, "observations": 3},),
)
NUMBERS = CORE | RESAMPLING | VOTES | DISTRIBUTIONS | IMPERFECT | PAIRS | VALIDITY | OTHERS | FAMILIES
