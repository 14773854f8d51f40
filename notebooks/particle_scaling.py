# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Inference-time scaling by particles
#
# A language model writes a solution step by step, a reward model scores each step, and particles that score well
# replace those that do not. This notebook shows what such a filter targets, exactly; runs it on a small model that
# reasons in steps; and compares it with its baselines. All data can be changed without compiling anew.
#
# The system is that of arXiv 2502.01618; what is wrong in its published algorithms is told in `docs/errata.md`.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import probinf as pi
from probinf.arithmetic import (
    draw_problem,
    for_problem,
    grade,
    load_arithmetic,
    render_problem,
    render_solution,
)
from probinf.lm import Reasoning, RewardFunction, TableLM, enumerate_sequences
from probinf.samplers import (
    FinalReward,
    Odds,
    Product,
    SoftmaxReward,
    ValueRatio,
    first_solution,
    reasoning_filter,
    reasoning_gibbs,
    select,
    solution_pool,
)
from probinf.validity import check_proper_weighting

# %% [markdown]
# ## 1. Three algorithms under one name
#
# A model of three tokens and a table of rewards are small enough to list every text. The paper states a target
# (the product of the rewards), prints an algorithm (a softmax of the rewards), and released a program (their odds). The
# check below runs each filter on every outcome of its own randomness, and finds that it means what its rule says; the
# three laws are not the same.


# %%
class TableReward(eqx.Module):
    """The reward of a text by its length and last token."""

    table: jax.Array

    def __call__(self, text):
        return self.table[text.length - 1, text.tokens[text.length - 1]]


toy = Reasoning(
    TableLM(table=jnp.array([[0.1, 0.4, -0.3], [0.3, 0.2, 0.5], [0.0, 0.0, 0.0]]), stop_tokens=(2,)),
    [0],
    RewardFunction(TableReward(jnp.array([[0.3, 0.8, 0.6], [0.9, 0.25, 0.7]]))),
    max_steps=2,
    tokens_per_step=1,
)
texts, log_p = enumerate_sequences(toy.continuation.lm, np.array([0]), 2)


def law(rule):
    """The law of the filter at two particles by every outcome, and the largest error against what it claims."""
    check = check_proper_weighting(reasoning_filter(toy, rule) >> pi.Map(lambda x: x.generation.tokens), n=2)
    mass = np.exp(check.found.log_mass)
    return check.found.values, mass / mass.sum(), check.error


for rule in (Product(), Odds(), SoftmaxReward(), ValueRatio()):
    values, mass, error = law(rule)
    print(f"{rule.name:14s} error {error:.0e}   law of the {len(values)} texts: {np.round(mass, 3)}")

# %% [markdown]
# The claim itself, as text, and how strong it is: the evidence estimate is unbiased at every N, averages under the
# normalized weights are not.

# %%
print(reasoning_filter(toy, Product()).meaning(pi.Measure()).guarantee)

# %% [markdown]
# ## 2. A model that reasons
#
# Chained arithmetic modulo 19, from left to right (`~` is b - a, `#` is 2a + b). The model has 0.78 million parameters;
# its training traces misread operations in consistent ways, so it is often wrong, and often wrong in the same way. The
# reward model was trained on Monte Carlo rollouts: its number after a step is how often solutions go on to be right.

# %%
models = load_arithmetic()
writer = models.writer("strong")
problem = draw_problem(jax.random.key(4), "evaluation")
print(render_problem(problem))

cloud = pi.sample(reasoning_filter(for_problem(writer, problem), Odds()), jax.random.key(0), n=8).particles
solutions, graded = cloud.values, grade(problem, cloud.values)
for i in range(3):
    rewards = jax.nn.sigmoid(solutions.log_odds[i, : solutions.steps[i]])
    right = "right" if graded.correct[i] else "wrong"
    text = render_solution(problem, solutions.generation.tokens[i], solutions.generation.length[i])
    print(text.replace("\n", ", "), "|", right)
    print("   rewards", np.round(np.asarray(rewards), 2))
print("tokens:", int(solutions.spent.tokens.sum()), " reward calls:", int(solutions.spent.reward_calls.sum()))

# %% [markdown]
# ## 3. Searches side by side
#
# One compiled program runs all problems of a search. Other problems, weights, rewards or temperatures of the same
# shapes do not compile anew.

# %%
compiled = []


@eqx.filter_jit
def solve(search, writer, keys, n):
    """How often the answer of the best-scored solution is right, and the answer with the most reward."""
    compiled.append(n)

    def one(key):
        problem_key, run_key, select_key = jax.random.split(key, 3)
        problem = draw_problem(problem_key, "evaluation")
        cloud, _ = search(for_problem(writer, problem))(run_key, pi.spawn(n))
        graded = grade(problem, cloud.values)
        log_r = FinalReward().log_density_lanes(cloud.values, n)
        chosen = select(select_key, graded.answers, log_r, cloud.log_weights)
        return jnp.stack([graded.correct[chosen.argmax], graded.correct[chosen.vote]])

    return jax.vmap(one)(keys).mean(axis=0)


def by_odds(writer):
    return reasoning_filter(writer, Odds())


keys = jax.random.split(jax.random.key(5), 40)
for name, search in {"samples": solution_pool, "particle filter": by_odds}.items():
    best, vote = solve(search, writer, keys, 16)
    print(f"{name:16s} argmax {best:.2f}   weighted vote {vote:.2f}")

# %% [markdown]
# Other problems and another temperature, at all steps, on the same compiled programs:

# %%
for temperature in (0.7, 1.3):
    best, vote = solve(by_odds, models.writer("strong", temperature=temperature), keys[::-1], 16)
    print(f"temperature {temperature}: argmax {best:.2f}   weighted vote {vote:.2f}")
assert compiled == [16, 16]

# %% [markdown]
# ## 4. Particle Gibbs
#
# A sweep keeps the filter's target exactly, with or without ancestor sampling (`probinf check` runs both on every
# outcome of a small model; the two released versions fail there). Each sweep starts from a solution and gives another.

# %%
local = for_problem(writer, problem)
kernel = reasoning_gibbs(local, Odds(), 8, ancestor_sampling=True)
solution = first_solution(jax.random.key(1), cloud)
sweep = eqx.filter_jit(lambda key, x: kernel(key, x))
for i in range(3):
    solution, info = sweep(jax.random.key(10 + i), solution)
    answer = int(grade(problem, jax.tree.map(lambda leaf: leaf[None], solution)).answers[0])
    print(f"sweep {i}: answer {answer}, renewed {bool(info.renewed)}, pasts exchanged {int(info.exchanged.sum())}")

# %% [markdown]
# ## 5. The scaling curve
#
# The figure of the README at a size for a notebook: 40 problems, one seed, so differences of a tenth mean nothing.
# `probinf figures particle_scaling` runs 200 problems and five seeds, with intervals, and with claims whose criteria
# were written before the run.

# %%
budgets = (4, 16)
curves = {name: [solve(search, writer, keys, n) for n in budgets] for name, search in
          {"particle filter, argmax": by_odds, "samples, argmax (best-of-n)": solution_pool}.items()}  # fmt: skip
figure, axes = plt.subplots(figsize=(5, 3.5))
for name, points in curves.items():
    axes.plot(budgets, [float(best) for best, _ in points], marker="o", label=name)
axes.set_xscale("log", base=2)
axes.set_xlabel("generations")
axes.set_ylabel("accuracy")
axes.legend()
figure.tight_layout()
