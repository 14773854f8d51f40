"""Methods that say how little they know of an image, trained alike and measured against the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf.figures._pairs_image_worlds import (
    ANNOTATORS,
    DIGITS,
    ImageWorld,
    count_votes,
    draw_responses,
    draw_votes,
    split,
)
from probinf.verifiers.pairs import (
    DirichletHead,
    Ensemble,
    EpistemicPrediction,
    MixtureHead,
    PairNetwork,
    PairTraining,
    Perceptron,
    covered,
    expected_calibration_error,
    half_width,
    mean_upper_bound,
    second_order_calibration_error,
    squared_error_from_counts,
    train_pairs,
    worst_decile,
)
from probinf.verifiers.pairs.baselines import (
    DropoutNetwork,
    EpinetNetwork,
    EvidentialHead,
    RandomFourierFeatures,
    SpectralPerceptron,
    laplace,
    sngp,
    train_dropout,
    train_epinet,
    train_evidential,
)

# Answers at each visit to an image, of every method but one: those that learn from each by itself see as many.
ANSWERS = 2
# Test images of which a run tells what the method says.
EXAMPLES = 2
BETAS = (0.05, 0.1, 0.25, 0.5)
_WIDTH, _LAYERS = 64, 2
_MEMBERS = 5
# Of SNGP: random features, and the length scale of their kernel, about the distance of two images in the first layer.
_FEATURES, _LENGTH = 128, 2.0
# Below this a variance is not believed, where a bound from held-out votes is wanted.
_FLOOR = 0.002

Model = Callable[[Array], EpistemicPrediction]


class Images(NamedTuple):
    """Images and what annotators said of them."""

    pixels: Float[Array, "N P"]
    votes: Int[Array, "N 50"]


class Predictions(NamedTuple):
    """Of each image: probabilities and epistemic variances of classes, and variances of digits."""

    p: Float[Array, "N K"]
    v: Float[Array, "N K"]
    digit_v: Float[Array, "N 10"]


def build(rngs: nnx.Rngs, inputs: int, classes: int, head: Callable[..., Any]) -> PairNetwork:
    """The network of every method, but for its head."""
    return PairNetwork(Perceptron(inputs, _WIDTH, _LAYERS, rngs), head(_WIDTH, classes, rngs))


def fit_head(
    key: PRNGKeyArray, images: Images, classes: int, config: PairTraining, *, head: Callable[..., Any], responses: int
) -> Model:
    """A network taught by several responses to each image."""
    network = Partial(build, inputs=images.pixels.shape[1], classes=classes, head=head)
    return train_pairs(key, network, Partial(draw_responses, **images._asdict(), responses=responses), config)[0]


@eqx.filter_jit
def fit_ensemble(key: PRNGKeyArray, images: Images, classes: int, config: PairTraining) -> Model:
    """Networks without a variance of their own, alike but for their seeds."""
    one = Partial(fit_head, head=Partial(MixtureHead, components=1), responses=ANSWERS)
    keys = jax.random.split(key, _MEMBERS)
    return Ensemble(eqx.filter_vmap(lambda k: one(k, images, classes, config))(keys))


def fit_rival(
    key: PRNGKeyArray,
    images: Images,
    classes: int,
    config: PairTraining,
    *,
    train: Callable[..., Any],
    network: Callable[..., Any],
) -> Model:
    """A network that learns from each response by itself, in a way of its own."""
    made = Partial(network, inputs=images.pixels.shape[1], classes=classes)
    return train(key, made, Partial(draw_responses, **images._asdict(), responses=ANSWERS), config)[0]


def fit_last_layer(
    key: PRNGKeyArray,
    images: Images,
    classes: int,
    config: PairTraining,
    *,
    posterior: Callable[..., Any],
    network: Callable[..., Any],
) -> Model:
    """A network without a variance of its own, and then a Gaussian on its last layer; every vote is an observation."""
    fit_key, posterior_key = jax.random.split(key)
    made = Partial(network, inputs=images.pixels.shape[1], classes=classes)
    draw = Partial(draw_responses, **images._asdict(), responses=ANSWERS)
    model = train_pairs(fit_key, made, draw, config)[0]
    return posterior(posterior_key, model, draw, observations=images.votes.size)


def build_dropout(rngs: nnx.Rngs, inputs: int, classes: int) -> DropoutNetwork:
    """The trunk of every method, with units left out."""
    return DropoutNetwork(Perceptron(inputs, _WIDTH, _LAYERS, rngs), classes, rngs)


def build_epinet(rngs: nnx.Rngs, inputs: int, classes: int) -> EpinetNetwork:
    """The trunk of every method, with a network of an index beside it."""
    return EpinetNetwork(Perceptron(inputs, _WIDTH, _LAYERS, rngs), inputs, _WIDTH, classes, rngs)


def build_spectral(rngs: nnx.Rngs, inputs: int, classes: int) -> PairNetwork:
    """A trunk of the same size that keeps distances, and random features of a kernel on it."""
    trunk = SpectralPerceptron(inputs, _WIDTH, _LAYERS, rngs)
    features = RandomFourierFeatures(trunk, _WIDTH, _FEATURES, rngs, length=_LENGTH)
    return PairNetwork(features, MixtureHead(_FEATURES, classes, rngs, components=1))


_SINGLE = Partial(build, head=Partial(MixtureHead, components=1))
METHODS: dict[str, Callable[..., Model]] = {
    "mixture, k = 2": Partial(fit_head, head=MixtureHead, responses=ANSWERS),
    "mixture, k = 8": Partial(fit_head, head=MixtureHead, responses=8),
    "Dirichlet": Partial(fit_head, head=DirichletHead, responses=ANSWERS),
    "ensemble": fit_ensemble,
    "evidential": Partial(fit_rival, train=train_evidential, network=Partial(build, head=EvidentialHead)),
    "MC dropout": Partial(fit_rival, train=train_dropout, network=build_dropout),
    "Laplace": Partial(fit_last_layer, posterior=laplace, network=_SINGLE),
    "SNGP": Partial(fit_last_layer, posterior=sngp, network=build_spectral),
    "epinet": Partial(fit_rival, train=train_epinet, network=build_epinet),
}


def run(key: PRNGKeyArray, world: ImageWorld, name: str, train: int, config: PairTraining) -> dict[str, Any]:
    """All measures of one method on one split of a world, pooled over images and classes, and what it says of a few.

    The split and the votes depend on the key alone, so methods that are given the same one meet the same images.
    """
    split_key, votes_key, fit_key = jax.random.split(key, 3)
    classes = world.truth.shape[1]
    taught, calibrating, testing = split(split_key, len(world.truth), train)
    votes = draw_votes(votes_key, world.truth)
    images = Images(jnp.asarray(world.pixels[taught]), votes[taught])
    model = METHODS[name](fit_key, images, classes, config)
    seen = predict(model, jnp.asarray(world.pixels[testing]))
    held = predict(model, jnp.asarray(world.pixels[calibrating]))
    bound = pooled_ratio_bound(held.p, held.v, count_votes(votes[calibrating], classes))
    truth = jnp.asarray(world.truth[testing], seen.p.dtype)
    found = measure(seen.p, seen.v, truth, count_votes(votes[testing], classes), bound)
    few = Predictions(*(part[:EXAMPLES] for part in seen))
    epistemic = jnp.sum(few.v, axis=1)
    found |= {
        "example": testing[:EXAMPLES],
        "example_probability": by_digit(few.p),
        "example_deviation": jnp.sqrt(few.digit_v),
        "example_epistemic": epistemic,
        "example_aleatoric": jnp.sum(few.p * (1 - few.p), axis=1) - epistemic,
    }
    return {quantity: np.asarray(value, float).tolist() for quantity, value in found.items()}


@eqx.filter_jit
def predict(model: Model, pixels: Float[Array, "N P"]) -> Predictions:
    """Probabilities and epistemic variances of classes, and the variances of digits, which may be two classes each."""

    def one(x: Array) -> Predictions:
        prediction: Any = model(x)
        covariance = prediction.covariance
        digits = jnp.sum(covariance.reshape(DIGITS, -1, DIGITS, covariance.shape[0] // DIGITS), axis=(1, 3))
        clip = lambda variance: jnp.maximum(variance, 0.0)  # noqa: E731
        return Predictions(prediction.probabilities, clip(prediction.variance), clip(jnp.diagonal(digits)))

    return jax.vmap(one)(pixels)


def by_digit(p: Any) -> Any:
    """Probabilities of digits from those of classes."""
    return p.reshape(len(p), DIGITS, -1).sum(axis=2)


@jax.jit
def pooled_ratio_bound(p: Float[Array, "N K"], v: Float[Array, "N K"], counts: Int[Array, "N K"]) -> Float[Array, ""]:
    """An upper bound on E[(p - truth)^2 / max(v, floor)] over images and classes, from the votes on held-out images.

    Law: as that of `error_ratio_bound`, for one value an image: the mean over all pairs of its annotators and over
    classes, which is unbiased as one pair is. With shares q of n votes it is the mean over K classes of
    ((p - q)^2 - q (1 - q) / (n - 1)) / max(v, floor), and sum_y (p - q)^2 <= 2, sum_y q (1 - q) <= 1 bound it.
    """
    value = jnp.mean(squared_error_from_counts(p, counts, ANNOTATORS) / jnp.maximum(v, _FLOOR), axis=1)
    unit = 1 / (p.shape[1] * _FLOOR)
    return mean_upper_bound(value, -unit / (ANNOTATORS - 1), 2 * unit)


@jax.jit
def measure(
    p: Float[Array, "N K"],
    v: Float[Array, "N K"],
    truth: Float[Array, "N K"],
    counts: Int[Array, "N K"],
    bound: Float[Array, ""],
) -> dict[str, Array]:
    """Measures against the truth and, where their names say so, against the votes of annotators alone."""
    kl = jnp.sum(truth * (jnp.log(truth) - jnp.log(p)), axis=1)
    error, guess = (p - truth).ravel(), squared_error_from_counts(p, counts, ANNOTATORS).ravel()
    p, v = p.ravel(), v.ravel()
    inside = [covered(v, error, beta) for beta in BETAS]
    widths = [half_width(bound, v, beta, floor=_FLOOR) for beta in BETAS]
    return {
        "variance": jnp.mean(v),
        "squared_error": jnp.mean(error**2),
        "voted_squared_error": jnp.mean(guess),
        "ece_1": expected_calibration_error(p, truth.ravel()),
        "ece_2": second_order_calibration_error(v, error**2),
        "voted_ece_2": second_order_calibration_error(v, guess),
        "kl": jnp.mean(kl),
        "ratio": jnp.mean(error**2 / jnp.maximum(v, _FLOOR)),
        "ratio_bound": bound,
        "coverage": jnp.stack([jnp.mean(one) for one in inside]),
        "worst_coverage": jnp.stack([worst_decile(v, one) for one in inside]),
        "bounded_coverage": jnp.stack([jnp.mean(jnp.abs(error) < width) for width in widths]),
        # An interval of probabilities is never wider than one.
        "half_width": jnp.stack([jnp.mean(jnp.minimum(width, 1.0)) for width in widths]),
    }
