"""The baselines of the figure on pairs: as deep and wide as the models of pairs, and taught by the same responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, PRNGKeyArray

from probinf.verifiers.pairs import (
    EpistemicPrediction,
    MixtureHead,
    PairNetwork,
    PairTraining,
    Perceptron,
    train_pairs,
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

Model = Callable[[Array], EpistemicPrediction]
_WIDTH, _LAYERS, _FEATURES = 64, 3, 128
# Responses to each input.
_RESPONSES = 2


def _evidential(key: PRNGKeyArray, classes: int, draw: Partial, config: PairTraining) -> Model:
    return train_evidential(key, Partial(_evidential_network, classes=classes), draw, config)[0]


def _dropout(key: PRNGKeyArray, classes: int, draw: Partial, config: PairTraining) -> Model:
    return train_dropout(key, Partial(_dropout_network, classes=classes), draw, config)[0]


def _epinet(key: PRNGKeyArray, classes: int, draw: Partial, config: PairTraining) -> Model:
    return train_epinet(key, Partial(_epinet_network, classes=classes), draw, config)[0]


def _laplace(key: PRNGKeyArray, classes: int, draw: Partial, config: PairTraining) -> Model:
    model, _ = train_pairs(key, Partial(_classifier, classes=classes), draw, config)
    return laplace(key, model, draw, observations=_responses(config))


def _sngp(key: PRNGKeyArray, classes: int, draw: Partial, config: PairTraining) -> Model:
    model, _ = train_pairs(key, Partial(_spectral_network, classes=classes, components=1), draw, config)
    return sngp(key, model, draw, observations=_responses(config))


def _pairs_on_spectral(key: PRNGKeyArray, classes: int, draw: Partial, config: PairTraining) -> Model:
    return train_pairs(key, Partial(_spectral_network, classes=classes, components=8), draw, config)[0]


BASELINES: dict[str, Callable[..., Model]] = {
    "evidential": _evidential,
    "dropout": _dropout,
    "Laplace": _laplace,
    "SNGP": _sngp,
    "epinet": _epinet,
    "mixture on SNGP": _pairs_on_spectral,
}


def _responses(config: PairTraining) -> int:
    return config.steps * config.batch * _RESPONSES


def _trunk(rngs: nnx.Rngs) -> Perceptron:
    return Perceptron(1, _WIDTH, _LAYERS, rngs)


def _evidential_network(rngs: nnx.Rngs, classes: int) -> PairNetwork:
    return PairNetwork(_trunk(rngs), EvidentialHead(_WIDTH, classes, rngs))


def _dropout_network(rngs: nnx.Rngs, classes: int) -> DropoutNetwork:
    return DropoutNetwork(_trunk(rngs), classes, rngs)


def _epinet_network(rngs: nnx.Rngs, classes: int) -> EpinetNetwork:
    return EpinetNetwork(_trunk(rngs), 1, _WIDTH, classes, rngs)


def _classifier(rngs: nnx.Rngs, classes: int) -> PairNetwork:
    return PairNetwork(_trunk(rngs), MixtureHead(_WIDTH, classes, rngs, components=1))


def _spectral_network(rngs: nnx.Rngs, classes: int, components: Any) -> PairNetwork:
    trunk = RandomFourierFeatures(SpectralPerceptron(1, _WIDTH, _LAYERS, rngs), _WIDTH, _FEATURES, rngs)
    return PairNetwork(trunk, MixtureHead(_FEATURES, classes, rngs, components=components))
