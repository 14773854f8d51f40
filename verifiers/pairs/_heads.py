"""What turns features of an input into a prediction of its responses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from probinf.verifiers.pairs._prediction import Dirichlet, EpistemicPrediction, Mixture, PairTable


class Head(nnx.Module):
    """From features to a prediction; goes on any trunk."""

    def __call__(self, features: Float[Array, " width"]) -> EpistemicPrediction:
        """The prediction of one input."""
        raise NotImplementedError


class MixtureHead(Head):
    """A mixture of `components` distributions over classes, the default: any number of responses, no negative variance.

    With one component it is an ordinary classifier, which knows no epistemic variance.
    """

    def __init__(self, width: int, classes: int, rngs: nnx.Rngs, *, components: int = 8) -> None:
        self.components, self.classes = components, classes
        self.weights = nnx.Linear(width, components, rngs=rngs)
        # Unequal from the start: equal components would stay equal.
        self.logits = nnx.Linear(width, components * classes, rngs=rngs)

    def __call__(self, features: Float[Array, " width"]) -> Mixture:
        """The mixture."""
        logits = self.logits(features).reshape(self.components, self.classes)
        return Mixture(jax.nn.log_softmax(self.weights(features)), jax.nn.log_softmax(logits, axis=1))


class DirichletHead(Head):
    """One distribution, and the probability that the second response copies the first."""

    def __init__(self, width: int, classes: int, rngs: nnx.Rngs) -> None:
        self.logits = nnx.Linear(width, classes, rngs=rngs)
        self.gate = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, features: Float[Array, " width"]) -> Dirichlet:
        """The urn."""
        return Dirichlet(jax.nn.softmax(self.logits(features)), jax.nn.sigmoid(self.gate(features)[0]))


class JointHead(Head):
    """One logit for every pair, alike in both orders; variances may come out negative."""

    def __init__(self, width: int, classes: int, rngs: nnx.Rngs) -> None:
        self.classes = classes
        self.logits = nnx.Linear(width, classes * classes, rngs=rngs)

    def __call__(self, features: Float[Array, " width"]) -> PairTable:
        """The table."""
        logits = self.logits(features).reshape(self.classes, self.classes)
        return PairTable(jax.nn.softmax((logits + logits.T).ravel()).reshape(logits.shape))


class ChainHead(Head):
    """One response, then the other given the first, as a language model would; variances may come out negative.

    The second response sees the features beside an embedding of the first.
    """

    def __init__(self, width: int, classes: int, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(width, classes, rngs=rngs)
        self.embedding = nnx.Embed(classes, width, rngs=rngs)
        self.mix = nnx.Linear(2 * width, width, rngs=rngs)
        self.second = nnx.Linear(width, classes, rngs=rngs)

    def __call__(self, features: Float[Array, " width"]) -> PairTable:
        """The table."""
        told = self.embedding.embedding[...]
        both = jnp.concatenate([jnp.broadcast_to(features, told.shape), told], axis=1)
        second = jax.nn.softmax(self.second(jax.nn.gelu(self.mix(both))), axis=1)
        return PairTable(jax.nn.softmax(self.first(features))[:, None] * second)


class Perceptron(nnx.Module):
    """A trunk for small inputs: hidden layers with GELU."""

    def __init__(self, inputs: int, width: int, layers: int, rngs: nnx.Rngs) -> None:
        sizes = [inputs, *[width] * layers]
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in zip(sizes[:-1], sizes[1:], strict=True)])

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " width"]:
        """The features."""
        for layer in self.layers:
            x = jax.nn.gelu(layer(x))
        return x


class PairNetwork(nnx.Module):
    """A trunk with a head."""

    def __init__(self, trunk: nnx.Module, head: Head) -> None:
        self.trunk, self.head = trunk, head

    def __call__(self, x: Array) -> EpistemicPrediction:
        """The prediction of one input."""
        return self.head(self.trunk(x))  # pyright: ignore[reportCallIssue]
