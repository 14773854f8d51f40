"""Each rival computes what its paper defines, and none of them sees what one response cannot show."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probinf.verifiers.pairs import Dirichlet, Mixture, MixtureHead, PairModel, PairNetwork, PairTraining, Perceptron
from probinf.verifiers.pairs.baselines import (
    DropoutMixture,
    DropoutNetwork,
    EpinetMixture,
    EpinetNetwork,
    EvidentialHead,
    RandomFourierFeatures,
    SpectralPerceptron,
    evidential_loss,
    laplace,
    sngp,
    spectral_bound,
    train_dropout,
    train_epinet,
    train_evidential,
)
from probinf.verifiers.pairs.baselines._last_layer import full_curvature, inverse_root


def hidden(network) -> PairModel:
    """A model with the weights that the network has."""
    graph, state = nnx.split(network)
    return PairModel(graph, nnx.to_pure_dict(state))


def test_the_evidential_loss_is_the_expectation_that_defines_it(x64):
    concentration = np.array([0.7, 2.0, 3.5]) + 1
    total, rng, n = concentration.sum(), np.random.default_rng(0), 200_000
    prediction = Dirichlet(concentration / total, 1 / (total + 1))
    outcome = np.array([0.0, 1.0, 0.0])
    squared = ((outcome - rng.dirichlet(concentration, n)) ** 2).sum(axis=1)
    found = float(evidential_loss(prediction, jnp.asarray(1), 0.0))
    assert abs(found - squared.mean()) < 5 * squared.std() / np.sqrt(n)
    # The response's own evidence is off: its concentration is one. Density of a flat Dirichlet of three: 2.
    off = np.where(outcome == 1, 1.0, concentration)
    p = rng.dirichlet(off, n)
    log_gamma = [float(jax.scipy.special.gammaln(a)) for a in (off.sum(), *off)]
    log_ratio = log_gamma[0] - sum(log_gamma[1:]) + ((off - 1) * np.log(p)).sum(axis=1) - np.log(2.0)
    divergence = float(evidential_loss(prediction, jnp.asarray(1), 2.0)) - found
    assert abs(divergence / 2 - log_ratio.mean()) < 5 * log_ratio.std() / np.sqrt(n)


def test_the_evidential_loss_refuses_a_gate_without_concentration():
    for gate in (0.0, 1.0):
        with pytest.raises(ValueError, match="has a gate in"):
            evidential_loss(Dirichlet(jnp.array([0.5, 0.5]), gate), jnp.asarray(0), 1.0)


def test_an_evidential_head_gives_the_moments_of_its_dirichlet():
    head = EvidentialHead(2, 3, nnx.Rngs(params=0))
    features = jnp.array([0.5, -2.0])
    found, a = head(features), 1 + np.logaddexp(0, np.asarray(head.logits(features)))
    total = a.sum()
    np.testing.assert_allclose(found.probabilities, a / total, rtol=1e-5)
    np.testing.assert_allclose(found.variance, a * (total - a) / (total**2 * (total + 1)), rtol=1e-5)


def test_a_dropout_mixture_has_the_mean_and_covariance_over_all_masks():
    network = DropoutNetwork(Perceptron(1, 3, 1, nnx.Rngs(params=0)), 2, nnx.Rngs(params=1), rate=0.3)
    x = jnp.array([0.8])
    units = np.asarray(jax.nn.gelu(network.trunk.layers[0](x)))
    masks = np.array(list(itertools.product([0, 1], repeat=3)))
    rows = np.asarray(jax.nn.softmax(jax.vmap(network.logits)(jnp.asarray(masks * units / 0.7, jnp.float32)), axis=1))
    chance = np.prod(np.where(masks == 1, 0.7, 0.3), axis=1)
    mean = chance @ rows
    found = DropoutMixture(hidden(network), jax.random.key(0), 20_000)(x)
    deviation = np.sqrt(chance @ (rows - mean) ** 2)
    assert np.all(deviation > 0.02)
    assert np.all(np.abs(found.probabilities - mean) < 5 * deviation / np.sqrt(20_000))
    np.testing.assert_allclose(found.variance, deviation**2, rtol=0.05)


def test_the_covariance_of_laplace_is_the_inverse_hessian(x64):
    rng = np.random.default_rng(0)
    phi, weights, y = rng.normal(size=(7, 3)), rng.normal(size=(3, 4)), rng.integers(0, 4, 7)

    def loss(w):
        log_p = jax.nn.log_softmax(phi @ w.reshape(3, 4), axis=1)
        return -jnp.sum(log_p[jnp.arange(7), y]) + 0.5 * 0.3 * jnp.sum(w**2)

    hessian = np.asarray(jax.hessian(loss)(jnp.asarray(weights.ravel())))
    p = jax.nn.softmax(jnp.asarray(phi @ weights), axis=1)
    root = np.asarray(inverse_root(7 * full_curvature(jnp.asarray(phi), p)[0], jnp.asarray(0.3)))
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(hessian), atol=1e-10)


TWO = np.array([[-1.0], [0.5]])


def two_inputs(key):
    """Either of two inputs."""
    return jnp.asarray(TWO, jnp.float32)[jax.random.bernoulli(key).astype(int)], jnp.zeros(1, int)


def test_last_layers_are_drawn_about_the_trained_one_with_their_covariance():
    head = MixtureHead(2, 3, nnx.Rngs(params=1), components=1)
    network = PairNetwork(Perceptron(1, 2, 1, nnx.Rngs(params=0)), head)
    found = laplace(jax.random.key(0), hidden(network), two_inputs, observations=40, samples=20_000)
    phi = np.hstack([jax.vmap(network.trunk)(jnp.asarray(TWO, jnp.float32)), np.ones((2, 1))])
    p = np.asarray(jax.vmap(lambda x: network(x).probabilities)(jnp.asarray(TWO, jnp.float32)))
    hessian = np.eye(9)
    for f, q in zip(phi, p, strict=True):
        hessian += 20 * np.kron(np.outer(f, f), np.diag(q) - np.outer(q, q))
    draws = np.asarray(found.weights).reshape(-1, 9)
    covariance, scale = np.linalg.inv(hessian), np.sqrt(np.diag(np.linalg.inv(hessian)))
    trained = np.vstack([head.logits.kernel[...], head.logits.bias[...]]).ravel()  # pyright: ignore[reportOptionalSubscript]
    assert np.abs((draws.mean(axis=0) - trained) / scale).max() < 5 / np.sqrt(20_000)
    # Entries of an empirical correlation are off by .01; the inputs of 16,384 draws are not quite half and half.
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=0.05)
    logits = np.einsum("d,sdk->sk", phi[0], np.asarray(found.weights))
    np.testing.assert_allclose(
        found(jnp.asarray(TWO[0], jnp.float32)).probabilities,
        np.asarray(jax.nn.softmax(logits)).mean(axis=0),
        atol=1e-5,
    )


def spectral(rngs, components=1, features=16):
    """Random features on a trunk that keeps distances, and a head."""
    head = functools.partial(MixtureHead, components=components)
    return PairNetwork(RandomFourierFeatures(SpectralPerceptron(1, 4, 2, rngs), 4, features, rngs),
                       head(features, 2, rngs))  # fmt: skip


def test_sngp_has_the_variance_of_the_gaussian_process_with_its_kernel():
    network = spectral(nnx.Rngs(params=0))
    found = sngp(jax.random.key(0), hidden(network), two_inputs, observations=40, samples=20_000)
    features = lambda x: np.append(np.asarray(network.trunk(x)), 1.0)  # noqa: E731
    phi = np.stack([features(jnp.asarray(x, jnp.float32)) for x in TWO])
    p = np.stack([np.asarray(network(jnp.asarray(x, jnp.float32)).probabilities) for x in TWO])
    # Off the inputs, where the prior decides, and at one of them, where the curvature does.
    for at in (features(jnp.array([1.5])), phi[0]):
        drawn = np.einsum("d,sdk->sk", at, np.asarray(found.weights))
        for k in range(2):
            # The posterior in function space, each input 20 times: k(*, *) - k(*, X) (K + W^-1)^-1 k(X, *).
            cross, noise = phi @ at, np.diag(1 / (20 * p[:, k] * (1 - p[:, k])))
            exact = at @ at - cross @ np.linalg.solve(phi @ phi.T + noise, cross)
            assert drawn[:, k].var() == pytest.approx(exact, rel=0.06) and exact > 0.1
    # Each class has a posterior of its own.
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 5 / np.sqrt(20_000)


def test_inner_products_of_random_features_approach_the_kernel():
    identity = nnx.Sequential(lambda x: x)
    features = RandomFourierFeatures(identity, 3, 20_000, nnx.Rngs(params=0), length=2.0)
    a, b = jnp.array([0.3, -1.0, 2.0]), jnp.array([1.3, 0.5, 0.0])
    kernel = np.exp(-float(jnp.sum((a - b) ** 2)) / 8)
    assert float(features(a) @ features(b)) == pytest.approx(kernel, abs=5 / np.sqrt(20_000))
    assert float(features(a) @ features(a)) == pytest.approx(1, abs=5 / np.sqrt(20_000))


def test_the_spectral_bound_is_one_and_close():
    rng = np.random.default_rng(0)
    for shape in ((64, 64), (3, 9), (9, 3), (1, 5)):
        for size in (1e-6, 1.0, 1e6):
            kernel = rng.normal(size=shape).astype(np.float32) * size
            exact = np.linalg.norm(kernel.astype(float), ord=2)
            assert (
                exact * (1 - 1e-5)
                <= float(spectral_bound(jnp.asarray(kernel)))
                <= exact * min(shape) ** (1 / 64) * 1.0001
            )
    assert float(spectral_bound(jnp.zeros((3, 3)))) == 0


def test_a_spectral_trunk_keeps_distances_whatever_its_weights():
    trunk = SpectralPerceptron(2, 8, 3, nnx.Rngs(params=0), bound=0.6)
    for layer in trunk.layers:
        layer.kernel[...] = 30 * layer.kernel[...]
    x = jax.random.normal(jax.random.key(0), (40, 2))
    before, after = jax.vmap(trunk.first)(x), jax.vmap(trunk)(x)
    ratio = np.linalg.norm(after[1:] - after[:-1], axis=1) / np.linalg.norm(before[1:] - before[:-1], axis=1)
    assert np.all((ratio >= 0.4**2) & (ratio <= 1.6**2)) and ratio.max() > 1.1


def epinet(rngs, classes=2):
    """An epinet on a small trunk."""
    return EpinetNetwork(Perceptron(1, 4, 1, rngs), 1, 4, classes, rngs, index=3, hidden=5)


def test_an_epinet_gives_the_logits_of_its_formula_and_its_mixture_those_of_its_indices(x64):
    trunk = Perceptron(2, 4, 1, nnx.Rngs(params=0))
    network = EpinetNetwork(trunk, 2, 4, 3, nnx.Rngs(params=1), index=2, hidden=5, scale=1.7)
    x = np.array([0.4, -1.1])
    gelu = lambda a: np.asarray(jax.nn.gelu(jnp.asarray(a)))  # noqa: E731
    affine = lambda layer, a: a @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])  # noqa: E731
    features = gelu(affine(trunk.layers[0], x))
    prior = gelu(x @ np.asarray(network.prior_in[...]) + np.asarray(network.prior_bias[...]))
    prior = (prior @ np.asarray(network.prior_out[...])).reshape(3, 2)

    def by_hand(z):
        learned = affine(network.out, gelu(affine(network.hidden, np.concatenate([features, x, z])))).reshape(3, 2)
        logits = affine(network.base, features) + learned @ z + 1.7 * prior @ z
        return logits - np.log(np.exp(logits).sum())

    indices = np.array([[1.0, -0.5], [0.3, 2.0]])
    for z in indices:
        np.testing.assert_allclose(network(jnp.asarray(x), jnp.asarray(z)), by_hand(z), atol=1e-6)
        # Both parts that the index multiplies are large enough to be missed.
        assert np.abs(prior @ z).max() > 0.1 and np.abs(by_hand(z) - by_hand(np.zeros(2)) - prior @ z).max() > 0.1
    base = affine(network.base, features)
    np.testing.assert_allclose(network(jnp.asarray(x), jnp.zeros(2)), base - np.log(np.exp(base).sum()), atol=1e-6)
    found = EpinetMixture(hidden(network), jnp.asarray(indices))(jnp.asarray(x))
    rows = np.exp([by_hand(z) for z in indices])
    np.testing.assert_allclose(found.probabilities, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(rows.T, ddof=0), atol=1e-6)


def test_no_gradient_of_an_epinet_reaches_the_trunk_but_through_the_base():
    network = epinet(nnx.Rngs(params=0))
    x, z = jnp.array([0.4]), jnp.array([1.0, -0.5, 2.0])

    def slope(network):
        graph, weights, fixed = nnx.split(network, nnx.Param, ...)
        gradient = jax.grad(lambda w: nnx.merge(graph, w, fixed)(x, z)[0])(weights)
        pure = nnx.to_pure_dict(gradient)
        return [float(sum(jnp.abs(leaf).sum() for leaf in jax.tree.leaves(pure[part]))) for part in ("trunk", "out")]

    assert min(slope(network)) > 1e-3
    network.base.kernel[...] = jnp.zeros_like(network.base.kernel[...])
    trunk, out = slope(network)
    assert trunk == 0 and out > 1e-3


def coin(key, responses=2):
    """Inputs that cannot be told apart: in half of them heads come up nine times in ten, in half once."""
    coin_key, toss_key = jax.random.split(key)
    chance = jnp.where(jax.random.bernoulli(coin_key), 0.9, 0.1)
    return jnp.zeros(1), jax.random.bernoulli(toss_key, chance, (responses,)).astype(int)


def test_the_prior_of_an_epinet_is_not_trained():
    config = PairTraining(steps=20, batch=16, weight_decay=0.1, learning_rate=0.1)
    model, _ = train_epinet(jax.random.key(0), epinet, coin, config, samples=3)
    weights_key = jax.random.split(jax.random.split(jax.random.key(0))[0], 3)[0]
    born, trained = epinet(nnx.Rngs(params=weights_key)), model.model.network
    np.testing.assert_array_equal(trained.prior_out[...], born.prior_out[...])
    np.testing.assert_array_equal(trained.prior_in[...], born.prior_in[...])
    assert np.abs(trained.out.kernel[...] - born.out.kernel[...]).max() > 0.1


def evidential(rngs):
    """A network with an evidential head."""
    return PairNetwork(Perceptron(1, 4, 1, rngs), EvidentialHead(4, 2, rngs))


def dropout(rngs):
    """A network with dropout."""
    return DropoutNetwork(Perceptron(1, 4, 1, rngs), 2, rngs)


@pytest.mark.parametrize(
    ("train", "network", "kind"),
    [
        (train_evidential, evidential, Dirichlet),
        (train_dropout, dropout, Mixture),
        (train_epinet, epinet, Mixture),
    ],
)
def test_a_baseline_is_trained_in_one_program_and_does_not_find_the_variance(train, network, kind):
    traces = []

    def counted(rngs):
        traces.append(1)
        return network(rngs)

    config = PairTraining(steps=200, batch=64, learning_rate=1e-2)
    model, losses = train(jax.random.key(0), counted, coin, config)
    count = len(traces)
    other, _ = train(jax.random.key(1), counted, coin, config)
    assert len(traces) == count and losses.shape == (200,)
    found = model(jnp.zeros(1))
    assert isinstance(found, kind) and float(found.probabilities[1]) == pytest.approx(0.5, abs=0.1)
    assert float(jnp.abs(found.probabilities - other(jnp.zeros(1)).probabilities).max()) > 0
    # The truth is .16.
    assert float(found.variance[1]) < 0.1
    batch = jax.jit(jax.vmap(lambda x: model(x).covariance))(jnp.zeros((5, 1)))
    assert np.linalg.eigvalsh(batch).min() > -1e-6


def test_posteriors_do_not_retrace_and_shrink_with_observations():
    traces = []

    def draw(key):
        traces.append(1)
        return two_inputs(key)

    model = hidden(spectral(nnx.Rngs(params=0)))
    few = sngp(jax.random.key(0), model, draw, observations=10)(jnp.array([0.5]))
    count = len(traces)
    many = sngp(jax.random.key(1), model, draw, observations=10_000)(jnp.array([0.5]))
    assert len(traces) == count
    assert float(many.variance[1]) < 0.1 * float(few.variance[1])


def test_settings_that_mean_nothing_are_refused():
    rngs = nnx.Rngs(params=0)
    with pytest.raises(ValueError, match="anneal is a share"):
        train_evidential(jax.random.key(0), evidential, coin, PairTraining(), anneal=0.0)
    with pytest.raises(ValueError, match="rate is the probability"):
        DropoutNetwork(Perceptron(1, 2, 1, rngs), 2, rngs, rate=1.0)
    for train, network in ((train_dropout, dropout), (train_epinet, epinet)):
        with pytest.raises(ValueError, match="two or more"):
            train(jax.random.key(0), network, coin, PairTraining(), samples=1)
    with pytest.raises(ValueError, match="bound on the spectral norm"):
        SpectralPerceptron(1, 2, 2, rngs, bound=1.0)
    with pytest.raises(ValueError, match="length scale"):
        RandomFourierFeatures(Perceptron(1, 2, 1, rngs), 2, 4, rngs, length=0.0)
    with pytest.raises(ValueError, match="an index has one entry"):
        EpinetNetwork(Perceptron(1, 2, 1, rngs), 1, 2, 2, rngs, index=0)
    model = hidden(spectral(rngs))
    with pytest.raises(ValueError, match="observations must be positive"):
        laplace(jax.random.key(0), model, two_inputs, observations=0)
    with pytest.raises(ValueError, match="prior_precision must be positive"):
        sngp(jax.random.key(0), model, two_inputs, observations=5, prior_precision=-1.0)
    with pytest.raises(TypeError, match="ordinary classifier"):
        laplace(jax.random.key(0), hidden(spectral(rngs, components=2)), two_inputs, observations=5)
