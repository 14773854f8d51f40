"""Mixtures over sequences: each component is a Markov chain, and every sequence is a class of its own."""

from __future__ import annotations

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from probinf._arguments import floating
from probinf.verifiers.pairs._checks import check_chains, check_probabilities
from probinf.verifiers.pairs._heads import Head
from probinf.verifiers.pairs._prediction import CovariancePrediction, Mixture


class MarkovMixture(CovariancePrediction):
    """A mixture of Markov chains of T steps over S states, as a prediction of K = S^T classes.

    A sequence's class is its number in base S, first state first. The chains need not be homogeneous: each step has
    its own transitions. The log-probability of k responses costs M k T; probabilities and variance enumerate the K
    classes of each component, and the covariance all pairs.

    Raises: ValueError for shapes that do not fit, weights or rows that do not sum to one, and more sequences than there
        are 32-bit numbers.
    """

    log_weights: Float[Array, " M"] = eqx.field(converter=partial(floating, "log_weights"))
    log_start: Float[Array, "M S"] = eqx.field(converter=partial(floating, "log_start"))
    log_transitions: Float[Array, "M T-1 S S"] = eqx.field(converter=partial(floating, "log_transitions"))

    def __check_init__(self):
        """Rejects what is no mixture of chains."""
        *batch, components, states = self.log_start.shape
        steps = self.log_transitions.shape[-3]
        wanted = (*batch, components, steps, states, states)
        if self.log_weights.shape != (*batch, components) or self.log_transitions.shape != wanted:
            raise ValueError(
                "weights [M], start [M, S] and transitions [M, T - 1, S, S] must agree, got shapes "
                f"{self.log_weights.shape}, {self.log_start.shape} and {self.log_transitions.shape}"
            )
        check_chains(states, steps + 1, components)
        check_probabilities(jnp.exp(self.log_weights), least=1)
        check_probabilities(jnp.exp(self.log_start))
        check_probabilities(jnp.exp(self.log_transitions))

    @property
    def enumerated(self) -> Mixture:
        """The same prediction with the probability of every sequence written out.

        Law: exact.
        """
        components, states = self.log_start.shape
        table = self.log_start
        for step in range(self.log_transitions.shape[1]):
            longer = table.reshape(components, -1, states, 1) + self.log_transitions[:, step, None]
            table = longer.reshape(components, -1)
        return Mixture(self.log_weights, table)

    @property
    def probabilities(self) -> Float[Array, " K"]:
        """Weighted mean of the components."""
        return self.enumerated.probabilities

    @property
    def covariance(self) -> Float[Array, "K K"]:
        """Weighted covariance of the components."""
        return self.enumerated.covariance

    @property
    def variance(self) -> Float[Array, " K"]:
        """Weighted variance of the components."""
        return self.enumerated.variance

    def log_probability(self, responses: Int[Array, " k"]) -> Float[Array, ""]:
        """Log-probability of k responses to one input, in nats."""
        states, steps = self.log_start.shape[1], self.log_transitions.shape[1]
        place = states ** jnp.arange(steps, -1, -1)
        visited = responses[:, None] // place[None, :] % states
        moves = self.log_transitions[:, jnp.arange(steps)[None, :], visited[:, :-1], visited[:, 1:]]
        log_paths = self.log_start[:, visited[:, 0]] + jnp.sum(moves, axis=2)
        return jax.nn.logsumexp(self.log_weights + jnp.sum(log_paths, axis=1))


class MarkovMixtureHead(Head):
    """A mixture of `components` Markov chains of `length` steps: for responses too many to have a logit each.

    Raises: ValueError for no components, no length, fewer than two states, and more sequences than there are 32-bit
        numbers.
    """

    def __init__(self, width: int, states: int, length: int, rngs: nnx.Rngs, *, components: int = 8) -> None:
        check_chains(states, length, components)
        self.components, self.states, self.length = components, states, length
        self.weights = nnx.Linear(width, components, rngs=rngs)
        # Unequal from the start: equal components would stay equal.
        self.start = nnx.Linear(width, components * states, rngs=rngs)
        self.transitions = nnx.Linear(width, components * (length - 1) * states**2, rngs=rngs)

    def __call__(self, features: Float[Array, " width"]) -> MarkovMixture:
        """The mixture."""
        start = self.start(features).reshape(self.components, self.states)
        moves = self.transitions(features).reshape(self.components, self.length - 1, self.states, self.states)
        weights = jax.nn.log_softmax(self.weights(features))
        return MarkovMixture(weights, jax.nn.log_softmax(start), jax.nn.log_softmax(moves))
