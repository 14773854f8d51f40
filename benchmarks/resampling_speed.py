"""Time the resampling schemes against BlackJAX's and against a plain binary search, in one run.

    python benchmarks/resampling_speed.py [--sizes 10000 100000 1000000] [--rounds 15]

All kernels of a size take turns (round-robin), so that a busy machine slows all of them alike; what is
printed is the best time of each, and its ratio to the plain binary search.
"""

import argparse
import time

import jax
import jax.numpy as jnp
from blackjax.smc import resampling as blackjax

from probinf.resampling import Killing, Multinomial, Residual, Settled, Stratified, Systematic


def binary_search(key, log_weights):
    """The usual five lines: systematic resampling by `searchsorted`, without care for rounding."""
    n = log_weights.shape[0]
    points = (jnp.arange(n) + jax.random.uniform(key)) / n
    return jnp.searchsorted(jnp.cumsum(jax.nn.softmax(log_weights)), points)


def from_blackjax(scheme):
    return lambda key, log_weights: scheme(key, jax.nn.softmax(log_weights), log_weights.shape[0])


KERNELS = {
    "plain `searchsorted`": binary_search,
    "`Systematic`": Systematic(),
    "`Systematic`, conditional": Systematic().conditional,
    "`Settled(Systematic)`": Settled(Systematic()),
    "`Stratified`": Stratified(),
    "`Stratified`, conditional": Stratified().conditional,
    "`Residual`": Residual(),
    "`Killing`": Killing(),
    "`Multinomial`": Multinomial(),
    "BlackJAX systematic": from_blackjax(blackjax.systematic),
    "BlackJAX stratified": from_blackjax(blackjax.stratified),
    "BlackJAX residual": from_blackjax(blackjax.residual),
    "BlackJAX multinomial": from_blackjax(blackjax.multinomial),
}


def best_seconds(n, rounds):
    """The best of `rounds` times of every kernel, in turns."""
    key = jax.random.key(0)
    log_weights = jnp.log(jax.random.exponential(jax.random.key(1), (n,)))
    compiled = {name: jax.jit(kernel) for name, kernel in KERNELS.items()}
    best = dict.fromkeys(compiled, float("inf"))
    for turn in range(rounds + 1):
        for name, kernel in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(kernel(jax.random.fold_in(key, turn), log_weights))
            # The first turn compiles.
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main():
    parser = argparse.ArgumentParser(description="Time the resampling schemes.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    table = {n: best_seconds(n, options.rounds) for n in options.sizes}
    print(f"Best of {options.rounds} in ms on {jax.devices()[0].device_kind}, and the ratio to plain `searchsorted`.\n")
    print("| kernel | " + " | ".join(f"N = {n:,}" for n in table) + " |")
    print("|---" * (len(table) + 1) + "|")
    for name in KERNELS:
        cells = [f"{1e3 * t[name]:.2f} ({t[name] / t['plain `searchsorted`']:.2f})" for t in table.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
