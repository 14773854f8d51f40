"""Time NUTS through the adapter against BlackJAX called directly, with the same keys and the same draws.

    python benchmarks/nuts_speed.py [--chains 4] [--steps 1000] [--draws 1000] [--rounds 10]

Both take turns, each first in every other round, so that a busy machine slows both alike; what is printed is the best
time of each, and the ratio of the best times and of the best processor times. The positions must be equal to the last
bit, and a second run with another key must not compile anything. The models are
eight schools (non-centered) and a logistic regression of 1000 rows on 25 columns, simulated with a fixed key.
"""

import argparse
import functools
import time
from typing import Any

import blackjax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import monitoring

import probinf as pi
from probinf.interop import warmup


class EightSchools(pi.Factor):
    """Eight treatment effects with a common mean and spread: Rubin, Journal of Educational Statistics 6 (1981)."""

    effects: jax.Array
    errors: jax.Array
    name: str = eqx.field(static=True, default="eight schools")

    def log_density(self, x):
        mean, log_spread, z = x[0], x[1], x[2:]
        theta = mean + jnp.exp(log_spread) * z
        # Half-Cauchy(5) for the spread, with the Jacobian of its logarithm.
        prior = -0.5 * (mean / 5) ** 2 - 0.5 * jnp.sum(z**2) + log_spread - jnp.log1p(jnp.exp(2 * log_spread) / 25)
        return prior - 0.5 * jnp.sum(((self.effects - theta) / self.errors) ** 2)


class Logistic(pi.Factor):
    """Logistic regression with standard normal coefficients."""

    rows: jax.Array
    labels: jax.Array
    name: str = eqx.field(static=True, default="logistic")

    def log_density(self, x):
        logits = self.rows @ x
        return -0.5 * jnp.sum(x**2) - jnp.sum(jnp.logaddexp(0.0, jnp.where(self.labels, -logits, logits)))


def models():
    """Name, target and dimension of each model."""
    effects = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    errors = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    row_key, truth_key, label_key = jax.random.split(jax.random.key(1), 3)
    rows = jax.random.normal(row_key, (1000, 25))
    labels = jax.random.bernoulli(label_key, jax.nn.sigmoid(rows @ jax.random.normal(truth_key, (25,))))
    yield "eight schools", EightSchools(effects, errors), 10
    yield "logistic 1000 x 25", Logistic(rows, labels), 25


def through_adapter(target, key, initial, steps, draws):
    """Positions by probinf."""
    warm_key, key = jax.random.split(key)
    tuned = warmup(target, warm_key, initial, steps=steps)
    return pi.sample_chains(tuned.kernel, key, tuned.values, draws).values


@functools.partial(jax.jit, static_argnames="steps")
def adapt(target, keys, initial, steps):
    """BlackJAX's own warm-up of every chain."""
    adaptation: Any = blackjax.window_adaptation(
        blackjax.nuts, target.log_density, adaptation_info_fn=lambda *_: (), target_acceptance_rate=0.8
    )

    def one(key, x):
        (state, parameters), _ = adaptation.run(key, x, num_steps=steps)
        return state.position, parameters["step_size"], parameters["inverse_mass_matrix"]

    return jax.vmap(one)(keys, initial)


@functools.partial(jax.jit, static_argnames="draws")
def scan(target, keys, positions, step_size, inverse_mass, draws):
    """BlackJAX's NUTS with its own state."""
    algorithm: Any = blackjax.nuts(target.log_density, step_size, inverse_mass)

    def one(key, x):
        def step(state, key):
            state, info = algorithm.step(key, state)
            return state, (state.position, info.acceptance_rate, info.is_divergent, info.num_integration_steps)

        return jax.lax.scan(step, algorithm.init(x), jax.random.split(key, draws))[1]

    return jax.vmap(one)(keys, positions)


def directly(target, key, initial, steps, draws):
    """Positions by BlackJAX alone."""
    warm_key, key = jax.random.split(key)
    chains = len(initial)
    positions, step_sizes, inverse_masses = adapt(target, jax.random.split(warm_key, chains), initial, steps)
    tuned = jnp.median(step_sizes), jnp.mean(inverse_masses, axis=0)
    return scan(target, jax.random.split(key, chains), positions, *tuned, draws)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    compiled = []
    monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **kwargs: (
            compiled.append(event) if event.endswith("backend_compile_duration") else None
        )
    )
    print("| model | probinf, s | BlackJAX, s | ratio | of CPU | first calls, s | equal draws | compiled by run 2 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, target, dimension in models():
        initial = 0.1 * jax.random.normal(jax.random.key(2), (arguments.chains, dimension))
        runs = {"probinf": through_adapter, "BlackJAX": directly}
        wall, cpu = ({who: [] for who in runs} for _ in range(2))
        programs, equal = {}, True
        for turn in range(arguments.rounds + 1):
            values = {}
            for who in list(runs)[:: 1 if turn % 2 else -1]:
                compiled.clear()
                start, cpu_start = time.perf_counter(), time.process_time()
                # One key for all rounds but the first, so that they do the same work.
                key = jax.random.key(min(turn, 1))
                values[who] = jax.block_until_ready(runs[who](target, key, initial, arguments.steps, arguments.draws))
                wall[who].append(time.perf_counter() - start)
                cpu[who].append(time.process_time() - cpu_start)
                if turn == 1:
                    programs[who] = len(compiled)
            equal &= bool(np.array_equal(values["probinf"], values["BlackJAX"]))
        (ours, theirs), (our_cpu, their_cpu) = ([min(times[who][1:]) for who in runs] for times in (wall, cpu))
        print(
            f"| {name} | {ours:.3f} | {theirs:.3f} | {ours / theirs:.3f} | {our_cpu / their_cpu:.3f} | "
            f"{wall['probinf'][0]:.1f} and {wall['BlackJAX'][0]:.1f} | {'yes' if equal else 'NO'} | "
            f"{programs['probinf']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
