"""The network keeps the symmetries it promises, and says no to what it was not trained for."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probinf.distributions import GMM
from probinf.transformers_dist import Frame, NetworkConfig, TrainingConfig, frame_of, load, train
from probinf.transformers_dist._layers import Block
from probinf.transformers_dist._transformer import blank
from probinf.transformers_dist.families import LinearData, LinearView, linear_gaussian

SMALL = NetworkConfig(width=8, layers=1, heads=2, feed_forward=8, embedding=8)
VIEW = LinearView(2, 4)


def problem():
    """Three components in four slots, and two data in three rows; junk where nothing is."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(4, 2, 2))
    prior = GMM.of([0.2, 0.5, 0.3, 0.0], rng.normal(size=(4, 2)), roots @ roots.swapaxes(1, 2) + 0.3 * np.eye(2))
    data = LinearData(
        jnp.asarray(rng.normal(size=(3, 2))), jnp.asarray(rng.normal(size=3)), jnp.array([0.5, 0.8, jnp.inf])
    )
    return prior, data


def transformer(**changes):
    """A transformer with random weights, those included that training finds at zero."""
    rng = np.random.default_rng(2)
    fill = lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype)  # noqa: E731
    dt = blank(VIEW, dataclasses.replace(SMALL, **changes))
    return eqx.tree_at(lambda dt: dt.weights, dt, jax.tree.map(fill, dt.weights))


def density(gmm, points):
    return np.asarray(jax.vmap(gmm.log_density)(jnp.asarray(points)))


# The norms of the network take their statistics in single precision.
RTOL = 1e-6
POINTS = np.random.default_rng(1).normal(size=(6, 2))


@pytest.mark.parametrize("head", ["direct", "residual", "site"])
def test_order_means_nothing_and_absent_rows_say_nothing(head, x64):
    dt = transformer(head=head)
    prior, data = problem()
    expected = density(dt(prior, data), POINTS)
    order = np.array([3, 1, 0, 2])
    turned = GMM(prior.log_weights[order], prior.means[order], prior.scales[order])
    np.testing.assert_allclose(density(dt(turned, data), POINTS), expected, rtol=RTOL)
    order = np.array([2, 1, 0])
    np.testing.assert_allclose(density(dt(prior, jax.tree.map(lambda x: x[order], data)), POINTS), expected, rtol=RTOL)
    junk = LinearData(data.matrix.at[2].set(7.0), data.y.at[2].set(-3.0), data.noise)
    np.testing.assert_allclose(density(dt(prior, junk), POINTS), expected, rtol=RTOL)
    short = GMM(prior.log_weights[:3], prior.means[:3], prior.scales[:3])
    np.testing.assert_allclose(density(dt(short, data), POINTS), expected, rtol=RTOL)
    less = jax.tree.map(lambda x: x[:1], data)
    assert np.abs(density(dt(prior, less), POINTS) - expected).max() > 1e-3


def test_an_affine_change_of_variables_changes_the_posterior_alike(x64):
    dt, (prior, data) = transformer(), problem()
    change = Frame(jnp.array([3.0, -20.0]), jnp.array([[50.0, 0.0], [3.0, 0.2]]))
    moved = change.outward_mixture(prior)
    matrix = data.matrix @ jnp.linalg.inv(change.scale)
    there = dt(moved, LinearData(matrix, data.y + matrix @ change.shift, data.noise))
    moved_points = np.asarray(jax.vmap(change.outward)(jnp.asarray(POINTS)))
    log_volume = float(jnp.sum(jnp.log(jnp.diag(change.scale))))
    np.testing.assert_allclose(density(there, moved_points) + log_volume, density(dt(prior, data), POINTS), rtol=RTOL)
    # Without the frame the network sees other numbers.
    raw = transformer(normalize=False)
    there = raw(moved, LinearData(matrix, data.y + matrix @ change.shift, data.noise))
    assert np.abs(density(there, moved_points) + log_volume - density(raw(prior, data), POINTS)).max() > 1e-2


def test_the_frame_of_a_mixture_makes_it_standard(x64):
    prior, _ = problem()
    inside = frame_of(prior).inward_mixture(prior)
    np.testing.assert_allclose(inside.mean, np.zeros(2), atol=1e-12)
    np.testing.assert_allclose(inside.covariance, np.eye(2), atol=1e-12)
    back = frame_of(prior).outward_mixture(inside)
    np.testing.assert_allclose(back.scales[:3], prior.scales[:3], atol=1e-12)
    frame = frame_of(prior)
    np.testing.assert_allclose(frame.outward(frame.inward(jnp.asarray(POINTS[0]))), POINTS[0], atol=1e-12)


