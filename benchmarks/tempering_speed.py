"""Time adaptive tempered SMC against BlackJAX's, in one run, and see whether each hits its target.

    python benchmarks/tempering_speed.py [--particles 10000] [--moves 10] [--seeds 21]

The target has eight modes: a prior N(0, 10^2) in the plane and a likelihood that is the mixture of eight normals of
standard deviation 0.5, equally weighted, at equal angles on a circle of radius 6. Its evidence is known:
log N(0 - m; 0, 10^2 + 0.5^2) = -6.6251 for each mode m. Moves are random walks of scale 1; the effective sample size
asked for is half of the particles. Both samplers are compiled as a whole and take turns, one run a seed.
"""

import argparse
import time
from typing import Any

import blackjax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from blackjax.smc import resampling

from probinf import Factor, spawn
from probinf.kernels import MetropolisHastings, random_walk
from probinf.samplers import adaptive_tempered_smc, ladder_of, tempered_smc

RADIUS, WIDTH, PRIOR_SCALE, MODES = 6.0, 0.5, 10.0, 8
TARGET_ESS = 0.5
ANGLES = np.arange(MODES) * 2 * np.pi / MODES
CENTERS = (RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=-1)).astype(np.float32)
SPREAD = PRIOR_SCALE**2 + WIDTH**2
LOG_Z = -np.log(2 * np.pi * SPREAD) - RADIUS**2 / (2 * SPREAD)


def log_likelihood(x):
    squares = jnp.sum((x - CENTERS) ** 2, axis=-1) / WIDTH**2
    return jax.nn.logsumexp(-0.5 * squares) - jnp.log(MODES * 2 * jnp.pi * WIDTH**2)


def log_prior(x):
    return -0.5 * jnp.sum(x**2) / PRIOR_SCALE**2 - jnp.log(2 * jnp.pi * PRIOR_SCALE**2)


class Ring(Factor):
    """The likelihood as a factor."""

    name: str = eqx.field(static=True, default="ring")

    def log_density(self, x):
        return log_likelihood(x)


def parts():
    prior = dist.Normal(jnp.zeros(2), PRIOR_SCALE)
    return prior, Ring(), eqx.Partial(MetropolisHastings, proposal=random_walk(1.0))


def ours(n, moves):
    """Temperatures, sizes and the number of rungs, and log Z; unused rows are dropped on the host."""
    sampler = adaptive_tempered_smc(*parts(), TARGET_ESS, moves=moves)

    @jax.jit
    def run(key):
        cloud, (_, info) = sampler(key, spawn(n))
        return info.temperatures, info.ess, info.rungs, cloud.log_z, cloud.values

    return run


def ladder_again(n, moves):
    """The ladder that one adaptive run found, on fresh particles: unbiased."""
    pilot = eqx.filter_jit(adaptive_tempered_smc(*parts(), TARGET_ESS, moves=moves))
    _, (_, info) = pilot(jax.random.key(10_000), spawn(n))
    betas = ladder_of(info)
    sampler = tempered_smc(*parts(), betas, moves=moves)

    @jax.jit
    def run(key):
        cloud, (_, info) = sampler(key, spawn(n))
        return jnp.asarray(betas), info.stages[1].ess[:, 0] / n, len(betas), cloud.log_z, cloud.values

    return run


def from_blackjax(n, moves, steps=64):
    """BlackJAX's sampler with its random walk, the loop over temperatures compiled as well."""
    kernel = blackjax.additive_step_random_walk.build_kernel()
    algorithm: Any = blackjax.adaptive_tempered_smc(
        log_prior,
        log_likelihood,
        lambda key, state, logdensity: kernel(key, state, logdensity, blackjax.mcmc.random_walk.normal(jnp.ones(2))),
        blackjax.additive_step_random_walk.init,
        {},
        resampling.systematic,
        TARGET_ESS,
        num_mcmc_steps=moves,
    )

    def step(carry):
        key, state, log_z, i, temperatures, ess = carry
        key, step_key = jax.random.split(key)
        state, info = algorithm.step(step_key, state)
        achieved = 1.0 / jnp.sum(state.weights**2) / n
        log_z = log_z + info.log_likelihood_increment
        return key, state, log_z, i + 1, temperatures.at[i].set(state.tempering_param), ess.at[i].set(achieved)

    @jax.jit
    def run(key):
        draw_key, key = jax.random.split(key)
        state = algorithm.init(PRIOR_SCALE * jax.random.normal(draw_key, (n, 2)))
        carry = (key, state, jnp.zeros(()), 0, jnp.zeros(steps), jnp.zeros(steps))
        _, state, log_z, i, temperatures, ess = jax.lax.while_loop(lambda c: c[1].tempering_param < 1.0, step, carry)
        return temperatures, ess, i, log_z, (state.particles, state.weights)

    return run


def measure(n, moves, seeds):
    """For each sampler: its first call, and a time and a result for every seed, in turns."""
    runs = {
        "probinf `adaptive_tempered_smc`": ours(n, moves),
        "probinf `tempered_smc` at the ladder found": ladder_again(n, moves),
        "BlackJAX `adaptive_tempered_smc`": from_blackjax(n, moves),
    }
    first, seconds, results = {}, {name: [] for name in runs}, {name: [] for name in runs}
    for seed in range(-1, seeds):
        for name, run in runs.items():
            start = time.perf_counter()
            result = jax.block_until_ready(run(jax.random.key(seed % 2**31)))
            elapsed = time.perf_counter() - start
            if seed < 0:
                first[name] = elapsed
                continue
            seconds[name].append(elapsed)
            temperatures, ess, used, log_z, _ = result
            results[name].append((np.asarray(temperatures)[: int(used)], np.asarray(ess)[: int(used)], float(log_z)))
    return first, seconds, results


def main():
    parser = argparse.ArgumentParser(description="Time adaptive tempered SMC.")
    parser.add_argument("--particles", type=int, default=10_000)
    parser.add_argument("--moves", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=21)
    options = parser.parse_args()
    first, seconds, results = measure(options.particles, options.moves, options.seeds)
    print(
        f"N = {options.particles:,}, {options.moves} moves a temperature, target {TARGET_ESS}, {options.seeds} seeds, "
        f"in turns on {jax.devices()[0].device_kind}; log Z = {LOG_Z:.4f} exactly. Temperatures and sizes are those of "
        "the first seed.\n"
    )
    print(
        "| sampler | temperatures | ESS / N at each | s, min / median | ms a move, min | first call, s | log Z (sd) |"
    )
    print("|---" * 7 + "|")
    for name, runs in results.items():
        temperatures, ess, _ = runs[0]
        log_z = np.array([run[2] for run in runs])
        # Every seed has its own number of temperatures.
        per_move = min(s / (len(run[0]) * options.moves) for s, run in zip(seconds[name], runs, strict=True))
        cells = (
            name,
            " ".join(f"{t:.3f}" for t in temperatures),
            " ".join(f"{e:.2f}" for e in ess),
            f"{min(seconds[name]):.3f} / {np.median(seconds[name]):.3f}",
            f"{1e3 * per_move:.2f}",
            f"{first[name]:.1f}",
            f"{log_z.mean():.4f} ({log_z.std(ddof=1):.4f})",
        )
        print("| " + " | ".join(cells) + " |")
    print()
    for name, runs in results.items():
        missed = max(float(np.max(np.abs(run[1][:-1] - TARGET_ESS), initial=0.0)) for run in runs)
        print(f"{name}: misses its target by at most {missed:.3f} at any temperature but the last, over all seeds.")


if __name__ == "__main__":
    main()
