"""Coverage of every interval of probinf.verifiers.imperfect by simulation.

    python scripts/imperfect_verifiers_coverage.py [--repeats 4000] [--posteriors 1000] [--tasks 164] [--seed 0]

Each repeat draws new tasks from one population, new samples for each task, and the interval from them. With 4,000
repeats the Monte Carlo error of a coverage of .95 is .0034 (one standard error); the nominal level is .95 throughout.
The population: (accepted and correct, accepted and wrong, rejected) ~ Dirichlet(.6, .15, 1.2), 100 samples a task.
"""

import argparse
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from probinf.verifiers.imperfect import (
    DirichletCounts,
    Payoff,
    SampleCounts,
    ceiling_interval,
    clopper_pearson,
    credible_interval,
    estimate_utilities,
    fit_beta_binomial,
    plausible_attempts,
    sample_concentrations,
    select_attempts,
    simultaneous_band,
    task_interval,
    utility,
)

CONCENTRATION = (0.6, 0.15, 1.2)
SAMPLES = 100
GRID = (1, 2, 3, 5, 8, 13, 20, 32, 50, 80, 100)


def draw_counts(key, tasks, concentration=CONCENTRATION):
    """New tasks, and what comes of the samples of each."""
    chance_key, sample_key = jax.random.split(key)
    chances = jax.random.dirichlet(chance_key, jnp.asarray(concentration), (tasks,))
    uniform = jax.random.uniform(sample_key, (tasks, SAMPLES, 1))
    kind = jnp.sum(uniform > jnp.cumsum(chances, axis=1)[:, None, :2], axis=2)
    counts = jnp.sum(kind[:, :, None] == jnp.arange(3), axis=1).astype(float)
    return SampleCounts(counts[:, 0], counts[:, 1], counts[:, 2])


def inside(interval, truth):
    return (interval.lower <= truth) & (truth <= interval.upper)


def tasks_as_samples(key, tasks, draws):
    """Of intervals over tasks: does each hold what it should?"""
    keys = jax.random.split(key, 6)
    payoff = Payoff(1.0, 1.0, 0.0, 0.002)
    grid = jnp.asarray(GRID, float)
    truth = utility(DirichletCounts(jnp.asarray(CONCENTRATION)), grid, payoff)
    counts = draw_counts(keys[0], tasks)
    scores = estimate_utilities(counts, grid, payoff)
    single = inside(task_interval(keys[1], scores, draws=draws), truth)
    band = simultaneous_band(keys[2], scores, draws=draws)
    chosen = select_attempts(keys[3], scores)
    a, b, c = CONCENTRATION
    # The identified set: tasks without an accepted sample count 0, or 1.
    no_sample = jnp.exp(jnp.sum(jnp.log(c + jnp.arange(SAMPLES)) - jnp.log(a + b + c + jnp.arange(SAMPLES))))
    low_end = a / (a + b) * (1 - no_sample)
    ceiling = ceiling_interval(keys[4], counts, draws=draws)
    # A task of its own, with twenty accepted samples.
    ppv_key, count_key = jax.random.split(keys[5])
    ppv = jax.random.beta(ppv_key, a, b)
    correct = jnp.sum(jax.random.uniform(count_key, (20,)) < ppv)
    exact = clopper_pearson(correct.astype(float), 20.0)
    return {
        "task_interval, K = 1": single[0],
        "task_interval, K = 20": single[6],
        "task_interval, K = 100": single[10],
        "simultaneous_band, all K at once": jnp.all(inside(band, truth)),
        "plausible_attempts holds K* (at least)": plausible_attempts(band)[jnp.argmax(truth)],
        "select_attempts, utility of the K chosen by fold": inside(chosen.interval, jnp.mean(truth[chosen.by_fold])),
        "select_attempts, naive value in the same interval's width": jnp.abs(chosen.naive - truth[chosen.index])
        <= (chosen.interval.upper - chosen.interval.lower) / 2,
        "ceiling_interval, lower end (one-sided .975)": ceiling.lower <= low_end,
        "ceiling_interval, upper end (one-sided .975)": ceiling.upper >= jnp.minimum(low_end + no_sample, 1.0),
        "ceiling_interval, the ceiling (at least)": inside(ceiling, a / (a + b)),
        "clopper_pearson, 20 samples, PPVs of the population (at least)": inside(exact, ppv),
    }


def beta_binomial(key, tasks):
    """Of intervals of coverage, within the samples and far beyond."""
    counts = draw_counts(key, tasks, (0.5, 1e-3, 1.5))
    interval = fit_beta_binomial(counts.correct, SAMPLES).interval(jnp.asarray([10.0, 1e4]))
    k = jnp.asarray([10.0, 1e4])
    a, b = 0.5, 1.501
    # The chance to miss, B(a, b + k) / B(a, b).
    miss = jnp.exp(gammaln(b + k) - gammaln(b) - gammaln(a + b + k) + gammaln(a + b))
    held = inside(interval, 1 - miss)
    return {"fit_beta_binomial, coverage at 10": held[0], "fit_beta_binomial, coverage at 10,000": held[1]}


def posterior(key, tasks, draws):
    """Of credible intervals, about the population and about the tasks at hand."""
    count_key, chain_key = jax.random.split(key)
    payoff = Payoff(1.0, 1.0, 0.0, 0.002)
    found = sample_concentrations(chain_key, draw_counts(count_key, tasks), draws=draws, chains=2)
    grid = jnp.asarray([10.0, 1000.0])
    truth = utility(DirichletCounts(jnp.asarray(CONCENTRATION)), grid, payoff)
    a, b, _ = CONCENTRATION
    held = inside(credible_interval(found.new_task_utilities(grid, payoff)), truth)
    return {
        "sample_concentrations, A_inf": inside(credible_interval(found.ceilings()), a / (a + b)),
        "sample_concentrations, U(10)": held[0],
        "sample_concentrations, U(1000)": held[1],
    }


def coverage(run, key, repeats, batch=50):
    """The share of repeats in which each interval held."""
    keys = jax.random.split(key, repeats)
    held = jax.jit(lambda keys: jax.lax.map(run, keys, batch_size=batch))(keys)
    return {name: float(np.mean(values)) for name, values in held.items()}


def main():
    parser = argparse.ArgumentParser(description="Measure the coverage of intervals.")
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--posteriors", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=164)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    keys = jax.random.split(jax.random.key(options.seed), 3)
    print("| interval (nominal .95) | held | standard error |\n|---|---|---|")
    for run, key, repeats in (
        (lambda key: tasks_as_samples(key, options.tasks, options.draws), keys[0], options.repeats),
        (lambda key: beta_binomial(key, options.tasks), keys[1], options.repeats),
        (lambda key: posterior(key, options.tasks, options.draws // 4), keys[2], options.posteriors),
    ):
        for name, held in coverage(run, key, repeats).items():
            print(f"| {name} | {held:.4f} | {math.sqrt(max(held * (1 - held), 1e-6) / repeats):.4f} |", flush=True)


if __name__ == "__main__":
    main()
