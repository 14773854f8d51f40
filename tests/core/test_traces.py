"""Other data of the same structure runs the program that is there: nothing is traced twice."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinf import Draw, Nested, Resample, Reweight, Scan, Twist, Verified, While, sample
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.samplers import tempered_smc
from tests.core.models import Table, Walk, prior

KEY = jax.random.key(0)
traces = []


class Counted(Table):
    """A table that notes each time Python reads it, which compiled code never does."""

    def log_density(self, x):
        traces.append(self.name)
        return super().log_density(x)


def table(rng):
    return Counted(rng.normal(size=3).astype(np.float32), "counted")


class Stage(eqx.Module):
    """One step, from a row of data."""

    walk: Walk

    def __call__(self, row):
        return Draw(self.walk) >> Reweight(Counted(row)) >> Resample(ess=0.7)


def walk(rng):
    return Walk(rng.normal(size=(3, 3)).astype(np.float32))


def chain(rng):
    return Draw(prior(rng.normal(size=3))) >> Twist(table(rng)) >> Resample() >> Draw(walk(rng)) >> Reweight(table(rng))


def scan(rng):
    return Draw(prior(rng.normal(size=3))) >> Scan(Stage(walk(rng)), rng.normal(size=(4, 3)).astype(np.float32))


def always(cloud):
    return jnp.array(True)


def loop(rng):
    return Draw(prior(rng.normal(size=3))) >> While(Stage(walk(rng))(rng.normal(size=3).astype(np.float32)), always, 3)


def nested(rng):
    return Nested(Draw(prior(rng.normal(size=3))) >> Reweight(table(rng)) >> Resample(), 2)


def is_one(x):
    return x == 1


def verified(rng):
    return Verified(Draw(prior(rng.normal(size=3))) >> Reweight(table(rng)), is_one, 3)


def tempered(rng):
    kernel = eqx.Partial(MetropolisHastings, proposal=FiniteProposal(rng.normal(size=(3, 3))))
    return tempered_smc(prior(rng.normal(size=3)), table(rng), kernel, [rng.uniform(0.1, 0.9), 1.0])


def foreign(rng):
    # Parameters are Python numbers here.
    q = dist.Normal(float(rng.normal()), float(rng.uniform(1.0, 2.0)))
    return Draw(q) >> Reweight(Flat()) >> Reweight(dist.Normal(float(rng.normal()), 1.0))


class Flat(Table):
    """Weighs nothing, and counts."""

    log_values: jax.Array = eqx.field(default=0.0, converter=jnp.asarray)

    def log_density(self, x):
        traces.append(self.name)
        return 0.0 * x


WITH_BAR = partial(sample, progress=True)


# Outside of scans, a run with a bar is not compiled.
@pytest.mark.parametrize(
    ("build", "run"),
    [(b, sample) for b in (chain, scan, loop, nested, verified, tempered, foreign)] + [(scan, WITH_BAR)],
)
def test_new_data_does_not_trace_again(build, run):
    rng = np.random.default_rng(0)
    run(build(rng), KEY, 3)
    first = len(traces)
    results = [run(build(rng), jax.random.key(seed), 3) for seed in (1, 2)]
    assert first > 0 and len(traces) == first
    # The new data were used.
    assert results[0].particles.log_z != results[1].particles.log_z
    traces.clear()


def test_another_size_is_another_program():
    rng = np.random.default_rng(0)
    sample(chain(rng), KEY, 2)
    before = len(traces)
    sample(chain(rng), KEY, 4)
    assert len(traces) > before
    traces.clear()
