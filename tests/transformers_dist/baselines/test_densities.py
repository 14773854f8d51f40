"""The densities of the baselines are densities, and their encoder sees a problem in its frame."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.transformers_dist import NetworkConfig, TrainingConfig
from probinf.transformers_dist.baselines import BASELINES, Flow, Riemann, load_baseline, quantile_borders
from probinf.transformers_dist.baselines import train_amortized as train
from probinf.transformers_dist.families import linear_gaussian, squared

SMALL = NetworkConfig(width=8, layers=1, heads=2, feed_forward=8, embedding=8)
BORDERS = np.array([[-2.0, -1.0, 0.5, 0.7, 3.0]])


def mass(log_density, low, high, n=40001):
    """Integral of a density on the line."""
    x = np.linspace(low, high, n)
    return float(np.trapezoid(np.exp(jax.jit(jax.vmap(log_density))(jnp.asarray(x)[:, None])), x))


def test_bars_are_a_density_with_the_probabilities_that_they_name(x64):
    bars = Riemann(BORDERS)
    numbers = jnp.log(jnp.array([0.1, 0.2, 0.3, 0.4]))
    log_density = lambda x: bars.log_density(x, numbers)  # noqa: E731
    # A jump costs the trapezoidal rule its height times half a step.
    assert mass(log_density, -30, 60) == pytest.approx(1, abs=2e-3)
    assert mass(log_density, -30, -1) == pytest.approx(0.1, abs=1e-3)
    # Half the mass of a tail lies within the width of its bar.
    assert mass(log_density, -2, -1) == pytest.approx(0.05, abs=1e-3)
    assert mass(log_density, 0.5, 0.7) == pytest.approx(0.3, abs=1e-3)


def test_draws_of_bars_follow_their_density(x64):
    bars = Riemann(BORDERS)
    numbers = jnp.log(jnp.array([0.1, 0.2, 0.3, 0.4]))
    keys = jax.random.split(jax.random.key(0), 20000)
    draws = np.asarray(jax.jit(jax.vmap(lambda k: bars.sample(k, numbers)))(keys))[:, 0]
    points = np.linspace(-6, 12, 4001)
    density = np.exp(jax.jit(jax.vmap(lambda x: bars.log_density(x, numbers)))(jnp.asarray(points)[:, None]))
    below = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(points))])
    # False-alarm rate 1e-6; the quadrature is good to .002.
    found = stats.kstest(draws, lambda x: np.interp(x, points, below))
    assert found.statistic < stats.kstwo.isf(1e-6, draws.size) + 0.002


def test_coordinates_of_bars_are_independent(x64):
    both = Riemann(np.concatenate([BORDERS, BORDERS + 1]))
    numbers = jnp.arange(8.0) / 4
    alone = Riemann(BORDERS).log_density(jnp.array([0.6]), numbers[:4])
    shifted = Riemann(BORDERS).log_density(jnp.array([0.1]), numbers[4:])
    assert float(both.log_density(jnp.array([0.6, 1.1]), numbers)) == pytest.approx(float(alone + shifted), abs=1e-12)


def test_borders_that_do_not_increase_are_refused():
    with pytest.raises(ValueError, match="borders must be increasing"):
        Riemann(BORDERS[:, ::-1])


def test_equally_many_points_lie_between_quantile_borders():
    points = np.random.default_rng(0).normal(size=(1000, 1))
    counts, _ = np.histogram(points[:, 0], quantile_borders(points, 10)[0])
    assert set(counts) == {100}


@pytest.mark.parametrize("density", ["riemann", "flow"])
def test_training_moves_the_weights_alone_and_the_result_is_a_density(density):
    family = linear_gaussian(1, 2, observations=2)
    start = Riemann(BORDERS) if density == "riemann" else Flow(jax.random.key(0), 1, layers=1)
    model, losses = train(family, start, SMALL, TrainingConfig(steps=3, batch=4, warm_up=0))
    assert np.isfinite(losses).all()
    if density == "riemann":
        np.testing.assert_array_equal(model.weights["density"].borders, BORDERS.astype(np.float32))
    problem = family.draw(jax.random.key(1))
    q = eqx.filter_jit(model)(problem.prior, problem.data)
    place, width = float(problem.prior.mean[0]), float(jnp.sqrt(problem.prior.covariance[0, 0]))
    assert mass(q.log_density, place - 30 * width, place + 30 * width) == pytest.approx(1, abs=5e-3)
    draw = q.sample(jax.random.key(2), ())
    assert np.isfinite(q.log_density(draw))


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="there is no baseline"):
        load_baseline("riemann")


def test_a_shipped_baseline_is_nearer_than_an_untrained_one():
    assert len(BASELINES) == 8
    family = squared()
    problems = eqx.filter_jit(lambda k: jax.vmap(family.draw)(k))(jax.random.split(jax.random.key(3), 64))

    @eqx.filter_jit
    def loss(model):
        def one(p):
            log_q = jax.vmap(model(p.prior, p.data).log_density)(p.points)
            return -jnp.sum(jnp.exp(p.log_weights) * log_q)

        return jax.vmap(one)(problems).mean()

    prior = jax.vmap(lambda p: -jnp.sum(jnp.exp(p.log_weights) * jax.vmap(p.prior.log_density)(p.points)))(problems)
    # Nats; the data are worth about two.
    assert float(loss(load_baseline("riemann_squared_1d"))) < float(prior.mean()) - 0.5
