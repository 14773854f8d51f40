"""Training on several responses to each input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import whole
from probinf.verifiers.pairs._checks import check_responses
from probinf.verifiers.pairs._fit import Draw, PairModel, PairTraining, fit
from probinf.verifiers.pairs._prediction import EpistemicPrediction, Mixture, PairTable
from probinf.verifiers.pairs._sequences import SequencePairs

# Inputs that are looked at before training: where two responses differ once in a thousand, they all agree with
# probability .02.
_LOOKED_AT = 4096


class Ensemble(eqx.Module):
    """Models of one response each, alike but for their seeds, as a mixture with equal weights.

    Law: heuristic: where all members underfit alike they agree, and the variance says nothing of the error.

    Source: Lakshminarayanan, Pritzel and Blundell, arXiv 1612.01474.
    """

    members: PairModel

    def __call__(self, x: Array) -> Mixture:
        """The prediction."""
        p = eqx.filter_vmap(lambda member: member(x).probabilities)(self.members)
        return Mixture(jnp.full(p.shape[0], -jnp.log(p.shape[0])), jnp.log(p))


def response_loss(
    prediction: EpistemicPrediction | SequencePairs, responses: Int[Array, "k *slots"]
) -> Float[Array, ""]:
    """Minus the log-probability of k responses to one input, in nats a response; a table's and a sequence's in both
    orders.

    Law: proper: its mean is least where the prediction is calibrated for k responses.

    Raises: ValueError for no response.
    """
    responses = whole("responses", responses)
    if not responses.ndim or not responses.size:
        raise ValueError(f"a loss needs at least one response, got shape {responses.shape}")
    if isinstance(prediction, PairTable | SequencePairs):
        both = prediction.log_probability(responses) + prediction.log_probability(responses[::-1])
        return -0.25 * both
    return -prediction.log_probability(responses) / responses.shape[0]  # pyright: ignore[reportAttributeAccessIssue]


def train_pairs(
    key: PRNGKeyArray,
    network: Callable[[nnx.Rngs], nnx.Module],
    draw: Draw,
    config: PairTraining,
    loss: Callable[[Any, Array], Array] = response_loss,
) -> tuple[PairModel, Float[Array, " steps"]]:
    """Train a network on fresh draws of an input and its responses; one compiled loop, which works under vmap.

    Returns: the model, and the loss of each step in nats a response.

    Raises: ValueError where 4,096 draws of two or more responses fail `check_responses`: one annotator was taken twice,
        or there is a single class. Under an outer jit the draws cannot be seen, and nothing is refused.
    """
    _check_draw(network, draw)
    return fit(key, network, draw, config, _Response(loss))


class _Response(eqx.Module):
    """A loss of a prediction, as one of a network."""

    of: Callable[[Any, Array], Array] = eqx.field(static=True)

    def __call__(self, network: Any, key: Any, progress: Any, x: Array, responses: Array) -> Array:
        del key, progress
        return self.of(network(x), responses)


def _check_draw(network: Callable[[nnx.Rngs], nnx.Module], draw: Draw) -> None:
    # A key of its own, so that the draws are concrete even where the keys of training are under vmap.
    keys = jax.random.split(jax.random.key(0), _LOOKED_AT)
    x, responses = _look(draw, keys)
    if isinstance(responses, Tracer) or responses.shape[1] < 2:
        return
    if responses.ndim > 2:
        # Of sequences every one that was met is a class.
        texts, classes = np.unique(np.asarray(responses).reshape(-1, responses.shape[-1]), axis=0, return_inverse=True)
        check_responses(classes.reshape(responses.shape[:2]), len(texts))
        return
    prediction: Any = jax.eval_shape(lambda x: network(nnx.Rngs(params=0))(x).probabilities, x[0])  # pyright: ignore[reportCallIssue]
    check_responses(responses, prediction.shape[-1])


@eqx.filter_jit
def _look(draw: Draw, keys: Array) -> tuple[Array, Array]:
    return jax.vmap(draw)(keys)
