"""Time the exact estimator of all first-accepted-within-K curves against the permutations that it replaces.

    python benchmarks/imperfect_verifiers_speed.py [--tasks 164] [--samples 1000] [--rounds 15]

Both are compiled and give the mean utility over tasks at every K up to the number of samples; the peer draws random
orders of the samples, as the published code does (1,000 of them; here `--orders`, and the time is scaled).
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

from probinf.verifiers.imperfect import Payoff, SampleCounts, estimate_utilities


@jax.jit
def exact(counts, attempts, payoff):
    return jnp.mean(estimate_utilities(counts, attempts, payoff), axis=0)


@jax.jit
def one_order(key, samples, payoff):
    """Mean utility at every K along one order of each task's samples: 0 rejected, 1 wrong, 2 correct."""
    order = jax.random.permutation(key, samples, axis=1, independent=True)
    first = jnp.argmax(order > 0, axis=1)
    answer = jnp.take_along_axis(order, first[:, None], axis=1)
    found = jnp.arange(samples.shape[1])[None] >= first[:, None]
    correct, wrong = found & (answer == 2), found & (answer == 1)
    return jnp.mean(payoff.of(correct, wrong, ~(correct | wrong), 0.0), axis=0)


def best_seconds(run, rounds):
    jax.block_until_ready(run(0))
    best = float("inf")
    for turn in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(run(turn))
        best = min(best, time.perf_counter() - start)
    return best


def main():
    parser = argparse.ArgumentParser(description="Time the estimators of imperfect verifiers.")
    parser.add_argument("--tasks", type=int, default=164)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = np.array([rng.multinomial(options.samples, p) for p in rng.dirichlet([0.4, 0.2, 1.0], options.tasks)])
    samples = jnp.asarray([np.repeat([2, 1, 0], row) for row in rows])
    payoff = Payoff(1.0, 1.0)
    print(f"{options.tasks} tasks, {options.samples} samples each, all K, best of {options.rounds}.\n")
    print("| estimator | ms |\n|---|---|")
    for precision in (False, True):
        with jax.enable_x64(precision):
            counts = SampleCounts(*rows.T.astype(float))
            attempts = jnp.arange(options.samples + 1.0)
            money = Payoff(1.0, 1.0)
            seconds = best_seconds(lambda _, c=counts, k=attempts, m=money: exact(c, k, m), options.rounds)
        name = "float64" if precision else "float32"
        print(f"| exact, {name} (target < 50) | {1e3 * seconds:.1f} |")
    key = jax.random.key(0)
    seconds = best_seconds(lambda turn: one_order(jax.random.fold_in(key, turn), samples, payoff), 3)
    print(f"| {options.orders} random orders (one timed) | {1e3 * options.orders * seconds:.0f} |")


if __name__ == "__main__":
    main()
