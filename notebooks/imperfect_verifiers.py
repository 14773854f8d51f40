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
# # What retrying against a fallible verifier can buy
#
# Draw until a verifier accepts: with enough attempts something is accepted on nearly every task. Whether it is right is
# another matter. This notebook computes what comes of it, finds where to stop, estimates all of that from counts, holds
# a sampler to the formulas, and runs real programs against real tests in a sandbox.
#
# The system is that of arXiv 2411.17501; `docs/imperfect_verifiers.md` tells which function answers which question.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from probinf import Draw, sample
from probinf.distributions import Categorical
from probinf.samplers import NoisyVerdict, retry_until_accepted
from probinf.validity import check_proper_weighting
from probinf.verifiers.imperfect import (
    Payoff,
    Population,
    SampleCounts,
    apparent_coverage,
    ceiling_interval,
    ceiling_slopes,
    estimate_outcomes,
    estimate_utilities,
    micro_ppv,
    optimal_attempts,
    select_attempts,
    simultaneous_band,
)
from probinf.verifiers.programs import UnitTests, humaneval_tasks

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## 1. Two kinds of task
#
# Easy tasks, of which the model solves 87 % at the first try, and hard ones (14 %). The verifier accepts all that is
# right, and a quarter of what is wrong: a *false positive rate* of .25. Among what it accepts the share of wrong
# answers, the *false discovery rate*, is another number, and larger where tasks are hard.

# %%
tasks = Population(np.array([0.87, 0.14]), 1.0, 0.25, np.array([0.56, 0.44]))
attempts = np.arange(1, 31)
outcomes = tasks.outcomes(attempts)
print(f"false discovery rates {np.round(tasks.false_discovery_rate, 3)}")
print(f"accepted after 30 attempts: {apparent_coverage(tasks, 30):.3f}, right: {outcomes.correct[-1]:.3f}")
print(f"the ceiling, with unlimited attempts: {tasks.ceiling:.3f}")

figure, axes = plt.subplots(figsize=(5, 3))
axes.plot(attempts, outcomes.correct + outcomes.wrong, label="accepted")
axes.plot(attempts, outcomes.correct, label="accepted and right")
axes.axhline(float(tasks.ceiling), color="gray", linestyle=":")
axes.set(xlabel="attempts at most", ylabel="share of tasks", ylim=(0, 1.02))
_ = axes.legend(frameon=False)

# %% [markdown]
# ## 2. When to stop, and what a better verifier is worth
#
# If a wrong answer costs as much as a right one brings, few attempts are best; if it costs little, each attempt pays
# and the best number has no end. The ceiling has slopes in the verifier's rates: where to improve it first.

# %%
for cost in (0.5, 1.0, 2.0, 4.0):
    print(f"cost {cost}: best number of attempts {optimal_attempts(tasks, Payoff(1.0, cost)):g}")
print(f"at one attempt P(correct | accepted) = {micro_ppv(tasks):.3f}")
print(f"slopes of the ceiling: {ceiling_slopes(tasks)}")

# %% [markdown]
# ## 3. From counts
#
# Of each task 50 samples were judged, and their truth is known. What comes of K attempts is estimated without bias (no
# permutations are drawn), with a band that holds the whole curve, and the chosen K is judged on tasks it was not chosen
# on.

# %%
random = np.random.default_rng(0)
p = random.beta(0.5, 1.0, 120)
draws = random.multinomial(50, np.stack([p, (1 - p) * 0.1, (1 - p) * 0.9], axis=1))
counts = SampleCounts(*draws.T.astype(float))
estimates = estimate_outcomes(counts, np.arange(1, 51))
band = simultaneous_band(jax.random.key(0), estimates.correct)
print(f"right after 50 attempts {estimates.correct[:, -1].mean():.3f} [{band.lower[-1]:.3f}, {band.upper[-1]:.3f}]")
low, high = ceiling_interval(jax.random.key(1), counts)
print(f"ceiling between {low:.3f} and {high:.3f} (true {np.mean(p / (p + 0.1 * (1 - p))):.3f} for these tasks)")
chosen = select_attempts(jax.random.key(2), estimate_utilities(counts, np.arange(1, 51), Payoff(1.0, 3.0)))
print(f"best K {int(chosen.index) + 1}: utility {chosen.naive:.3f} where it was chosen, {chosen.utility:.3f} elsewhere")

# %% [markdown]
# ## 4. As a sampler, held to its law
#
# Retrying is rejection sampling: what is returned follows p(answer) P(accept | answer), and no number of attempts, or
# of particles, changes that. The exact check walks through all answers and all verdicts.

# %%
answers = Categorical(jnp.log(jnp.array([0.14, 0.5, 0.36])), name="answers")  # answer 0 is right
retry = retry_until_accepted(Draw(answers), NoisyVerdict(lambda x: x == 0, 1.0, 0.25), budget=3)
check = check_proper_weighting(retry, n=1)
print(f"largest error over all outcomes: {check.error:.1e}")
hard = Population(np.array([0.14]), 1.0, 0.25)
mass = np.exp(check.found.log_mass)[np.asarray(check.found.values.value) == 0].sum()
print(f"P(right within 3) = {hard.outcomes(3).correct:.5f}, by enumeration {mass:.5f}")
for n in (100, 10_000):
    cloud = sample(retry, jax.random.key(3), n=n).particles
    right = jnp.where(cloud.values.value == 0, cloud.normalized_weights, 0.0).sum()
    print(f"{n} particles: P(right | returned) {right:.3f}, whatever their number (ceiling {hard.ceiling:.3f})")

# %% [markdown]
# ## 5. A real verifier
#
# HumanEval's tests, run in a sandbox: the program and its tests live in different processes, and the verdict cannot be
# forged. Fewer asserts make a weaker verifier: the program below is wrong, and the first assert does not see it.

# %%
task = humaneval_tasks()[2]
print(task.prompt.strip().splitlines()[0])
for body in ("    return number % 1.0\n", "    return 0.5\n", "    import os\n    os._exit(0)\n"):
    verdicts = {j: UnitTests(task, j).judge(body).status.name for j in (1, task.asserts)}
    print(f"{body.strip()!r}: {verdicts}")
