"""Responses that a model may give: those that it would repeat if told that one expert had given them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import Distribution, Draw, Factor, Verified
from probinf.distributions import Categorical
from probinf.verifiers.pairs._checks import as_rows, check_beta, check_unit
from probinf.verifiers.pairs._prediction import EpistemicPrediction


class Admitted(Factor):
    """One for a response whose doubt, 1 - confidence, is at most beta, else zero.

    Law: if the prediction is calibrated, P(the truth gives the response no probability | it was given) <= beta, for
    every way to choose among admitted responses that looks at the model's outputs alone. A response whose variance
    came out negative (log p(y | y) < log p(y), see `ScoredResponses.clipped`) is no sign of a calibrated model; it has
    confidence one, and is admitted at every beta.

    Raises: ValueError for a beta outside (0, 1).

    Source: arXiv 2402.08733, section 4.1.
    """

    prediction: EpistemicPrediction
    beta: float | Float[Array, ""]
    name: str = eqx.field(static=True, default="admitted")

    def __check_init__(self):
        """Rejects what is no rate."""
        check_beta(self.beta)

    @property
    def classes(self) -> Bool[Array, " K"]:
        """Which classes are admitted."""
        return 1 - self.prediction.confidence <= self.beta

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """0 where admitted, else -inf."""
        return jnp.where(self.classes[x], 0.0, -jnp.inf)


class MostProbable(Distribution):
    """The most probable admitted class; where none is admitted, the most probable of all.

    Law: all mass on one class.
    """

    admitted: Admitted
    name: str = eqx.field(static=True, default="most probable")

    @property
    def index(self) -> Int[Array, ""]:
        """The class; the first of equals."""
        p, some = self.admitted.prediction.probabilities, self.admitted.classes
        # Below any probability, so that what is not admitted comes last.
        return jnp.argmax(jnp.where(some, p, p - 2)).astype(jnp.int32)

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """The class."""
        del key, x
        return self.index

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """0 at the class, -inf elsewhere."""
        return jnp.where(x == self.index, 0.0, -jnp.inf)


def respond(prediction: EpistemicPrediction) -> Draw:
    """A draw of the prediction's own response.

    Law: EXACT for its probabilities.
    """
    return Draw(Categorical(jnp.log(prediction.probabilities), name="response"))


def selective_filter(prediction: EpistemicPrediction, beta: float | Float[Array, ""]) -> Verified:
    """Draw one response, and abstain where it is not admitted.

    Law: that of the probabilities given an admitted response; the mass is the chance to answer (CHANGES_TARGET). If
    calibrated, hallucinations among answers are at most beta.
    """
    return rejection_decoder(prediction, beta, budget=1)


def rejection_decoder(prediction: EpistemicPrediction, beta: float | Float[Array, ""], *, budget: int = 16) -> Verified:
    """Draw responses until one is admitted, and abstain after `budget` of them.

    Law: as `selective_filter`; with chance a of an admitted response the mass is 1 - (1 - a)^budget.

    Raises: ValueError for a budget below one, and a beta outside (0, 1).
    """
    return Verified(respond(prediction), Admitted(prediction, beta), budget)


def top_admitted(prediction: EpistemicPrediction, beta: float | Float[Array, ""]) -> Verified:
    """Give the most probable of the admitted responses, and abstain where there is none.

    Law: all mass on that response, or none at all (CHANGES_TARGET). If calibrated, hallucinations among answers are at
    most beta.
    """
    admitted = Admitted(prediction, beta)
    return Verified(Draw(MostProbable(admitted)), admitted, 1)


class PairVerifier(Factor):
    """A model's own doubt as a verifier of values: one where the answer in a value is admitted, else zero.

    `predict` gives the prediction that belongs to a value (for its question), `answer` the class in it. Fits
    `Verified(inner, PairVerifier(...), budget)`.

    Law: if the predictions are calibrated over the questions asked, at most a share beta of the answers that it accepts
    have no probability under the truth, provided that answers were chosen by what the model puts out. An answer that
    something better informed chose (a proof, a unit test) is not covered.

    Raises: ValueError for a beta outside (0, 1).

    Source: arXiv 2402.08733, section 4.1.
    """

    predict: Callable[[Any], EpistemicPrediction]
    answer: Callable[[Any], Int[Array, ""]]
    beta: float | Float[Array, ""]
    name: str = eqx.field(static=True, default="pair verifier")

    def __check_init__(self):
        """Rejects what is no rate."""
        check_beta(self.beta)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """0 where the answer is admitted, else -inf."""
        return Admitted(self.predict(x), self.beta).log_density(self.answer(x))


class PairReward(Factor):
    """The log of a model's own confidence in the answer of a value, as a soft reward for particles.

    Law: a weight confidence in [0, 1]. Reweighting by it targets p(y) confidence(y); by itself it bounds nothing:
    `PairVerifier` does. As the twist of `particle_filtering(..., accepted=PairVerifier(...))` it steers and is divided
    out: the law is the language model's given acceptance, with the verifier's bound.
    """

    predict: Callable[[Any], EpistemicPrediction]
    answer: Callable[[Any], Int[Array, ""]]
    name: str = eqx.field(static=True, default="pair reward")

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-confidence, in nats; -inf where the model gives the answer no probability."""
        return jnp.log(self.predict(x).confidence[self.answer(x)])


def hallucination_bound(confidence: Any, answered: Any) -> Float[Array, ""]:
    """1 - mean confidence of the responses that were given: a bound on the share of hallucinations among them.

    Law: if calibrated, an upper bound in expectation; 0 where nothing was answered.

    Raises: ValueError for anything but two arrays [N] with N >= 1, and a confidence outside [0, 1].

    Source: arXiv 2402.08733, section 4.1.
    """
    confidence, answered = as_rows(confidence=confidence, answered=answered)
    check_unit("confidence", confidence)
    count = jnp.sum(answered)
    return jnp.where(count > 0, jnp.sum(jnp.where(answered > 0, 1 - confidence, 0.0)) / jnp.maximum(count, 1), 0.0)
