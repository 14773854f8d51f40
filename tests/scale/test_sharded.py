"""What a sharded composition is, what it refuses, and that new data runs the program that is there."""

import dataclasses
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import (
    Best,
    Choose,
    Draw,
    MeaningError,
    Measure,
    Particles,
    Proportional,
    Resample,
    Reweight,
    RunError,
    Scan,
    Status,
    sample,
)
from probinf.distributions import Categorical
from probinf.scale import Layout, ShardedResample, fetch, sample_sharded, sharded
from probinf.validity.planted import small_filter
from tests.core.models import Box, Grow, Level, OnHost, Table
from tests.scale.models import differences, nested_verified

KEY = jax.random.key(0)
PRIOR = Categorical(np.log([0.2, 0.5, 0.3]), name="prior")
traces = []


class Counted(Table):
    """A table that notes each time Python reads it, which compiled code never does."""

    def log_density(self, x):
        traces.append(self.name)
        return super().log_density(x)


class Stage(eqx.Module):
    """A step of a scan, from a row of data."""

    def __call__(self, row):
        return Resample() >> Draw(PRIOR) >> Reweight(Counted(row))


class KeepsEvidence(Resample):
    """A subclass, whose changes no twin could know."""


class Built(eqx.Module):
    """A stage that holds what cannot be sharded."""

    def __call__(self, row):
        return KeepsEvidence() >> Draw(PRIOR) >> Reweight(Table(row))


@pytest.fixture
def mesh():
    return jax.make_mesh((1,), ("lanes",))


def walk(seed):
    rows = np.random.default_rng(seed).normal(size=(3, 3)).astype(np.float32)
    return Draw(PRIOR) >> Scan(Stage(), rows)


def last(cloud, info):
    return cloud.log_weights[0]


def test_new_data_does_not_trace_again(mesh):
    results = [sample_sharded(walk(seed), jax.random.key(seed), 4, mesh, record=last) for seed in (0, 1)]
    first = len(traces)
    results.append(sample_sharded(walk(2), KEY, 4, jax.make_mesh((1,), ("lanes",)), record=last))
    assert first > 0 and len(traces) == first
    assert float(results[1].particles.log_z) != float(results[2].particles.log_z)
    assert results[2].record.shape == (3,)
    traces.clear()


def test_the_twin_means_what_the_sampler_means(mesh):
    for sampler in (small_filter(Resample()), nested_verified()):
        mine, twin = sampler.meaning(Measure()), sharded(sampler, mesh).meaning(Measure())
        assert twin.name == mine.name and twin.guarantee is mine.guarantee


def test_one_device_is_the_plain_run(mesh):
    weighed = Draw(PRIOR) >> Reweight(Table(np.log([0.9, 0.2, 0.5]))) >> Choose(Proportional())
    one, twin = sample(weighed, KEY, 8), sample_sharded(weighed, KEY, 8, mesh)
    assert differences((one.particles, one.info), fetch((twin.particles, twin.info))) == {}


def test_a_dead_cloud_is_a_status(mesh):
    dead = Draw(PRIOR) >> Reweight(Table(np.full(3, -np.inf))) >> Resample()
    result = sample_sharded(dead, KEY, 4, mesh)
    assert result.status is Status.DEGENERATE and result.particles.log_z == -jnp.inf
    with pytest.raises(RunError, match="DEGENERATE"):
        sample_sharded(dead, KEY, 4, mesh, throw=True)


def test_no_conditional_form(mesh):
    cloud = Particles(jnp.zeros(2), jnp.zeros(2), jnp.zeros(()), jnp.zeros(2))
    with pytest.raises(MeaningError, match="conditional"):
        ShardedResample(Resample(), Layout(mesh)).conditional(KEY, cloud, 0)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Draw(PRIOR) >> Reweight(OnHost([0.0, 0.0, 0.0])), "runs on the host.*sample\\(\\)"),
        (Draw(PRIOR) >> Choose(Best(Table(np.zeros(3)))), "Choose\\(Best\\) looks across lanes.*fetched result"),
        (Draw(PRIOR) >> KeepsEvidence(), "KeepsEvidence looks across lanes"),
        # Seen when the scan builds its stage.
        (Draw(PRIOR) >> Scan(Built(), np.zeros((2, 3), np.float32)), "KeepsEvidence looks across lanes"),
    ],
)
def test_what_cannot_be_sharded_is_refused(mesh, sampler, message):
    with pytest.raises(TypeError, match=message):
        sample_sharded(sampler, KEY, 4, mesh)


def test_lane_states_are_refused(mesh):
    grow = Draw(Grow()) >> Reweight(Level())
    with pytest.raises(TypeError, match="LaneState.*Map it away"):
        sample_sharded(grow, KEY, 4, mesh, values=Box(jnp.zeros(4)))


def test_bad_arguments_name_the_fix(mesh):
    # Without the type checks of the tests, which would refuse first.
    with pytest.raises(TypeError, match="got Categorical: wrap a distribution in Draw"):
        inspect.unwrap(sample_sharded)(PRIOR, KEY, 4, mesh)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="impl='threefry2x32'"):
        sample_sharded(Draw(PRIOR), jax.random.key(0, impl="rbg"), 4, mesh)
    with pytest.raises(ValueError, match="none called 'rows'"):
        sample_sharded(Draw(PRIOR), KEY, 4, mesh, axis="rows")
    with pytest.raises(ValueError, match="say with axis="):
        sample_sharded(Draw(PRIOR), KEY, 4, jax.make_mesh((1, 1), ("copies", "lanes")))
    with pytest.raises(ValueError, match="needs values with leading axis 4"):
        sample_sharded(Draw(PRIOR), KEY, 4, mesh, values=jnp.zeros(3))
    with pytest.raises(TypeError, match="stack it into an array"):
        sample_sharded(Draw(PRIOR), KEY, 4, mesh, values=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="at least one particle"):
        sample_sharded(Draw(PRIOR), KEY, 0, mesh)


def test_the_composition_is_left_as_it_was(mesh):
    scan = Scan(Stage(), np.zeros((2, 3), np.float32))
    twin = sharded(scan, mesh)
    assert isinstance(twin, Scan) and dataclasses.replace(twin, stage=scan.stage) == scan
