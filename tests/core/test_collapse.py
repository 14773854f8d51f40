"""A cloud of copies, and a step whose weight lies on one lane, are seen: by the status and by the diagnosis."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import probinf as pi
from probinf import Draw, Move, Resample, Reweight, Status, diagnose, sample, spawn
from probinf._particles import distinct_lanes
from probinf.distributions import Categorical, StateSpaceModel
from probinf.kernels import FiniteProposal, MetropolisHastings, hmc, random_walk
from probinf.samplers import adaptive_tempered_smc, bootstrap_filter, tempered_smc

KEY = jax.random.key(0)
PRIOR = pi.Named("prior", dist.Normal(0.0, 1.0))


class Sharp(pi.Factor):
    """N(1; x, sd)."""

    sd: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="sharp")

    def log_density(self, x):
        return dist.Normal(x, self.sd).log_prob(1.0)


class Growth(StateSpaceModel):
    """The growth model of Gordon, Salmond and Smith (1993), seen precisely."""

    def draw_initial(self, key, row):
        return jax.random.normal(key)

    def draw_next(self, key, before, row):
        mean = before / 2 + 25 * before / (1 + before**2) + 8 * jnp.cos(1.2 * row.t)
        return mean + jnp.sqrt(10.0) * jax.random.normal(key)

    def log_observation(self, x, row):
        return dist.Normal(x**2 / 20, 0.05).log_prob(row.y)


class Linear(StateSpaceModel):
    """x' = 0.9 x + drift + noise, seen with noise."""

    drift: jax.Array

    def draw_initial(self, key, row):
        return jax.random.normal(key)

    def draw_next(self, key, before, row):
        return 0.9 * before + self.drift + jnp.sqrt(0.5) * jax.random.normal(key)

    def log_observation(self, x, row):
        return dist.Normal(x, 0.5).log_prob(row.y)


def test_equal_weights_on_copies_are_no_effective_sample_size():
    values = {"x": jnp.full((1000, 2), 0.3), "k": jnp.zeros(1000, jnp.int32)}
    found = jax.jit(diagnose)(spawn(1000, values))
    # One value, whatever the number of its copies.
    assert float(found.ess) == pytest.approx(1e-3, rel=1e-4) and found.distinct == 1 and not found.reliable


def test_copies_count_with_their_weights_together():
    rng = np.random.default_rng(0)
    place = rng.integers(0, 400, 1000)
    log_weights = rng.normal(size=1000)
    cloud = spawn(1000, jnp.asarray(rng.normal(size=400))[place])
    found = diagnose(cloud.replace(log_weights=jnp.asarray(log_weights)))
    weights = np.bincount(place, np.exp(log_weights))
    assert float(found.ess) == pytest.approx(weights.sum() ** 2 / (weights**2).sum() / 1000, rel=1e-4)
    assert found.distinct == len(np.unique(place)) and bool(found.reliable)


def test_whole_numbers_may_be_equal_by_right():
    found = diagnose(spawn(1000, jnp.zeros(1000, jnp.int32)))
    assert float(found.ess) == pytest.approx(1.0) and found.distinct == 1000 and found.reliable


@pytest.mark.parametrize(("lanes", "values"), [(1000, 1), (1000, 37), (1000, 1000), (100_000, 5000), (3, 2)])
def test_different_values_are_counted(lanes, values):
    table = jnp.asarray(np.random.default_rng(1).normal(size=(values, 3)), jnp.float32)
    count = int(distinct_lanes(table[jnp.arange(lanes) % values], jnp.ones(lanes, bool)))
    assert abs(count - values) <= max(1, 0.02 * values)


