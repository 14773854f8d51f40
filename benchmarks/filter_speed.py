"""Time the bootstrap particle filter against a filter that never resamples and against three peers, in one run.

    python benchmarks/filter_speed.py [--sizes 1000 10000 100000 1000000] [--dimensions 1 10] [--rounds 7] [--full]

Linear-Gaussian model, T = 100 rows, systematic resampling at every row, float32 (particles: float64). All filters of
a size take turns (round-robin) in one process, so that a busy machine slows all of them alike; what is printed is the
best time of each, its ratio to ours, and how far its log-evidence is from the Kalman filter's. A peer that is not
installed is left out, and above 1e5 particles peers run only with --full. `--seconds` bounds the turns of a cell.

With --rounding it instead counts offspring of lanes without weight at 10^7 lanes in float32, on 3 seeds.
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import probinf as pi
from probinf.distributions import LinearGaussianModel
from probinf.resampling import Systematic
from probinf.samplers import bootstrap_filter

STEPS = 100


class KeepsWeights(pi.Sampler):
    """No resampling: the floor, which draws and weighs all the same."""

    def __call__(self, key, cloud):
        return cloud, ()

    def meaning(self, m):
        return m


def problem(dimension):
    eye = jnp.eye(dimension)
    matrix = 0.9 * eye + 0.02 * (1 - eye)
    model = LinearGaussianModel(jnp.zeros(dimension), eye, matrix, 0.5 * eye, eye, eye)
    rng, x, rows = np.random.default_rng(1), np.zeros(dimension), []
    for _ in range(STEPS):
        rows.append(x + rng.normal(size=dimension))
        x = np.asarray(matrix) @ x + 0.5 * rng.normal(size=dimension)
    return model, jnp.asarray(np.stack(rows), jnp.float32)


def ours(model, ys, n, resample=None):
    knobs = {} if resample is None else {"resample": resample}
    sampler = bootstrap_filter(model.initial(), model.transition, model.observation, model.rows(ys), **knobs)
    return lambda seed: pi.sample(sampler, jax.random.key(seed), n=n).particles.log_z


def cuthbert(model, ys, n):
    import cuthbert  # pyright: ignore[reportMissingImports]
    from cuthbert.smc import particle_filter  # pyright: ignore[reportMissingImports]
    from cuthbertlib.resampling import systematic  # pyright: ignore[reportMissingImports]

    d = model.dimension

    def propagate(key, x, row):
        # Its first state has no observation, so the model's first state is drawn by the first move.
        first, _ = row
        noise = jax.random.normal(key, (d,))
        return jnp.where(first, noise, model.transition_matrix @ x + 0.5 * noise)

    pf = particle_filter.build_filter(
        init_sample=lambda key: jnp.zeros(d),
        propagate_sample=propagate,
        log_potential=lambda before, x, row: jnp.sum(jax.scipy.stats.norm.logpdf(row[1], x)),
        n_filter_particles=n,
        resampling_fn=systematic.resampling,
    )
    rows = (jnp.arange(STEPS) == 0, ys)

    @jax.jit
    def run(key):
        start_key, run_key = jax.random.split(key)
        start = pf.init_prepare(key=start_key)
        return cuthbert.filter(pf, rows, start, key=run_key).log_normalizing_constant[-1]

    return lambda seed: run(jax.random.key(seed))


def smcx(model, ys, n):
    import smcx  # pyright: ignore[reportMissingImports]

    d, matrix = model.dimension, model.transition_matrix

    @jax.jit
    def run(key):
        result = smcx.bootstrap_filter(
            key,
            lambda key, n: jax.random.normal(key, (n, d)),
            lambda key, x: matrix @ x + 0.5 * jax.random.normal(key, (d,)),
            lambda y, x: jnp.sum(jax.scipy.stats.norm.logpdf(y, x)),
            ys,
            n,
            store_history=False,
            resampling_threshold=1.0,
        )
        return result.marginal_loglik

    return lambda seed: run(jax.random.key(seed))


def particles(model, ys, n):
    from particles import SMC, distributions, state_space_models  # pyright: ignore[reportMissingImports]

    d, matrix = model.dimension, np.asarray(model.transition_matrix, np.float64)

    class Model(state_space_models.StateSpaceModel):
        def PX0(self):
            return distributions.MvNormal(cov=np.eye(d)) if d > 1 else distributions.Normal()

        def PX(self, t, xp):
            if d > 1:
                return distributions.MvNormal(loc=xp @ matrix.T, cov=0.25 * np.eye(d))
            return distributions.Normal(loc=matrix[0, 0] * xp, scale=0.5)

        def PY(self, t, xp, x):
            return distributions.MvNormal(loc=x, cov=np.eye(d)) if d > 1 else distributions.Normal(loc=x)

    data = np.asarray(ys, np.float64) if d > 1 else np.asarray(ys, np.float64)[:, 0]

    def run(seed):
        np.random.seed(seed)
        algorithm = SMC(state_space_models.Bootstrap(ssm=Model(), data=data), N=n, resampling="systematic", ESSrmin=1.0)
        algorithm.run()
        return np.asarray(algorithm.logLt)

    return run


PEERS = {"cuthbert": cuthbert, "smcx": smcx, "particles": particles}


def cell(dimension, n, rounds, seconds, peers):
    """Best seconds and last log-evidence of every filter, in turns; a filter that cannot run says why."""
    model, ys = problem(dimension)
    runs, why = {"ours": ours(model, ys, n), "no resampling": ours(model, ys, n, KeepsWeights())}, {}
    for name, build in peers.items():
        try:
            runs[name] = build(model, ys, n)
            jax.block_until_ready(runs[name](0))
        except Exception as error:  # a peer must not end the run
            runs.pop(name, None)
            why[name] = f"{type(error).__name__}: {error}".splitlines()[0][:100]
    for name in ("ours", "no resampling"):
        jax.block_until_ready(runs[name](0))
    best, found, began = dict.fromkeys(runs, float("inf")), {}, time.perf_counter()
    for turn in range(1, rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            found[name] = jax.block_until_ready(run(turn))
            best[name] = min(best[name], time.perf_counter() - start)
        if time.perf_counter() - began > seconds:
            break
    exact = float(model.kalman(model.rows(ys)).log_likelihood)
    return best, {name: float(value) - exact for name, value in found.items()}, why


def zero_weight_offspring(n=10_000_000):
    """Offspring of lanes without weight: the last tenth, and one lane in seven."""
    draw = eqx.filter_jit(Systematic())
    for seed in range(3):
        log_weights = 1.5 * np.random.default_rng(seed).standard_normal(n, np.float32)
        log_weights[-n // 10 :] = log_weights[1::7] = -np.inf
        ancestors = np.asarray(draw(jax.random.key(seed), jnp.asarray(log_weights)))
        print(f"N = {n:,}, seed {seed}: {np.sum(np.isneginf(log_weights[ancestors]))} offspring without weight")


def main():
    parser = argparse.ArgumentParser(description="Time bootstrap particle filters.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounding", action="store_true")
    options = parser.parse_args()
    if options.rounding:
        return zero_weight_offspring()
    names = ["ours", "no resampling", *PEERS]
    print(f"Best ms for T = {STEPS} (ratio to ours; log-evidence minus the exact one).\n")
    print("| D | N | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    missing = {}
    for dimension in options.dimensions:
        for n in options.sizes:
            peers = PEERS if n <= 100_000 or options.full else {}
            best, error, why = cell(dimension, n, options.rounds, options.seconds, peers)
            missing |= why
            cells = [
                f"{1e3 * best[name]:.1f} ({best[name] / best['ours']:.2f}; {error[name]:+.2f})" if name in best else "-"
                for name in names
            ]
            print(f"| {dimension} | {n:,} | " + " | ".join(cells) + " |", flush=True)
    for name, reason in missing.items():
        print(f"\n{name} did not run: {reason}")


if __name__ == "__main__":
    main()
