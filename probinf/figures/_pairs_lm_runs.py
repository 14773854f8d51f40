"""A probe on a language model's activation that is taught by pairs of answers, measured on held-out questions."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, PRNGKeyArray

from probinf.figures._auroc import auroc
from probinf.figures._pairs_lm_questions import Questions
from probinf.verifiers.pairs import MixtureHead, PairNetwork, PairTraining, Perceptron, train_pairs

BETAS = (0.1, 0.2, 0.3, 0.5)
FOLDS = 5
_WIDTH, _COMPONENTS = 64, 32
TRAINING = PairTraining(steps=500, batch=256, learning_rate=3e-3, weight_decay=0.1)


def run_fold(
    key: PRNGKeyArray, questions: Questions, fold: int, capitals: float, training: PairTraining = TRAINING
) -> dict[str, Any]:
    """Train on the questions outside of a fold, measure on those inside.

    With `capitals` above zero, annotators write their letter as a capital with that probability: as many classes again,
    whose small probabilities say nothing about what is right.
    """
    held_out = np.arange(len(questions.words)) % FOLDS == fold
    known = questions.hidden[~held_out]
    x = (questions.hidden - known.mean(0)) / known.std(0)
    truth, choice = questions.truth, questions.log_choice
    if capitals > 0:
        truth = np.concatenate([truth * (1 - capitals), truth * capitals], axis=1)
        choice = np.concatenate([choice, np.full(choice.shape, -np.inf)], axis=1)
    probabilities, confidence = fit_and_predict(key, x[~held_out], truth[~held_out], x[held_out], training)
    return measure(probabilities, confidence, choice[held_out], truth[held_out])


def fit_and_predict(
    key: PRNGKeyArray,
    known: Float[np.ndarray, "N dimension"],
    truth: Float[np.ndarray, "N K"],
    asked: Float[np.ndarray, "M dimension"],
    training: PairTraining,
) -> tuple[Float[np.ndarray, "M K"], Float[np.ndarray, "M K"]]:
    """Probabilities and confidence on the questions asked, of a probe that saw two fresh answers at every visit."""
    network = Partial(_build, dimension=known.shape[1], classes=truth.shape[1])
    draw = Partial(_draw, x=jnp.asarray(known, jnp.float32), p=jnp.asarray(truth, jnp.float32))
    model, _ = train_pairs(key, network, draw, training)
    found = _predict(model, jnp.asarray(asked, jnp.float32))
    return np.asarray(found[0], float), np.asarray(found[1], float)


def _build(rngs: nnx.Rngs, dimension: int, classes: int) -> PairNetwork:
    return PairNetwork(
        Perceptron(dimension, _WIDTH, 1, rngs), MixtureHead(_WIDTH, classes, rngs, components=_COMPONENTS)
    )


def _draw(key: PRNGKeyArray, x: Float[Array, "N dimension"], p: Float[Array, "N K"]) -> tuple[Array, Array]:
    """One of the questions, and the answers of two annotators to it."""
    which_key, answer_key, noise_key = jax.random.split(key, 3)
    which = jax.random.randint(which_key, (), 0, x.shape[0])
    # As large as the features' own spread: with one question for each feature, a network would learn them by heart.
    return x[which] + jax.random.normal(noise_key, x.shape[1:]), jax.random.categorical(
        answer_key, jnp.log(p[which]), shape=(2,)
    )


@eqx.filter_jit
def _predict(model: Any, x: Float[Array, "M dimension"]) -> tuple[Array, Array]:
    def one(x: Array) -> tuple[Array, Array]:
        prediction = model(x)
        return prediction.probabilities, prediction.confidence

    return jax.vmap(one)(x)


def measure(
    probabilities: Float[np.ndarray, "M K"],
    confidence: Float[np.ndarray, "M K"],
    log_choice: Float[np.ndarray, "M K"],
    truth: Float[np.ndarray, "M K"],
) -> dict[str, Any]:
    """How well scores tell impossible answers from possible ones, over drawn answers of the probe and of the model.

    Exact: over every answer with its probability, not over draws. Scores: `doubt` 1 - C and `surprise` -log p of the
    probe, `choice` -log q of the language model among the letters. Where nothing passes, `filtered_wrong` is NaN.
    """
    wrong = truth <= 0
    log_q = log_choice - np.logaddexp.reduce(log_choice, axis=1, keepdims=True)
    q = np.exp(log_q)
    scores = {"doubt": 1 - confidence, "surprise": -np.log(np.maximum(probabilities, 1e-30)), "choice": -log_q}
    found: dict[str, Any] = {}
    for answerer, weight in {"probe": probabilities, "model": q}.items():
        found[f"{answerer}_wrong"] = float((weight * wrong).sum(1).mean())
        found[f"{answerer}_bound"] = float((weight * (1 - confidence)).sum(1).mean())
        for name, score in scores.items():
            found[f"{answerer}_auroc_{name}"] = auroc(score, wrong, weight)
        passed = [weight * (1 - confidence <= beta) for beta in BETAS]
        found[f"{answerer}_answered"] = [float(one.sum(1).mean()) for one in passed]
        found[f"{answerer}_filtered_wrong"] = [_share(one * wrong, one) for one in passed]
    return found


def _share(part: Float[np.ndarray, "M K"], whole: Float[np.ndarray, "M K"]) -> float:
    """Part of whole; of nothing there is no share, and NaN says so."""
    return float(part.sum() / whole.sum()) if whole.sum() > 0 else float("nan")
