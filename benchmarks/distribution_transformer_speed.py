"""A posterior in one forward pass, beside numpyro's SVI and NUTS on the same problem.

Run: python benchmarks/distribution_transformer_speed.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax

from probinf.transformers_dist import RECIPES, DistributionTransformer
from probinf.transformers_dist.baselines import nuts, variational
from probinf.transformers_dist.families import LinearLikelihood

BATCH = 256


def best(run: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of several runs, after one that compiles."""
    jax.block_until_ready(run())
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def log_joint(x: Any, prior: Any, data: Any) -> Any:
    return prior.log_density(x) + LinearLikelihood(data).log_density(x)


def rows(name: str) -> list[tuple[str, float]]:
    """Seconds per posterior by every way."""
    dt, family = DistributionTransformer.load(name), RECIPES[name].family()
    key = jax.random.key(0)
    one = jax.jit(family.draw)(key)
    many = jax.jit(jax.vmap(family.draw))(jax.random.split(key, BATCH))
    dimension = dt.view.dimension
    single = jax.jit(lambda prior, data: dt.forward(prior, data)[1])
    batched = jax.jit(jax.vmap(lambda prior, data: dt.forward(prior, data)[1]))
    fit = jax.jit(lambda prior, data: variational(key, log_joint, dimension, prior, data))
    fits = jax.jit(jax.vmap(lambda prior, data: variational(key, log_joint, dimension, prior, data)))
    chain = jax.jit(lambda prior, data: nuts(key, log_joint, dimension, prior, data))
    return [
        ("transformer, `dt(prior, data)`", best(lambda: dt(one.prior, one.data), 50)),
        ("transformer, inside one's own jit", best(lambda: single(one.prior, one.data), 50)),
        (f"transformer, {BATCH} at once", best(lambda: batched(many.prior, many.data), 20) / BATCH),
        ("SVI, 100 steps, compiled once", best(lambda: fit(one.prior, one.data), 10)),
        (f"SVI, 100 steps, {BATCH} at once", best(lambda: fits(many.prior, many.data), 3) / BATCH),
        ("NUTS, 500 + 1000 draws, compiled once", best(lambda: chain(one.prior, one.data), 3)),
    ]


def main() -> None:
    """Print a table for each transformer."""
    for name in ("linear_1d", "linear_2d"):
        found = rows(name)
        reference, fastest = found[0][1], found[2][1]
        print(f"\n| {name} | milliseconds a posterior | over one transformer call | over {BATCH} at once |")
        print("|---|---|---|---|")
        for label, seconds in found:
            print(f"| {label} | {1e3 * seconds:.4f} | {seconds / reference:.2f} | {seconds / fastest:.1f} |")


if __name__ == "__main__":
    main()
