"""Models of pairs and their rivals, trained on the same world and measured against its truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, PRNGKeyArray

from probinf.figures._pairs_baselines import BASELINES
from probinf.figures._pairs_worlds import World, grid, seen
from probinf.verifiers.pairs import (
    ChainHead,
    DirichletHead,
    Ensemble,
    EpistemicPrediction,
    JointHead,
    MixtureHead,
    PairNetwork,
    PairTable,
    PairTraining,
    Perceptron,
    covered,
    error_ratio_bound,
    expected_calibration_error,
    second_order_calibration_error,
    train_pairs,
    worst_decile,
)

BETAS = (0.05, 0.1, 0.25, 0.5)
HEADS: dict[str, Callable[..., Any]] = {
    "mixture": MixtureHead,
    "Dirichlet": DirichletHead,
    "joint": JointHead,
    "chain": ChainHead,
    "ensemble": Partial(MixtureHead, components=1),
}
MODELS = (*HEADS, *BASELINES)
_MEMBERS = 5
_WIDTH, _LAYERS = 64, 3
# Inputs that one compiled call looks at together.
_BATCH = 1024
_HELD_OUT = 5000


def build(rngs: nnx.Rngs, head: Callable[..., Any], classes: int) -> PairNetwork:
    """The network of every run."""
    return PairNetwork(Perceptron(1, _WIDTH, _LAYERS, rngs), head(_WIDTH, classes, rngs))


def train(
    key: PRNGKeyArray, world: World, name: str, steps: int, *, responses: int = 2, inputs: int | None = None
) -> Callable[[Array], EpistemicPrediction]:
    """A trained model; of `inputs` fixed inputs with their responses, or of fresh ones at every step.

    The ensemble's members see one response to each input, and as many responses in all as a model of pairs; the other
    baselines see the same pairs as that, and take each response for itself.
    """
    if name in BASELINES:
        draw = Partial(world.draw, responses=responses)
        return BASELINES[name](key, world.classes, draw, PairTraining(steps=steps))
    # Not functools.partial: equal ones of these share a compiled program, whatever the seed.
    network = Partial(build, head=HEADS[name], classes=world.classes)
    data_key, train_key = jax.random.split(key)
    single = name == "ensemble"
    if inputs is None:
        draw = Partial(world.draw, responses=1 if single else responses)
    else:
        x, y = jax.vmap(lambda k: world.draw(k, responses))(jax.random.split(data_key, inputs))
        draw = Partial(_redraw, x=x, y=y)
    config = PairTraining(steps=steps, batch=512 if single and inputs is None else 256)
    if not single:
        return train_pairs(train_key, network, draw, config)[0]
    keys = jax.random.split(train_key, _MEMBERS)
    return Ensemble(eqx.filter_vmap(lambda k: train_pairs(k, network, draw, config)[0])(keys))


def _redraw(key: PRNGKeyArray, x: Float[Array, "N 1"], y: Array) -> tuple[Array, Array]:
    """One of the fixed inputs, with its responses."""
    which = jax.random.randint(key, (), 0, x.shape[0])
    return x[which], y[which]


def measure(key: PRNGKeyArray, world: World, model: Callable[[Array], EpistemicPrediction]) -> dict[str, Any]:
    """All measures of one model, pooled over classes (of two the second, for both say the same)."""
    found = _measure(key, world, model)
    return {name: np.asarray(value, float).tolist() for name, value in found.items()}


@eqx.filter_jit
def _moments(model: Any, x: Float[Array, " X"]) -> tuple[Array, Array, Array]:
    def one(x: Array) -> tuple[Array, Array, Array]:
        prediction = model(seen(x))
        if isinstance(prediction, PairTable):
            prediction = prediction.symmetrized()
        # A variance that is fitted freely may be negative, and is then taken for zero.
        return prediction.probabilities, jnp.maximum(prediction.variance, 0.0), prediction.confidence

    return jax.lax.map(one, x, batch_size=_BATCH)


@eqx.filter_jit
def _measure(key: PRNGKeyArray, world: World, model: Any) -> dict[str, Array]:
    x = jnp.asarray(grid())
    truth = jax.lax.map(world.truth, x, batch_size=_BATCH)
    p, v, c = _moments(model, x)
    kl = jnp.sum(jnp.where(truth > 0, truth * (jnp.log(jnp.where(truth > 0, truth, 1.0)) - jnp.log(p)), 0.0), axis=1)
    some = slice(1, None) if world.classes == 2 else slice(None)
    flat = lambda array: array[:, some].ravel()  # noqa: E731
    error = flat(p - truth)
    inside = [covered(flat(v), error, beta) for beta in BETAS]
    return {
        "variance": jnp.mean(flat(v)),
        "squared_error": jnp.mean(error**2),
        "ece_1": expected_calibration_error(flat(p), flat(truth)),
        "ece_2": second_order_calibration_error(flat(v), error**2),
        "kl": jnp.mean(kl),
        "coverage": jnp.stack([jnp.mean(one) for one in inside]),
        "worst_coverage": jnp.stack([worst_decile(flat(v), one) for one in inside]),
        "ratio": jnp.mean(error**2 / jnp.maximum(flat(v), 0.01)),
        "ratio_bound": _bound(key, world, model),
        **_answers(p, c, truth),
    }


def _bound(key: PRNGKeyArray, world: World, model: Any) -> Array:
    """The bound on the ratio of the last class by held-out pairs."""
    keys = jax.random.split(key, _HELD_OUT)
    x, y = jax.vmap(lambda k: world.draw(k, 2))(keys)
    p, v, _ = _moments(model, (x[:, 0] + 2) / 4)
    last = world.classes - 1
    return error_ratio_bound(p[:, last], v[:, last], y[:, 0] == last, y[:, 1] == last)


def _answers(p: Float[Array, "X K"], c: Float[Array, "X K"], truth: Float[Array, "X K"]) -> dict[str, Array]:
    """Drawn responses: what is hallucinated of all, the bound on it, and of those that a filter lets pass at each beta.

    Exact: over every response with its probability, not over draws.
    """
    wrong = truth <= 0
    hallucinated = jnp.mean(jnp.sum(p * wrong, axis=1))
    bound = jnp.mean(jnp.sum(p * (1 - c), axis=1))
    admitted = [(1 - c <= beta) for beta in BETAS]
    answered = [jnp.mean(jnp.sum(p * one, axis=1)) for one in admitted]
    errors = [jnp.mean(jnp.sum(p * (one & wrong), axis=1)) for one in admitted]
    share = [jnp.where(a > 0, e / jnp.maximum(a, 1e-12), 0.0) for a, e in zip(answered, errors, strict=True)]
    return {
        "hallucinated": hallucinated,
        "hallucination_bound": bound,
        "answered": jnp.stack(answered),
        "filtered_hallucinated": jnp.stack(share),
    }
