"""The driver: how a run ends, what it returns, and what it refuses."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinf import Draw, Map, Resample, Reweight, RunError, Scan, Status, Verified, While, sample, spawn
from probinf._status import worst_status
from tests.core.models import PRIOR, OnHost, Table, Walk, likelihood, prior

KEY = jax.random.key(0)
STAGE = Draw(Walk(np.broadcast_to(PRIOR, (3, 3)))) >> Reweight(likelihood()) >> Resample(ess=0.9)
FILTER = Draw(prior()) >> Scan(STAGE, length=4) >> Reweight(likelihood())


def mass(cloud, info):
    """What the tests record."""
    return cloud.log_z, info[2].resampled


def assert_same_run(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_compiled_and_plain_runs_agree():
    result = sample(FILTER, KEY, 5)
    assert_same_run((result.particles, result.info), FILTER(KEY, spawn(5)))
    assert result.status is Status.OK and result.record is None


def test_a_progress_bar_changes_nothing():
    assert_same_run(sample(FILTER, KEY, 5, record=mass, progress=True), sample(FILTER, KEY, 5, record=mass))


def test_records_of_each_step():
    log_z, resampled = sample(FILTER, KEY, 5, record=mass).record
    assert log_z.shape == (4,) and resampled.shape == (4, 1)
    two = sample(FILTER >> Scan(STAGE, length=2), KEY, 5, record=mass)
    assert [record[0].shape for record in two.record] == [(4,), (2,)]
    assert sample(Scan(STAGE, length=2), KEY, 2, values=jnp.zeros(2, jnp.int32), record=mass).record[0].shape == (2,)
    assert sample(Draw(prior()), KEY, 5, record=lambda cloud, info: cloud.log_z).record.shape == (1,)


def test_records_on_the_host_are_the_same():
    host = Draw(Walk(np.broadcast_to(PRIOR, (3, 3)))) >> Reweight(OnHost(likelihood().log_values)) >> Resample(ess=0.9)
    found = sample(Draw(prior()) >> Scan(host, length=4) >> Reweight(likelihood()), KEY, 5, record=mass)
    assert_same_run(found.record, sample(FILTER, KEY, 5, record=mass).record)


def never(x):
    return x < 0


def broken(x):
    return jnp.where(x == 0, jnp.nan, 0.0)


def nowhere(x):
    return jnp.where(x < 0, 0.0, -jnp.inf)


def forever(cloud):
    return jnp.array(True)


def is_zero(x):
    return x == 0


ENDS = {
    Status.OK: Draw(prior()),
    Status.BUDGET: Draw(prior()) >> While(Map(jnp.abs), forever, 2),
    Status.ABSTAINED: Verified(Draw(prior()), is_zero, 1),
    Status.DEGENERATE: Draw(prior()) >> Reweight(nowhere),
    Status.INVALID: Draw(prior()) >> Reweight(broken),
}


@pytest.mark.parametrize("status", ENDS, ids=lambda status: status.name)
def test_how_a_run_ends(status):
    assert sample(ENDS[status], KEY, 32).status is status
    if status is Status.OK:
        sample(ENDS[status], KEY, 32, throw=True)
    else:
        with pytest.raises(RunError, match=re.escape(f"{status.name}: {status.explanation}")) as caught:
            sample(ENDS[status], KEY, 32, throw=True)
        assert caught.value.status is status


def test_the_worst_end_wins():
    budget = While(Map(jnp.abs), forever, 2)
    assert sample(Verified(Draw(prior()), is_zero, 1) >> budget, KEY, 32).status is Status.ABSTAINED
    assert sample(ENDS[Status.INVALID] >> Reweight(nowhere), KEY, 32).status is Status.INVALID
    assert sample(Verified(Draw(prior()), never, 1), KEY, 4).status is Status.DEGENERATE
    # Inside a scan, one bad step is enough.
    data = jnp.array([[0.0, 0.0, 0.0], [0.0, jnp.nan, 0.0]])
    steps = Draw(prior()) >> Scan(TableStage(), data)
    assert sample(steps, KEY, 32).status is Status.INVALID


class TableStage:
    """Weighs by a row."""

    def __call__(self, row):
        return Reweight(Table(row))


def test_statuses_are_found_at_every_depth():
    inner = sample(ENDS[Status.ABSTAINED], KEY, 8).info
    assert worst_status(((), (jnp.zeros(2), (inner, None)))) == Status.ABSTAINED
    assert worst_status(None) == worst_status(()) == Status.OK


@pytest.mark.parametrize("n", [0, -3])
def test_an_empty_cloud_is_refused(n):
    with pytest.raises(ValueError, match=f"at least one particle, got n={n}: pass n >= 1"):
        sample(FILTER, KEY, n)


def test_what_is_no_sampler_is_refused():
    # Without the type checks of the tests, which would refuse first.
    with pytest.raises(TypeError, match="sample runs a Sampler, got Normal: wrap a distribution in Draw"):
        inspect.unwrap(sample)(dist.Normal(0.0, 1.0), KEY, 3)  # pyright: ignore[reportArgumentType]


def test_a_legacy_key_is_refused():
    with pytest.raises(TypeError, match=r"use jax\.random\.key\(seed\)"):
        sample(FILTER, jax.random.PRNGKey(0), 3)


def test_start_values_need_a_lane_for_each_particle():
    with pytest.raises(ValueError, match="a cloud of 3 particles needs values with leading axis 3"):
        sample(Scan(STAGE, length=1), KEY, 3, values=jnp.zeros(4, jnp.int32))
