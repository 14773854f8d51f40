"""Models of the expert's paths, how each decodes, and what becomes of the walkers that follow them."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf import spawn
from probinf.figures._pairs_lake_world import CONTEXTS, HIDDEN, SIZE, draw, inputs, path_through, seen, truth, walks
from probinf.verifiers.pairs import (
    Ensemble,
    EpistemicPrediction,
    MarkovMixtureHead,
    Mixture,
    PairNetwork,
    PairTraining,
    Perceptron,
    rejection_decoder,
    respond,
    second_order_calibration_error,
    top_admitted,
    train_pairs,
)

BETAS = (0.02, 0.05, 0.1, 0.2, 0.4)
DECODERS = ("sample", "most probable", "rejection", "search")
COMPONENTS, _MEMBERS, _BATCH = 16, 5, 128
_WIDTH, _LAYERS = 64, 2
_BUDGET = 16


def build(rngs: nnx.Rngs, components: int) -> PairNetwork:
    """The network of every run."""
    head = MarkovMixtureHead(_WIDTH, SIZE, SIZE - 1, rngs, components=components)
    return PairNetwork(Perceptron(CONTEXTS, _WIDTH, _LAYERS, rngs), head)


def train(key: PRNGKeyArray, name: str, steps: int) -> Mixture:
    """The predictions of a trained model, with a leading axis of contexts.

    The ensemble's members see one path in each context, and as many paths in all as a model of pairs.
    """
    if name == "exact":
        return exact()
    single = name == "ensemble"
    # Not functools.partial: equal ones of these share a compiled program, whatever the seed.
    network = Partial(build, components=1 if single else COMPONENTS)
    show = Partial(draw, responses=1 if single else 2)
    config = PairTraining(steps=steps, batch=2 * _BATCH if single else _BATCH)
    if not single:
        return _predict(train_pairs(key, network, show, config)[0])
    members = eqx.filter_vmap(lambda k: train_pairs(k, network, show, config)[0])(jax.random.split(key, _MEMBERS))
    return _predict(Ensemble(members))


@eqx.filter_jit
def _predict(model: Any) -> Mixture:
    def one(context: Array) -> Mixture:
        prediction = model(seen(context))
        return prediction if isinstance(prediction, Mixture) else prediction.enumerated

    return jax.vmap(one)(jnp.arange(CONTEXTS))


def exact() -> Mixture:
    """What a perfect learner would say: in each context, the expert's paths on all lakes that it may be."""
    weights = np.zeros((CONTEXTS, len(truth())))
    np.add.at(weights, tuple(inputs().T), 1.0)
    weights /= weights.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return Mixture(np.log(weights), np.log(np.broadcast_to(truth(), (CONTEXTS, *truth().shape))))


def moments(model: EpistemicPrediction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, variances and confidences of every path in every context."""
    return tuple(np.asarray(part, float) for part in _moments(model))  # pyright: ignore[reportReturnType]


@eqx.filter_jit
def _moments(model: EpistemicPrediction) -> tuple[Array, Array, Array]:
    return jax.vmap(lambda one: (one.probabilities, one.variance, one.confidence))(model)


def answers(
    decoder: str, p: Float[np.ndarray, "C P"], admitted: Bool[np.ndarray, "C P"]
) -> tuple[Float[np.ndarray, "C P"], Float[np.ndarray, " C"]]:
    """The law of a decoder's paths in each context (zero where it has none), and its chance to answer.

    Law: exact for `respond`, `rejection_decoder` and `top_admitted`.
    """
    everything = np.ones(len(p))
    if decoder == "sample":
        return p / p.sum(axis=1, keepdims=True), everything
    if decoder == "most probable":
        return np.eye(p.shape[1])[p.argmax(axis=1)], everything
    some = np.asarray(admitted.any(axis=1))
    if decoder == "search":
        best = np.where(admitted, p, -1.0).argmax(axis=1)
        return np.eye(p.shape[1])[best] * some[:, None], some.astype(float)
    kept = np.where(admitted, p, 0.0)
    mass = kept.sum(axis=1)
    return kept / np.where(mass > 0, mass, 1.0)[:, None], 1 - (1 - np.minimum(mass, 1.0)) ** _BUDGET


def measure(model: EpistemicPrediction) -> dict[str, Any]:
    """All measures of one model: exact sums over lakes, contexts and paths, without sampling."""
    p, v, c = moments(model)
    context, hazard = inputs().T
    target, best = truth()[hazard], moments(exact())[0]
    squared = (p[context] - target) ** 2
    ece_2 = second_order_calibration_error(jnp.asarray(v[context].ravel()), jnp.asarray(squared.ravel()))
    straight = path_through(2, 2, 2, 2)
    found: dict[str, Any] = {
        "variance": v[context].mean(),
        "squared_error": squared.mean(),
        "ece_2": float(ece_2),
        "hidden_variance": v[HIDDEN].sum(),
        "straight_doubt": 1 - c[HIDDEN, straight],
        "distance": 0.5 * np.abs(p[context] - best[context]).sum(axis=1).mean(),
    }
    rows = [[_outcomes(*answers(name, p, 1 - c <= beta)) for beta in BETAS] for name in DECODERS]
    for quantity in rows[0][0]:
        found[quantity] = [[row[quantity] for row in line] for line in rows]
    return jax.tree.map(float, found)


def _outcomes(law: Float[np.ndarray, "C P"], chance: Float[np.ndarray, " C"]) -> dict[str, float]:
    """Over all lakes: how often it answers, what an answer and a question earn, and how many answers are unsafe.

    Silence earns nothing. Where nothing is answered, shares of answers are NaN.
    """
    context, hazard = inputs().T
    earned = np.sum(law[context] * walks().returns[hazard], axis=1) * chance[context]
    fallen = np.sum(law[context] * walks().falls[hazard], axis=1) * chance[context]
    share = lambda part, whole: float(part.sum() / whole.sum()) if whole.sum() > 0 else float("nan")  # noqa: E731
    hidden = context == HIDDEN
    return {
        "answered": float(chance[context].mean()),
        "reward": float(earned.mean()),
        "reward_answered": share(earned, chance[context]),
        "unsafe": share(fallen, chance[context]),
        "unsafe_hidden": share(fallen[hidden], chance[context][hidden]),
    }


def walkers(key: PRNGKeyArray, model: Mixture, decoder: str, beta: float, count: int) -> list[int]:
    """Paths drawn by a decoder where nothing is said of the hazard; -1 for silence."""
    one = jax.tree.map(lambda leaf: leaf[HIDDEN], model)
    samplers = {
        "sample": lambda: respond(one),
        "rejection": lambda: rejection_decoder(one, beta, budget=_BUDGET),
        "search": lambda: top_admitted(one, beta),
    }
    cloud, _ = samplers[decoder]()(key, spawn(count))
    return np.where(np.isfinite(np.asarray(cloud.log_weights)), np.asarray(cloud.values), -1).tolist()
