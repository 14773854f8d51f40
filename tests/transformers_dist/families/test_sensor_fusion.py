"""The density of a range is that of the simulator, ends included; the published one is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinf.distributions import GMM
from probinf.transformers_dist import load
from probinf.transformers_dist.families import (
    SensorData,
    SensorFusion,
    SensorLikelihood,
    StochasticVolatility,
    linearized,
    observe,
)
from probinf.transformers_dist.families._sensor_fusion import FARTHEST, log_range

GRID = (np.arange(4000) + 0.5) * FARTHEST / 4000


def published(seen, distance):
    """The density as released: shares of echoes and noise exchanged, nothing at the ends."""
    spread = 0.1 * (distance + 1)
    return 0.7 * stats.norm.pdf(seen, distance, spread) + 0.1 * np.exp(-seen) + 0.2 / FARTHEST


@pytest.mark.parametrize("distance", [0.1, 9.0])
def test_the_density_of_a_range_integrates_to_one_with_its_ends(distance, x64):
    density = jax.jit(jax.vmap(lambda y: jnp.exp(log_range(y, jnp.asarray(distance)))))
    inside = float(density(jnp.asarray(GRID)).sum()) * FARTHEST / GRID.size
    zero, end = np.asarray(density(jnp.array([0.0, FARTHEST])))
    assert inside + zero + end == pytest.approx(1, abs=2e-5)
    lost = 1 - published(GRID, distance).sum() * FARTHEST / GRID.size
    # What the published density loses at the ends, at either.
    assert lost == pytest.approx(zero + end, abs=2e-4) and lost > 0.1


def test_simulated_ranges_follow_the_density_and_not_the_published_one():
    state = jnp.array([3.0, 0.0, 0.0, 0.0])
    n = 20000
    seen = np.asarray(jax.jit(jax.vmap(lambda k: observe(k, state).distance))(jax.random.split(jax.random.key(0), n)))
    near = jax.vmap(lambda y: jnp.exp(log_range(y, jnp.asarray(3.0))))(jnp.linspace(0.0005, 0.9995, 1000)).mean()
    # A share of n draws, five standard errors: a false-alarm rate below 1e-6.
    error = 5 * np.sqrt(0.25 / n)
    share = np.mean((seen > 0) & (seen < 1))
    assert abs(share - near) < error
    wrong = published(np.linspace(0.0005, 0.9995, 1000), 3.0).mean()
    assert abs(share - wrong) > 2 * error


def test_the_likelihood_wraps_bearings_and_agrees_with_its_linearization(x64):
    behind = jnp.array([-4.0, 0.0, 1e-3, 0.0])
    log_density = lambda b: SensorLikelihood(SensorData(jnp.asarray(4.0), jnp.asarray(b))).log_density(behind)  # noqa: E731
    assert float(log_density(np.pi - 1e-4)) == pytest.approx(float(log_density(-np.pi + 1e-4)), abs=0.02)
    x, data = jnp.array([2.0, 0.3, 1.0, 0.1]), SensorData(jnp.asarray(2.0), jnp.asarray(0.6))
    rows, values = linearized(x, data)
    step = 1e-6
    for axis in (0, 2):
        moved = linearized(x.at[axis].add(step), data)[1]
        # The spread of a range changes with the state too, which a linearization leaves out.
        slope = -np.asarray(moved - values) / step
        assert slope[1] == pytest.approx(float(rows[1, axis]), rel=1e-4)


def test_a_prior_at_the_sensor_itself_looks_finite():
    view, prior = SensorFusion().view, GMM([0.0], [[0.0] * 4], [np.eye(4)])
    look = view.look(prior, SensorData(jnp.asarray(1.0), jnp.asarray(0.3)), view.frame(prior))
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in (look.features, look.rows))


def test_beside_the_sensor_a_bearing_tells_little_of_a_wide_prior():
    # A tangent there would know the place to a thousandth, and the truth would score a hundred nats and more.
    prior = GMM([0.0], [[1e-3, 0.0, 0.0, 0.0]], [0.3 * np.eye(4)])
    dt = load("sensor_fusion")
    truth = jax.vmap(lambda k: prior.sample(k, ()))(jax.random.split(jax.random.key(0), 64))
    keys = jax.random.split(jax.random.key(1), 64)
    scores = jax.jit(jax.vmap(lambda k, x: -dt.forward(prior, observe(k, x))[1].log_density(x)))(keys, truth)
    # The prior alone scores .94 nats here, the network .65 (256 draws) though it never saw a prior so near.
    assert float(scores.max()) < 15 and float(scores.mean()) < 1.5


@pytest.mark.parametrize("family", [SensorFusion(points=4), StochasticVolatility(points=4)], ids=["sensor", "returns"])
def test_weighted_points_are_unbiased_for_the_unknown(family):
    def one(key):
        problem = family.draw(key)
        # The simulator's own unknown comes first. In the prior's frame all problems count alike.
        frame = family.view.frame(problem.prior)
        places = jax.vmap(frame.inward)(problem.points)
        # Also times what the data look like: then weights that make too much or too little of the data are seen.
        seen = jnp.tanh(family.view.look(problem.prior, problem.data, frame).rows).ravel()
        products = (places[:, :, None] * seen[None, None, :]).reshape(len(places), -1)
        values = jnp.concatenate([places, places**2, products], axis=1)
        return jnp.exp(problem.log_weights) @ values - values[0]

    gaps = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 20000)), float)
    # Five standard errors for each of at most 80 moments: a false-alarm rate below 5e-5; found: 2.1 and 2.3. Without
    # weight for the simulator's unknown it is 12 and 10, with the likelihood squared 3 (not seen) and 15.
    assert np.all(np.abs(gaps.mean(axis=0)) <= 5 * gaps.std(axis=0) / np.sqrt(len(gaps)))


def test_bad_observations_are_refused():
    view = SensorFusion().view
    prior = SensorFusion(points=2).draw(jax.random.key(0)).prior
    with pytest.raises(ValueError, match="a range in"):
        view.check(prior, SensorData(jnp.asarray(11.0), jnp.asarray(0.0)))
    with pytest.raises(ValueError, match="finite bearing"):
        view.check(prior, SensorData(jnp.asarray(1.0), jnp.asarray(jnp.nan)))
