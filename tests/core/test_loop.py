"""Scan and While: the compiled loop, the host's loop and plain repetition are one thing."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Draw, Factor, Map, Resample, Reweight, Scan, Status, While, sample, spawn
from tests.core.models import LIKELIHOOD, OnHost, Table, Walk, likelihood, prior

KEY = jax.random.key(0)
ROWS = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]]).astype(np.float32)
STEP = Draw(Walk(ROWS)) >> Reweight(likelihood()) >> Resample(ess=0.9)


class Row:
    """A stage from a row of data."""

    def __init__(self, potential: Callable[..., Factor] = Table):
        self.potential = potential

    def __call__(self, log_values):
        return Draw(Walk(ROWS)) >> Reweight(self.potential(log_values)) >> Resample(ess=0.9)


DATA = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)
COMPILED, HOST = Row(), Row(OnHost)


def assert_same_cloud(a, b):
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_allclose(a.log_weights, b.log_weights, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(a.log_z, b.log_z, rtol=1e-5)


def test_scan_is_repetition_with_one_key_per_step():
    start = Draw(prior())(KEY, spawn(4))[0]
    cloud, info = Scan(COMPILED, DATA)(KEY, start)
    repeated = start
    for key, row in zip(jax.random.split(KEY, 3), DATA, strict=True):
        repeated, _ = COMPILED(row)(key, repeated)
    assert_same_cloud(cloud, repeated)
    assert info.stages[2].ess.shape == (3, 1) and info.record is None


def lineage(cloud, info):
    del cloud
    return info[2].ancestors


def test_ancestors_are_kept_only_where_they_are_recorded():
    cloud = Draw(prior())(KEY, spawn(4))[0]
    info = Scan(COMPILED, DATA, record=lineage)(KEY, cloud)[1]
    assert info.stages[2].ancestors is None and info.record.shape == (3, 4)
    # No leaf of an unrecorded scan grows with lanes times steps.
    leaves = jax.tree.leaves(Scan(COMPILED, DATA)(KEY, cloud)[1])
    assert all(leaf.size <= 3 for leaf in leaves)


def look(cloud, info):
    """What the tests record."""
    return {"log_z": cloud.log_z, "values": cloud.values, "ess": info[2].ess}


def test_host_compiled_and_observed_loops_agree():
    seen = []
    scans = [
        Scan(COMPILED, DATA, record=look),
        Scan(COMPILED, DATA, record=look, observer=lambda step, steps, cloud: seen.append((step, steps, cloud.n))),
        Scan(HOST, DATA, record=look),
    ]
    runs = [(Draw(prior()) >> scan)(KEY, spawn(4)) for scan in scans]
    assert scans[0].traceable and not scans[2].traceable
    assert seen == [(1, 3, 4), (2, 3, 4), (3, 3, 4)]
    for cloud, info in runs[1:]:
        assert_same_cloud(cloud, runs[0][0])
        assert jax.tree.structure(info[1]) == jax.tree.structure(runs[0][1][1])
        for a, b in zip(jax.tree.leaves(info[1]), jax.tree.leaves(runs[0][1][1]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    record = runs[0][1][1].record
    assert record["values"].shape == (3, 4) and record["log_z"].shape == (3,)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({}, "either xs"),
        ({"xs": DATA, "length": 3}, "either xs"),
        ({"xs": (DATA, DATA[:2])}, r"lengths \[2, 3\]"),
        ({"xs": [0.1, 0.2]}, r"jnp\.asarray\(xs\)"),
        ({"xs": 3}, "or length="),
        ({"xs": jnp.zeros((0, 3))}, "at least one step"),
        ({"length": 0}, "at least one step"),
        ({"length": -1}, "at least one step"),
    ],
)
def test_a_scan_of_unknown_length_is_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        Scan(COMPILED, **knobs)


def below(cloud):
    return jnp.any(cloud.values < 2)


def test_weak_types_settle_in_loops():
    # A Python number makes a weakly typed value, which the body turns into a strong one.
    sampler = Map(lambda x: 1.0) >> Scan(Map(lambda x: x * jnp.float32(2)), length=2)
    np.testing.assert_array_equal(sample(sampler, KEY, 2).particles.values, 4.0)
    sampler = Map(lambda x: 1) >> While(Map(lambda x: x + jnp.int32(1)), below, 5)
    np.testing.assert_array_equal(sample(sampler, KEY, 2).particles.values, 2)


def count_up(x):
    return x + 1


class UpOnHost(Map):
    """The same stage, on the host."""

    @property
    def traceable(self):
        return False


@pytest.mark.parametrize("stage", [Map(count_up), UpOnHost(count_up)], ids=["compiled", "host"])
@pytest.mark.parametrize(("start", "steps", "status"), [(0, 2, Status.OK), (-3, 4, Status.BUDGET), (2, 0, Status.OK)])
def test_while_stops_at_its_condition_or_its_budget(stage, start, steps, status):
    result = sample(While(stage, below, 4), KEY, 2, values=jnp.full(2, start))
    np.testing.assert_array_equal(result.particles.values, start + steps)
    assert result.info.steps == steps
    assert result.status is status


def test_while_runs_as_the_scan_does_until_it_stops():
    start = Draw(prior())(KEY, spawn(4))[0]
    whole = Scan(STEP, length=3)(KEY, start)[0]
    assert_same_cloud(While(STEP, lambda cloud: jnp.array(True), 3)(KEY, start)[0], whole)
    host = Draw(Walk(ROWS)) >> Reweight(OnHost(LIKELIHOOD.astype(np.float32))) >> Resample(ess=0.9)
    assert_same_cloud(While(host, lambda cloud: jnp.array(True), 3)(KEY, start)[0], whole)


def test_while_needs_a_budget():
    with pytest.raises(ValueError, match="max_steps >= 1, got 0"):
        While(STEP, below, 0)
