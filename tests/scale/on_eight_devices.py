"""Runs on eight devices of one host and prints what it found as one line of JSON; started by test_devices.py."""

from __future__ import annotations

import json
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinf import Draw, Info, Particles, Resample, Reweight, sample, spawn
from probinf._run import _compiled as compiled_on_one
from probinf.resampling import Multinomial, Stratified
from probinf.scale import Layout, ShardedResample, fetch, sample_sharded, sharded
from probinf.scale._ring import ring_take
from probinf.scale._run import _compiled as compiled_on_many
from tests.scale.models import (
    Normal,
    Seen,
    differences,
    finite_filter,
    genealogy,
    linear_gaussian,
    nested_verified,
    tempered_banana,
    twisted_loop,
)

KEY = jax.random.key(3)
MESH = jax.make_mesh((8,), ("lanes",))
LAYOUT = Layout(MESH)
N = 16384
WIDE = linear_gaussian(64, Resample(ess=0.5))
# Sums within a lane are added in another order where XLA fuses them, which depends on whether their terms fill 16 KB:
# each size leaves the lanes of one device and of eight on the same side.
PROGRAMS = {
    "linear Gaussian in 3 dimensions, stratified": (linear_gaussian(3, Resample(Stratified())), N),
    "linear Gaussian in 1 dimension, multinomial": (linear_gaussian(1, Resample(Multinomial())), N),
    "linear Gaussian in 64 dimensions, by effective sample size": (WIDE, N),
    "tempered SMC in 2 dimensions": (tempered_banana(), N),
    "finite hidden Markov model": (finite_filter(), 1024),
    "Twist, While, islands, Choose": (twisted_loop(), N),
    "Nested, Verified": (nested_verified(), N),
}


class LocalResample(ShardedResample):
    """Planted: each device resamples its own lanes as if they were all there are, and the mean of all is banked."""

    def __call__(self, key: jax.Array, cloud: Particles) -> tuple[Particles, Info]:
        """Resamples in islands of one device each."""
        after, info = Resample(self.resample.scheme, islands=8)(key, cloud)
        return after.replace(log_weights=jnp.zeros_like(after.log_weights), log_evidence=cloud.log_z), info


def agreement() -> dict[str, Any]:
    """One device against eight, for the same key."""
    found = {}
    for name, (program, n) in PROGRAMS.items():
        one, many = (
            sample(program, KEY, n, record=genealogy),
            sample_sharded(program, KEY, n, MESH, record=genealogy),
        )
        particles, info, record = fetch((many.particles, many.info, many.record))
        mine = (one.particles, one.info, one.record, one.particles.log_z, int(one.status))
        leaves = jax.tree.leaves((many.particles.values, many.particles.log_weights))
        found[name] = {
            "differences": differences(mine, (particles, info, record, particles.log_z, int(many.status))),
            "largest block": max(leaf.addressable_shards[0].data.shape[0] / particles.n for leaf in leaves),
        }
    return found


def ring() -> int:
    """How many of 64 ancestries the ring gets wrong: random, sorted, all one, and shifted ones."""
    rng, n = np.random.default_rng(0), 32
    # A row with a negative zero, which a masked sum would lose.
    values = (jnp.arange(2 * n, dtype=jnp.float32).reshape(n, 2).at[5].set(-0.0), jnp.arange(n) % 3 == 0)

    @jax.jit
    @LAYOUT.by_hand((LAYOUT.whole, LAYOUT.split), LAYOUT.split)
    def run(ancestors, values):
        return ring_take(values, ancestors, "lanes", 8)

    wrong = 0
    for case in range(16):
        random = rng.integers(0, n, n)
        for ancestors in (random, np.sort(random), np.full(n, case), (np.arange(n) + 2 * case) % n):
            ancestors = ancestors.astype(np.int32)
            expected = jax.tree.map(lambda x: np.asarray(x)[ancestors], values)  # noqa: B023
            wrong += bool(differences(expected, run(ancestors, values)))
    return wrong


def traffic() -> dict[str, Any]:
    """What the program of the widest filter sends, and what a device needs against one device alone, in bytes."""
    one = compiled_on_one.lower(WIDE, KEY, spawn(N)).compile().compiled
    many = compiled_on_many.lower(sharded(WIDE, MESH), KEY, (), N, LAYOUT).compile().compiled
    sends = re.findall(
        r"= (\S+|\(.*?\)) (all-gather|all-reduce|collective-permute|all-to-all|reduce-scatter)\(", many.as_text()
    )
    sizes = [c.memory_analysis().temp_size_in_bytes + c.memory_analysis().output_size_in_bytes for c in (one, many)]
    return {"sends": sorted({(kind, re.sub(r"\{.*?\}", "", shape)) for shape, kind in sends}), "bytes": sizes}


def two_axes_and_a_planted_bug() -> dict[str, Any]:
    """Lanes along one of two axes with values handed in, and the same with every device on its own."""
    mesh = jax.make_mesh((2, 4), ("copies", "lanes"))
    weigh, resample = Reweight(Seen(jnp.ones(2))), Resample(Multinomial())
    values = np.random.default_rng(0).normal(size=(1024, 2)).astype(np.float32)
    one = sample(weigh >> resample, KEY, 1024, values=jnp.asarray(values))
    right = sample_sharded(weigh >> resample, KEY, 1024, mesh, axis="lanes", values=values)
    wrong = sharded(weigh, MESH) >> LocalResample(resample, LAYOUT)
    local, info, _ = compiled_on_many(wrong, KEY, values, 1024, LAYOUT)
    mine = (one.particles.values, one.info[-1].ancestors)
    return {
        "right": differences(mine, fetch((right.particles.values, right.info[-1].ancestors))),
        "wrong": differences(mine, fetch((local.values, info[-1].ancestors))),
    }


def refusals() -> list[str]:
    """What is said where the lanes do not divide."""
    said = []
    for n in (6, 20):
        try:
            sample_sharded(Draw(Normal(jnp.ones(1))), KEY, n, MESH)
        except ValueError as error:
            said.append(str(error))
    return said


if __name__ == "__main__":
    checks = (agreement, ring, traffic, two_axes_and_a_planted_bug, refusals)
    print(json.dumps({check.__name__: check() for check in checks}))
