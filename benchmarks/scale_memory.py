"""Measure what a device holds and sends when a particle filter is sharded, on devices of one host.

    python benchmarks/scale_memory.py [--particles 16384] [--width 64] [--devices 1 2 4 8]

Memory is what the compiler plans per device (temporaries and results); bytes are read from the compiled program and the
ancestors of the run. Eight devices that share a few cores are no faster than one, so no time is printed.
"""

import argparse
import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from probinf import Distribution, Factor, MeaningError, Resample, spawn
from probinf._run import _compiled as compiled_on_one
from probinf.resampling import Multinomial
from probinf.samplers import bootstrap_filter
from probinf.scale import Layout, fetch, sample_sharded, sharded
from probinf.scale._ring import ring_turns
from probinf.scale._run import _compiled as compiled_on_many

KEY = jax.random.key(0)


class Step(Distribution):
    """A linear step with noise; from nothing, a standard normal."""

    width: int = eqx.field(static=True)
    name: str = eqx.field(static=True, default="step")

    def sample(self, key, x):
        before = jnp.zeros(self.width) if isinstance(x, tuple) else x
        return 0.9 * before + jax.random.normal(key, (self.width,))

    def log_density(self, x):
        raise MeaningError("a step is only drawn from here")


class Seen(Factor):
    """A noisy observation of every entry."""

    y: jax.Array
    name: str = eqx.field(static=True, default="seen")

    def log_density(self, x):
        return jnp.sum(dist.Normal(x, 4.0).log_prob(self.y))


class Model(eqx.Module):
    """The state space model."""

    width: int = eqx.field(static=True)

    def step(self, row):
        del row
        return Step(self.width)

    def seen(self, row):
        return Seen(row)


def ancestors_of(cloud, info):
    """The ancestors of a step, recorded."""
    del cloud
    return info[0].ancestors


def particle_filter(width, resample, steps=5):
    model, ys = Model(width), np.random.default_rng(0).normal(size=(steps, width)).astype(np.float32)
    return bootstrap_filter(Step(width), model.step, model.seen, jnp.asarray(ys), resample=resample)


def planned(program):
    """Bytes of temporaries and results on one device."""
    sizes = program.compile().compiled.memory_analysis()
    return sizes.temp_size_in_bytes + sizes.output_size_in_bytes


def unequal(a, b):
    """How many of the leaves differ in some bit."""
    return sum(np.asarray(x).tobytes() != np.asarray(y).tobytes() for x, y in zip(a, b, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=16384)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    knobs = parser.parse_args()
    n, width = knobs.particles, knobs.width
    print(f"N = {n}, values of {4 * width} bytes; values of all particles {4 * n * width / 2**20:.2f} MiB")
    print("| scheme | devices | MiB a device | gathered, KiB | block, KiB | turns a step | leaves unlike 1 device |")
    print("|---|---|---|---|---|---|---|")
    for name, resample in (("systematic", Resample()), ("multinomial", Resample(Multinomial()))):
        program = particle_filter(width, resample)
        first = None
        print(f"| {name} | plain | {planned(compiled_on_one.lower(program, KEY, spawn(n))) / 2**20:.2f} | | | | |")
        for devices in knobs.devices:
            mesh = jax.make_mesh((devices,), ("lanes",), devices=jax.devices()[:devices])
            many = sample_sharded(program, KEY, n, mesh, record=ancestors_of)
            particles, info, record = fetch((many.particles, many.info, many.record))
            block = 4 * n * width / devices / 2**10
            leaves = jax.tree.leaves((particles, info, record, particles.log_z))
            first = first or leaves
            turns = [sum(int(t) for t in ring_turns(row, devices)) for row in record]
            size = planned(compiled_on_many.lower(sharded(program, mesh), KEY, (), n, Layout(mesh)))
            print(
                f"| {name} | {devices} | {size / 2**20:.2f} | {0 if devices == 1 else 8 * n / 2**10:.0f} | "
                f"{block:.0f} | {min(turns)} to {max(turns)} | {unequal(first, leaves)} of {len(leaves)} |"
            )


if __name__ == "__main__":
    main()