def test_components_can_be_expanded(x64):
    prior, data = problem()
    posterior = transformer(expand=2)(prior, data)
    assert posterior.components == 8
    assert np.asarray(posterior.present).tolist() == [True] * 6 + [False] * 2
    assert float(jnp.abs(posterior.means[0] - posterior.means[1]).max()) > 1e-3


def test_a_site_head_that_changes_nothing_gives_the_prior_without_data_and_more_with(x64):
    prior, data = problem()
    dt = transformer()
    quiet = jax.tree.map(jnp.zeros_like, dt.weights["head"]["output"])
    dt = eqx.tree_at(lambda dt: dt.weights["head"]["output"], dt, quiet)
    nothing = LinearData(data.matrix, data.y, jnp.full(3, jnp.inf))
    np.testing.assert_allclose(density(dt.forward(prior, nothing)[1], POINTS), density(prior, POINTS), rtol=RTOL)
    assert np.abs(density(dt(prior, data), POINTS) - density(prior, POINTS)).max() > 1e-2


def test_other_data_do_not_compile_anew():
    traces = 0

    @eqx.filter_jit
    def run(dt, prior, data):
        nonlocal traces
        traces += 1
        return dt(prior, data)

    dt, (prior, data) = transformer(), problem()
    single = jax.tree.map(lambda x: x.astype(jnp.float32), (prior, data))
    for shift in (0.0, 1.0):
        run(dt, single[0], single[1]._replace(y=single[1].y + shift))
    run(transformer(), *single)
    assert traces == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, d: (GMM([0.0], [[0.0]], [[[1.0]]]), d), "trained for 2 dimensions, the prior has 1"),
        (lambda p, d: (_five(), d), "at most 4 components, the prior has 5"),
        (lambda p, d: (p, d._replace(noise=jnp.full(3, jnp.inf))), "no observations"),
        (lambda p, d: (p, d._replace(y=d.y.at[0].set(jnp.nan))), "must be finite"),
        (lambda p, d: (p, d._replace(noise=jnp.array([0.0, 1.0, 1.0]))), "positive standard deviation"),
        (lambda p, d: (p, d._replace(matrix=jnp.zeros((3, 1)))), "linear data need a matrix"),
    ],
)
def test_what_the_network_was_not_trained_for_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        transformer()(*change(*problem()))


def _five():
    return GMM(jnp.full(5, -np.log(5.0)), jnp.zeros((5, 2)), jnp.broadcast_to(jnp.eye(2), (5, 2, 2)))


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="multiple of heads"):
        NetworkConfig(width=10, heads=4)
    with pytest.raises(ValueError, match="averaging in"):
        TrainingConfig(averaging=1.0)
    with pytest.raises(ValueError, match="choose one of"):
        load("no such transformer")


def test_an_interrupted_training_ends_at_the_same_weights(tmp_path):
    family = linear_gaussian(1, 2, observations=2, points=4)
    config = TrainingConfig(steps=8, batch=8, learning_rate=1e-2, warm_up=1)
    whole, losses = train(family, SMALL, config)
    path = tmp_path / "checkpoint.safetensors"
    train(family, SMALL, config, checkpoint=path, until=4)
    resumed, later = train(family, SMALL, config, checkpoint=path)
    assert later == losses[4:] and np.mean(losses[-2:]) < np.mean(losses[:2])
    for a, b in zip(jax.tree.leaves(whole.weights), jax.tree.leaves(resumed.weights), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="other settings"):
        train(family, SMALL, dataclasses.replace(config, seed=1), checkpoint=path)


def test_attention_averages_so_only_a_count_tells_one_datum_from_three_alike():
    block = Block(SMALL, nnx.Rngs(params=0))
    tokens, datum = jnp.ones((2, 8)) * jnp.arange(2.0)[:, None], jnp.linspace(-1.0, 1.0, 8)[None]
    both = jnp.ones(2, bool)
    once = block(tokens, datum, both, jnp.ones(1, bool))
    thrice = block(tokens, jnp.repeat(datum, 3, axis=0), both, jnp.ones(3, bool))
    np.testing.assert_allclose(thrice, once, atol=1e-5)
    prior, data = problem()
    repeated = jax.tree.map(lambda x: jnp.repeat(x[:1], 3, axis=0), data)
    less = repeated._replace(noise=repeated.noise.at[1:].set(jnp.inf))
    dt = transformer()
    assert np.abs(density(dt(prior, repeated), POINTS) - density(dt(prior, less), POINTS)).max() > 1e-2
