"""Good arguments of public functions that build or run samplers, kernels and models, on models of a few states."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import probinf as pi
from probinf import arithmetic, kernels, lm, representations, samplers, transformers_dist, validity
from probinf.distributions import (
    GMM,
    Categorical,
    Emission,
    FiniteStateModel,
    HiddenMarkovModel,
    LinearGaussianModel,
    Step,
)
from probinf.transformers_dist import MixtureFilter, baselines, families, sequential
from probinf.verifiers import Answer as TextAnswer
from probinf.verifiers import JsonObject, WordCount, Words, pairs
from tests.packaging.nonsense import Case

KEY = jax.random.key(0)
PRIOR = pi.Named("prior", dist.Normal(0.0, 1.0))
COIN = Categorical(jnp.log(jnp.array([0.5, 0.5])), name="coin")
DRAW, COINS = pi.Draw(PRIOR), pi.Draw(COIN)
LIKELIHOOD = pi.Density("likelihood", lambda x: -0.5 * x**2)
TABLE = lm.TableLM(table=jnp.array([[0.0, 0.5, -0.5], [0.2, 0.0, 0.1], [0.0, 0.0, 0.0]]), stop_tokens=(2,))
DRAFT = lm.TableLM(table=jnp.zeros((3, 3)), stop_tokens=(2,))
WRITER = lm.Reasoning(TABLE, [0], lm.RewardFunction(lambda x: 0.5 + 0.0 * x.length), max_steps=2, tokens_per_step=1)
FINITE = FiniteStateModel(jnp.log(jnp.full(2, 0.5)), jnp.log(jnp.full((2, 2), 0.5)), jnp.log(jnp.full((2, 2), 0.5)))
ROWS = FINITE.rows(jnp.array([0, 1]))
LINEAR = LinearGaussianModel(*(jnp.zeros(1), *(jnp.ones((1, 1)) for _ in range(5))))
HMM = HiddenMarkovModel(jnp.log(jnp.full(2, 0.5)), jnp.log(jnp.full((2, 2), 0.5)), jnp.log(jnp.full((2, 2), 0.5)), 2)
LINE = GMM.of([0.5, 0.5], [[0.0], [1.0]], [[[1.0]], [[2.0]]])
VERDICT = samplers.NoisyVerdict(lambda x: x == 0, 0.9, 0.2)
COMPARISON = samplers.NoisyComparison(lambda x: x == 0, 0.8)
MODEL = lm.TabularModel(jnp.zeros((3, 2, 3, 2)), jnp.zeros((3, 3)))
QUESTION = lm.Question(0, 1, 1)
TRACED = representations.Traced(lambda u: representations.Run(u[0], jnp.zeros(1), jnp.ones(1, jnp.int32)), 1)

# A network may give NaN, so a table may hold it: tests/core/test_undefined.py runs such models.
INVALID_RUNS = ("TableLM", "TabularModel", "local_model")


def answer(x: Any) -> jax.Array:
    """What a text answers."""
    return x.generation.tokens[0]


def same(x: Any) -> Any:
    """What a value answers: itself."""
    return x


def hmc(target: Any) -> pi.Kernel:
    """A kernel for any temperature."""
    return kernels.hmc(target, 0.5, 2)


CORE = {
    "probinf.sample": Case(partial(pi.sample, DRAW), {"key": KEY, "n": 2}),
    "probinf.sample_chains": Case(
        partial(pi.sample_chains, hmc(pi.Measure() * PRIOR)),
        {"key": KEY, "initial": jnp.zeros(2), "draws": 2, "thin": 1},
    ),
    "probinf.Move": Case(pi.Move, {"kernel": hmc(pi.Measure() * PRIOR), "times": 1}),
    "probinf.Nested": Case(pi.Nested, {"inner": DRAW, "n": 2}),
    "probinf.Resample": Case(pi.Resample, {"ess": 0.5, "islands": 1}),
    "probinf.Reweight": Case(lambda log_g: pi.Reweight(same)(KEY, pi.spawn(3, log_g))[1], {"log_g": -jnp.arange(3.0)}),
    "probinf.Twist": Case(lambda log_g: pi.Twist(same)(KEY, pi.spawn(3, log_g))[1], {"log_g": -jnp.arange(3.0)}),
    "probinf.Scan": Case(pi.Scan, {"stage": DRAW, "length": 2}),
    "probinf.While": Case(pi.While, {"stage": DRAW, "condition": lambda cloud: cloud.log_z < 0, "max_steps": 2}),
    "probinf.Verified": Case(pi.Verified, {"inner": COINS, "verify": lambda x: x == 0, "budget": 2}),
    "probinf.Particles": Case(
        lambda log_weights: pi.diagnose(pi.Particles(jnp.zeros(25), log_weights, jnp.zeros(()), jnp.zeros(25))),
        {"log_weights": jnp.linspace(-1.0, 0.0, 25)},
        {"probability": ("ess",)},
    ),
}
KERNELS = {
    f"probinf.kernels.{name}": case
    for name, case in {
        "ConditionalSMC": Case(kernels.ConditionalSMC, {"sampler": COINS, "n": 2}),
        "conditional_smc": Case(kernels.conditional_smc, {"sampler": COINS, "n": 2}),
        "pimh": Case(kernels.pimh, {"sampler": COINS, "n": 2}),
        "ParticleIndependentMetropolisHastings": Case(
            kernels.ParticleIndependentMetropolisHastings, {"sampler": COINS, "n": 2}
        ),
        "pmmh": Case(
            kernels.pmmh, {"prior": PRIOR, "model": lambda x: COINS, "proposal": kernels.random_walk(0.5), "n": 2}
        ),
        "ParticleMarginalMetropolisHastings": Case(
            kernels.ParticleMarginalMetropolisHastings,
            {"prior": PRIOR, "model": lambda x: COINS, "proposal": kernels.random_walk(0.5), "n": 2},
        ),
        "FiniteProposal": Case(kernels.FiniteProposal, {"log_matrix": jnp.zeros((2, 2))}),
        "HamiltonianMonteCarlo": Case(
            kernels.HamiltonianMonteCarlo, {"target": PRIOR, "step_size": 0.5, "steps": 2, "inverse_mass": 0.5}
        ),
        "hmc": Case(kernels.hmc, {"target": PRIOR, "step_size": 0.5, "steps": 2, "inverse_mass": 0.5}),
        "IntegerSlice": Case(kernels.IntegerSlice, {"target": LIKELIHOOD, "width": 2, "max_windows": 2}),
        "LangevinProposal": Case(kernels.LangevinProposal, {"target": PRIOR, "step_size": 0.5}),
        "mala": Case(kernels.mala, {"target": PRIOR, "step_size": 0.5}),
        "Mixture": Case(
            kernels.Mixture, {"kernels": (hmc(pi.Measure() * PRIOR),) * 2, "log_weights": jnp.log(jnp.full(2, 0.5))}
        ),
        "RandomWalk": Case(kernels.RandomWalk, {"scale": 0.5}),
        "random_walk": Case(kernels.random_walk, {"scale": 0.5}),
        "Redraw": Case(kernels.Redraw, {"target": LIKELIHOOD, "values": jnp.arange(3)}),
        "ReversibleJump": Case(
            kernels.ReversibleJump,
            {"target": LIKELIHOOD, "dims": (1, 2), "log_moves": jnp.log(jnp.full((2, 2), 0.5)), "fill": PRIOR},
        ),
        "MetropolisHastings": Case(
            lambda scale: kernels.MetropolisHastings(PRIOR, kernels.RandomWalk(scale))(KEY, jnp.zeros(()))[0],
            {"scale": 0.5},
        ),
    }.items()
}
PROMPT = {"prompt_ids": [0], "max_new_tokens": 2}
SAMPLERS = {
    f"probinf.samplers.{name}": Case(getattr(samplers, name), arguments, keep=("rows", "xs"))
    for name, arguments in {
        "AStarSearch": {"writer": WRITER, "branching": 2},
        "AdaptiveTempering": {
            "stage": samplers.TemperStage(PRIOR, LIKELIHOOD, hmc, pi.Resample()),
            "ess": 0.5,
            "max_steps": 4,
        },
        "BestOfMajority": {"answer": answer, "log_reward": LIKELIHOOD, "alpha": 0.5, "k": 1},
        "Entropic": {"threshold": 0.5, "until": 0.5},
        "EntropicTwist": {"tempering": samplers.Entropic(), "max_steps": 2, "islands": 1},
        "FinalReward": {"aggregate": "last"},
        "FreeChoice": {"model": MODEL, "question": QUESTION, "max_steps": 2},
        "JudgedStep": {
            "pair": samplers.ModelPair(TABLE, DRAFT, drafts=True),
            "judge": WRITER.reward,
            "threshold": 0.5,
            "tokens_per_step": 1,
            "temperature": 1.0,
        },
        "Knockout": {"comparison": COMPARISON, "votes": 3},
        "League": {"comparison": COMPARISON, "rounds": 3},
        "LogOddsMajority": {"answer": same, "true_positive_rate": 0.9, "false_positive_rate": 0.2},
        "NoisyComparison": {"correct": same, "accuracy": 0.8},
        "NoisyVerdict": {"correct": same, "true_positive_rate": 0.9, "false_positive_rate": 0.2},
        "Odds": {"aggregate": "last", "temperature": 1.0},
        "SoftmaxReward": {"aggregate": "last", "temperature": 1.0},
        "Product": {"aggregate": "last"},
        "ParallelTempering": {
            "tempered": samplers.Tempered(PRIOR, LIKELIHOOD, jnp.array([0.0, 1.0])),
            "make_kernel": hmc,
            "moves": 1,
        },
        "ParticleGibbs": {
            "model": FINITE,
            "rows": ROWS,
            "scheme": pi.Resample().scheme,
            "n": 2,
            "ancestor_sampling": False,
        },
        "Prune": {"score": LIKELIHOOD, "width": 1, "island_size": 2},
        "ReasoningGibbs": {
            "writer": WRITER,
            "rule": samplers.Product(),
            "beta": 1.0,
            "resample": pi.Resample(),
            "n": 2,
            "ancestor_sampling": False,
            "keep_cloud": False,
        },
        "RouletteWhereConfident": {"threshold": 0.5, "stop_chance": 0.5},
        "StopWhereConfident": {"threshold": 0.5},
        "RowStage": {
            "prior": PRIOR,
            "potential": lambda row: LIKELIHOOD,
            "rows": jnp.zeros(2),
            "make_kernel": hmc,
            "resample": pi.Resample(),
            "moves": 1,
        },
        "ShortestMajority": {"answer": answer, "m": 2},
        "SpeculativeContinue": {"pair": samplers.ModelPair(TABLE, DRAFT), "tokens_per_step": 1},
        "StopTempered": {"lm": TABLE, "temperature": 1.0, "bias": 0.0},
        "TemperStage": {
            "prior": PRIOR,
            "likelihood": LIKELIHOOD,
            "make_kernel": hmc,
            "resample": pi.Resample(),
            "moves": 1,
        },
        "Tempered": {"prior": PRIOR, "likelihood": LIKELIHOOD, "betas": jnp.array([0.0, 1.0])},
        "Thin": {"every": 2},
        "Trail": {"kernel": hmc(pi.Measure() * PRIOR), "times": 1, "length": 2},
        "TunedHMC": {"steps": 2, "acceptance": 0.8, "max_moves": 4},
        "SwapNeighbors": {"tempered": samplers.Tempered(PRIOR, LIKELIHOOD, jnp.array([0.0, 1.0])), "first": 0},
        "WasteFreeStage": {
            "prior": PRIOR,
            "likelihood": LIKELIHOOD,
            "make_kernel": hmc,
            "resample": pi.Resample(),
            "length": 2,
        },
        "a_star_decoding": {"writer": WRITER, "branching": 2},
        "adaptive_tempered_smc": {
            "prior": PRIOR,
            "likelihood": LIKELIHOOD,
            "make_kernel": hmc,
            "ess": 0.5,
            "moves": 1,
            "max_steps": 4,
        },
        "auxiliary_filter": {
            "initial": PRIOR,
            "transition": lambda x: PRIOR,
            "potential": lambda x: LIKELIHOOD,
            "look_ahead": lambda x: LIKELIHOOD,
            "xs": jnp.zeros(2),
        },
        "bootstrap_filter": {
            "initial": PRIOR,
            "transition": lambda x: PRIOR,
            "potential": lambda x: LIKELIHOOD,
            "xs": jnp.zeros(2),
        },
        "guided_filter": {"model": LINEAR, "proposal": LINEAR, "rows": LINEAR.rows(jnp.zeros((2, 1)))},
        "backward_simulation": {"model": FINITE, "rows": ROWS, "draws": 2},
        "beam_search": {"writer": WRITER, "width": 2, "aggregate": "last"},
        "dvts": {"writer": WRITER, "width": 2, "aggregate": "last"},
        "best_of_majority": {"writer": WRITER, "answer": answer, "alpha": 0.5, "k": 1, "aggregate": "last"},
        "best_of_n": {"lm": TABLE, "accepted": lambda x: 0.0 * x.log_prob, "temperature": 1.0, **PROMPT},
        "conditional_smc": {"sampler": COINS, "n": 2},
        "confidence_roulette": {"writer": WRITER, "threshold": 0.5, "stop_chance": 0.5},
        "confidence_stop": {"writer": WRITER, "threshold": 0.5},
        "direct": {"model": MODEL, "question": QUESTION},
        "free": {"model": MODEL, "question": QUESTION, "max_steps": 2},
        "scaffolded": {"model": MODEL, "question": QUESTION, "scaffold": jnp.array([2])},
        "greedy": {"writer": WRITER},
        "importance": {"proposal": PRIOR, "target": pi.Measure() * PRIOR},
        "knockout": {"generator": COINS, "comparison": COMPARISON, "votes": 3},
        "league": {"generator": COINS, "comparison": COMPARISON, "rounds": 3},
        "lowest_perplexity": {"writer": WRITER},
        "parallel_tempering": {
            "prior": PRIOR,
            "likelihood": LIKELIHOOD,
            "make_kernel": hmc,
            "betas": jnp.array([0.0, 1.0]),
            "moves": 1,
        },
        "particle_filtering": {
            "lm": TABLE,
            "twist": lambda x: 0.0 * x.log_prob,
            "accepted": lambda x: 0.0 * x.log_prob,
            "tokens_per_step": 1,
            "temperature": 1.0,
            "ess": 0.5,
            "islands": 1,
            **PROMPT,
        },
        "particle_gibbs": {"model": FINITE, "rows": ROWS, "n": 2},
        "pimh": {"sampler": COINS, "n": 2},
        "pmmh": {"prior": PRIOR, "model": lambda x: COINS, "proposal": kernels.random_walk(0.5), "n": 2},
        "reasoning_filter": {"writer": WRITER, "ess": 0.5, "islands": 1},
        "reasoning_gibbs": {"writer": WRITER, "rule": samplers.Product(), "n": 2, "beta": 1.0, "ess": 0.5},
        "reasoning_tempering": {
            "writer": WRITER,
            "rule": samplers.Product(),
            "n": 2,
            "betas": jnp.array([0.5, 1.0]),
            "moves": 1,
        },
        "rejection": {"proposal": COIN, "accept": lambda x: x == 0, "budget": 2},
        "resample_move": {
            "prior": PRIOR,
            "potential": lambda row: LIKELIHOOD,
            "rows": jnp.zeros(2),
            "make_kernel": hmc,
            "moves": 1,
        },
        "retry_until_accepted": {"generator": COINS, "verdict": VERDICT, "budget": 2},
        "reward_best_of_n": {"writer": WRITER, "aggregate": "last"},
        "rpc": {"writer": WRITER, "answer": answer},
        "self_consistency": {"writer": WRITER, "answer": answer},
        "short_m_of_k": {"writer": WRITER, "answer": answer, "m": 2},
        "smc_squared": {
            "prior": PRIOR,
            "model": lambda x: FINITE,
            "rows": ROWS,
            "proposal": kernels.random_walk(0.5),
            "n": 2,
            "every": 1,
        },
        "solution_pool": {"writer": WRITER},
        "spec_reason": {
            "target": TABLE,
            "draft": DRAFT,
            "judge": WRITER.reward,
            "prompt_ids": [0],
            "max_steps": 2,
            "tokens_per_step": 1,
            "threshold": 0.5,
            "temperature": 1.0,
        },
        "speculative": {"target": TABLE, "draft": DRAFT, **PROMPT},
        "stop_tempered": {"model": samplers.StopTempered(TABLE), **PROMPT},
        "stop_tempering": {"model": samplers.StopTempered(TABLE), **PROMPT},
        "tempered_smc": {
            "prior": PRIOR,
            "likelihood": LIKELIHOOD,
            "make_kernel": hmc,
            "betas": jnp.array([0.5, 1.0]),
            "moves": 1,
        },
        "two_phase": {
            "lm": TABLE,
            "prompt_ids": [0],
            "end": lm.stop_table([b"a", b"b", b""], [b"b"]),
            "end_ids": [1],
            "thinking_tokens": 2,
            "answer_tokens": 1,
            "temperature": 1.0,
        },
        "verify_then_vote": {"generator": COINS, "answer": same, "verdict": VERDICT},
        "vote_then_verify": {"generator": COINS, "answer": same, "verdict": VERDICT},
        "weighted_vote": {"generator": COINS, "answer": same, "verdict": VERDICT},
        "waste_free_smc": {
            "prior": PRIOR,
            "likelihood": LIKELIHOOD,
            "make_kernel": hmc,
            "betas": jnp.array([0.5, 1.0]),
            "length": 2,
        },
        "weighted_best_of_n": {"writer": WRITER, "answer": answer, "aggregate": "last"},
    }.items()
}
LM = {
    f"probinf.lm.{name}": Case(
        getattr(lm, name), arguments, nan="a run of such a model ends as INVALID" if name in INVALID_RUNS else ""
    )
    for name, arguments in {
        "TableLM": {"table": jnp.zeros((2, 2)), "stop_tokens": (1,)},
        "TabularModel": {"log_values": jnp.zeros((2, 2, 2, 2)), "log_nexts": jnp.zeros((2, 2))},
        "Continue": {"lm": TABLE, "tokens_per_step": 1, "temperature": 1.0},
        "Prompt": {"lm": TABLE, **PROMPT},
        "Reasoning": {
            "lm": TABLE,
            "prompt_ids": [0],
            "reward": WRITER.reward,
            "max_steps": 2,
            "tokens_per_step": 1,
            "max_new_tokens": 2,
            "temperature": 1.0,
        },
        "ConfidenceProbe": {"lm": TABLE, "probe_ids": [0], "confident": [1], "doubtful": [0]},
        "StopTable": {"table": jnp.zeros((1, 3), jnp.int32)},
        "enumerate_sequences": {"lm": TABLE, "prompt_ids": jnp.array([0]), "max_new_tokens": 2},
        "local_model": {
            "log_conditionals": jnp.zeros((2, 2, 2, 2)),
            "log_marginals": jnp.zeros((2, 2)),
            "adjacent": ~jnp.eye(2, dtype=bool),
            "shrinkage": 0.5,
        },
        "opening": {"question": QUESTION, "slots": 2},
        "random_table_lm": {"key": KEY, "vocabulary_size": 3, "stop_tokens": (2,), "scale": 1.0},
        "read_prompt": {"lm": TABLE, "prompt_ids": [0]},
        "start_generation": {"prompt": lm.Prompt(TABLE, [0], 2), "n": 2},
        "stop_table": {"token_bytes": [b"a", b"b"], "strings": [b"b"]},
    }.items()
}
OTHERS = {
    "probinf.distributions.Emission": Case(Emission, {"hmm": HMM, "t": 1, "y": 0}),
    "probinf.distributions.Step": Case(Step, {"hmm": HMM, "t": 1}),
    "probinf.arithmetic.oracle": Case(arithmetic.oracle, {"error": 0.1}),
    "probinf.arithmetic.with_false_positives": Case(
        arithmetic.with_false_positives, {"reward": arithmetic.oracle(0.1), "rate": 0.1, "key": KEY, "confidence": 0.9}
    ),
    "probinf.lm.LlamaConfig": Case(
        lm.LlamaConfig,
        {
            "vocabulary_size": 3,
            "dimension": 4,
            "layers": 1,
            "heads": 2,
            "key_value_heads": 1,
            "head_dimension": 2,
            "hidden_dimension": 4,
            "context_length": 8,
            "rope_base": 10000.0,
            "norm_epsilon": 1e-5,
        },
    ),
    "probinf.verifiers.pairs.PairTraining": Case(
        pairs.PairTraining, {"steps": 2, "batch": 2, "learning_rate": 1e-3, "warm_up": 1, "weight_decay": 0.1}
    ),
    "probinf.transformers_dist.log_loss": Case(
        transformers_dist.log_loss, {"q": LINE, "points": jnp.zeros((2, 1)), "log_weights": jnp.log(jnp.full(2, 0.5))}
    ),
    "probinf.transformers_dist.NetworkConfig": Case(
        transformers_dist.NetworkConfig,
        {"width": 8, "layers": 1, "heads": 2, "feed_forward": 8, "embedding": 8, "components": 2},
    ),
    "probinf.transformers_dist.TrainingConfig": Case(
        transformers_dist.TrainingConfig,
        {"steps": 2, "batch": 2, "learning_rate": 1e-3, "warm_up": 1, "averaging": 0.9, "seed": 1},
    ),
    "probinf.transformers_dist.baselines.Riemann": Case(baselines.Riemann, {"borders": np.linspace(-1, 1, 4)[None]}),
    "probinf.transformers_dist.baselines.quantile_borders": Case(
        baselines.quantile_borders, {"points": np.linspace(0, 1, 9).reshape(9, 1), "bars": 2}
    ),
    "probinf.transformers_dist.families.observe": Case(families.observe, {"key": KEY, "x": jnp.ones(4)}),
    "probinf.transformers_dist.families.observe_returns": Case(
        families.observe_returns, {"key": KEY, "x": jnp.zeros(3)}
    ),
    "probinf.representations.Spawn": Case(representations.Spawn, {"n": 2}),
    "probinf.representations.Traced": Case(representations.Traced, {"program": TRACED.program, "length": 1}),
    "probinf.representations.UniformTrace": Case(representations.UniformTrace, {"length": 1}),
    "probinf.representations.Rejuvenate": Case(representations.Rejuvenate, {"traced": TRACED, "moves": 1}),
    "probinf.representations.trace_metropolis": Case(
        representations.trace_metropolis, {"traced": TRACED, "checkpoint": 0}
    ),
    "probinf.representations.trace_resample_move": Case(
        representations.trace_resample_move, {"traced": TRACED, "n": 2, "moves": 1}
    ),
    "probinf.representations.smc": Case(
        representations.smc, {"program": representations.suspend(DRAW, DRAW), "n": 2, "steps": 1}
    ),
    "probinf.verifiers.Answer": Case(TextAnswer, {"value": 3, "intermediate": [1], "strength": 1.5}),
    "probinf.verifiers.JsonObject": Case(JsonObject, {"keys": ["a"], "strength": 1.5}),
    "probinf.verifiers.WordCount": Case(WordCount, {"count": 3, "strength": 1.5}),
    "probinf.verifiers.Words": Case(Words, {"words": ["a"], "max_words": 3, "strength": 1.5}),
    "probinf.transformers_dist.families.LogInverseGamma": Case(
        families.LogInverseGamma, {"shape": 2.0, "scale": 1.0}, nan="judged by the view of its family"
    ),
    "probinf.transformers_dist.families.LogitBeta": Case(
        families.LogitBeta, {"a": 2.0, "b": 1.0}, nan="judged by the view of its family"
    ),
    "probinf.transformers_dist.families.draw_mixture": Case(
        families.draw_mixture, {"key": KEY, "dimension": 1, "components": 2, "least": 1, "spread": 1.0}
    ),
    "probinf.transformers_dist.families.quantum_probabilities": Case(
        families.quantum_probabilities, {"x": jnp.array(0.3)}, {"probability": ("",)}
    ),
    "probinf.transformers_dist.MixtureFilter": Case(
        MixtureFilter,
        {"update": lambda prior, data: prior, "transition": jnp.eye(1), "noise_scale": jnp.eye(1), "components": 2},
    ),
    "probinf.transformers_dist.sequential.one_mean_for_two_tasks": Case(
        sequential.one_mean_for_two_tasks,
        {"means": jnp.array([0.0, 1.0]), "counts": jnp.array([2.0, 3.0]), "noise": 1.0, "prior_scale": 2.0},
    ),
    "probinf.transformers_dist.sequential.prototypes": Case(
        sequential.prototypes, {"classes": 2, "features": 2, "noise": 0.1, "prior_variance": 1.0, "concentration": 0.8}
    ),
    "probinf.transformers_dist.sequential.refit_gap": Case(
        sequential.refit_gap, {"steps": 2, "separation": 2.0, "scale": 0.7, "noise": 3.0}
    ),
    "probinf.transformers_dist.sequential.HamiltonianChain": Case(
        sequential.HamiltonianChain,
        {"likelihood": lambda x: LIKELIHOOD, "components": 1, "chains": 1, "draws": 2, "steps": 2, "step_size": 0.1},
    ),
    "probinf.validity.check_case": Case(
        validity.check_case,
        {"case": validity.SamplerCase("coins", COINS, n=1), "key": KEY, "replicates": 0},
        keep=("key",),
        nan="what was not checked",
    ),
    "probinf.validity.check_proper_weighting": Case(validity.check_proper_weighting, {"sampler": COINS, "n": 1}),
}
SAMPLING = CORE | KERNELS | SAMPLERS | LM | OTHERS
