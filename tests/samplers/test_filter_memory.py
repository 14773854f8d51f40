"""A filter takes the memory of one cloud, however long the data; the history of all clouds only if it is asked for."""

import jax
import jax.numpy as jnp

from probinf import spawn
from probinf._run import _compiled, on_scans
from probinf.distributions import LinearGaussianModel
from probinf.samplers import bootstrap_filter

N = 4096
CLOUD = 4 * N


def peak_bytes(steps, record=None):
    """What the compiled filter holds beside its arguments, as the compiler counts it."""
    eye = jnp.eye(1)
    model = LinearGaussianModel(jnp.zeros(1), eye, 0.9 * eye, eye, eye, eye)
    rows = model.rows(jnp.zeros((steps, 1)))
    sampler = bootstrap_filter(model.initial(), model.transition, model.observation, rows)
    if record is not None:
        sampler = on_scans(sampler, record=record)
    memory = _compiled.lower(sampler, jax.random.key(0), spawn(N)).compile().compiled.memory_analysis()
    return memory.temp_size_in_bytes + memory.output_size_in_bytes


def states(cloud, info):
    del info
    return cloud.values


def test_memory_does_not_grow_with_the_data():
    short, long = peak_bytes(20), peak_bytes(80)
    # Sixty rows more cost some numbers each, not a cloud each.
    assert long - short < 60 * 200
    assert long < 40 * CLOUD
    recorded = peak_bytes(80, states)
    assert recorded - long > 70 * CLOUD