def test_a_kernel_that_never_accepts_ends_as_collapsed():
    # Proposals a million standard deviations away: after four steps of the ladder a value has sixteen copies.
    frozen = eqx.Partial(MetropolisHastings, proposal=random_walk(1e6))
    run = sample(adaptive_tempered_smc(PRIOR, Sharp(1e-3), frozen), KEY, 1000)
    info = run.info[-1]
    rungs = int(info.rungs)
    assert run.status is Status.COLLAPSED and np.all(np.asarray(info.acceptance)[:rungs] < 0.01)
    assert int(info.distinct[rungs - 1]) < 100
    with pytest.raises(pi.RunError, match="COLLAPSED"):
        sample(adaptive_tempered_smc(PRIOR, Sharp(1e-3), frozen), KEY, 1000, throw=True)
    # One transition that hardly any lane accepts is enough, also on a ladder given beforehand.
    stuck = eqx.Partial(hmc, step_size=50.0, steps=2)
    assert sample(tempered_smc(PRIOR, Sharp(0.3), stuck, [0.1, 1.0]), KEY, 1000).status is Status.COLLAPSED
    good = tempered_smc(PRIOR, Sharp(0.3), eqx.Partial(hmc, step_size=0.2, steps=4), [0.1, 1.0])
    assert sample(good, KEY, 1000, throw=True).info[-1].stages[2].acceptance.min() > 0.5


def test_a_discrete_target_on_one_state_is_not_collapsed():
    peaked = Categorical(np.log([0.998, 0.001, 0.001]))
    kernel = MetropolisHastings(peaked, FiniteProposal(np.zeros((3, 3))))
    result = sample(Draw(peaked) >> Resample() >> Move(kernel), KEY, 1000, throw=True)
    assert result.info[-1].distinct == 1000


def test_the_weights_of_the_worst_step_are_in_the_status():
    # The exact log-evidence is that of N(0, 1 + sd^2) at 1.
    exact = stats.norm.logpdf(1.0, 0.0, np.sqrt(1 + 1e-3**2))
    for stages in (Draw(PRIOR) >> Reweight(Sharp(1e-3)), Draw(PRIOR) >> Reweight(Sharp(1e-3)) >> Resample()):
        result = sample(stages, KEY, 10)
        assert abs(float(result.particles.log_z) - exact) > 50 and result.status is Status.COLLAPSED
    assert sample(Draw(PRIOR) >> Reweight(Sharp(1.0)) >> Resample(), KEY, 10).status is Status.OK


def test_a_filter_of_few_particles_says_that_its_evidence_cannot_be_trusted():
    # Precise observations: N = 10 is off by hundreds of nats, N = 100,000 agrees with itself to about one.
    rng = np.random.default_rng(3)
    x, y = rng.normal(), []
    for t in range(20):
        x = x / 2 + 25 * x / (1 + x**2) + 8 * np.cos(1.2 * t) + rng.normal() * np.sqrt(10) if t else x
        y.append(x**2 / 20 + 0.05 * rng.normal())
    model = Growth()
    run = bootstrap_filter(model.initial(), model.transition, model.observation, model.rows(jnp.asarray(y)))
    few, many = sample(run, KEY, 10), sample(run, KEY, 100_000)
    assert float(few.particles.log_z) < float(many.particles.log_z) - 100
    assert few.status is Status.COLLAPSED and many.status is Status.OK


def test_the_derivative_of_the_evidence_goes_through_resampling():
    # Kalman's gradient of the log-evidence by the drift is -1.361; where survivors carry no derivative it comes out as
    # -4.978 +- .021.
    y = jnp.asarray(np.sin(np.arange(5.0)) + 1.0)

    def kalman(drift):
        def step(carry, y):
            mean, variance, total = carry
            total = total + dist.Normal(mean, jnp.sqrt(variance + 0.25)).log_prob(y)
            gain = variance / (variance + 0.25)
            mean, variance = mean + gain * (y - mean), variance * (1 - gain)
            return (0.9 * mean + drift, 0.81 * variance + 0.5, total), None

        return jax.lax.scan(step, (0.0 * drift, 1.0 + 0.0 * drift, 0.0 * drift), y)[0][2]

    def estimate(drift, key):
        model = Linear(drift)
        run = bootstrap_filter(model.initial(), model.transition, model.observation, model.rows(y))
        return run(key, spawn(1000))[0].log_z

    exact = float(jax.grad(kalman)(0.2))
    found = np.asarray(jax.jit(jax.vmap(jax.grad(estimate), (None, 0)))(0.2, jax.random.split(KEY, 300)))
    error = found.std() / np.sqrt(300)
    assert abs(found.mean() - exact) < 4 * error < 0.15
