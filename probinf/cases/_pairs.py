"""Decoders that abstain where a prediction of pairs has doubts, held to laws that were computed by hand."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Draw, Map, Measure, Particles, Reweight, Sampler, Verified
from probinf.distributions import Categorical
from probinf.lm import Generation, random_table_lm
from probinf.resampling import Multinomial
from probinf.samplers import particle_filtering
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase
from probinf.verifiers.pairs import (
    Admitted,
    EpistemicPrediction,
    Mixture,
    PairReward,
    PairVerifier,
    rejection_decoder,
    respond,
    selective_filter,
    top_admitted,
)

_BETA = 0.1
_WEIGHTS = np.array([0.5, 0.5])
# Probabilities of .5, .4 and .1 with doubts of 0, 1/17 and 1/2: the third class is not admitted.
_COMPONENTS = np.array([[0.5, 0.5, 0.0], [0.5, 0.3, 0.2]])
_UNSURE = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
_PRIOR = np.array([0.1, 0.2, 0.1, 0.3, 0.1, 0.2])


def _log(p: Float[np.ndarray, "*K"]) -> Float[np.ndarray, "*K"]:
    with np.errstate(divide="ignore"):
        return np.log(p).astype(np.float32)


def _prediction() -> Mixture:
    return Mixture(_log(_WEIGHTS), _log(_COMPONENTS))


def _confidence(components: Float[np.ndarray, "M K"]) -> Float[np.ndarray, " K"]:
    """By its definition, in double precision from the logs that the samplers hold."""
    weights, rows = np.exp(_log(_WEIGHTS).astype(float)), np.exp(_log(components).astype(float))
    p = weights @ rows
    return p**2 / (p**2 + weights @ (rows - p) ** 2)


def _chances(logs: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    """Normalized in double precision, as the check does."""
    p = np.exp(np.asarray(logs, float))
    return p / p.sum()


class Questions(eqx.Module):
    """Two questions: the prediction above, and one that does not know; a value is 3 * question + answer."""

    known: Mixture
    unsure: Mixture

    def __call__(self, x: Int[Array, ""]) -> EpistemicPrediction:
        """The prediction of a value's question."""
        return jax.tree.map(lambda a, b: jnp.where(x < 3, a, b), self.known, self.unsure)


class FirstAsks(eqx.Module):
    """Texts whose first token is the question: 0 for the prediction above, else the one that does not know."""

    known: Mixture
    unsure: Mixture

    def __call__(self, x: Generation) -> EpistemicPrediction:
        """The prediction of a text's question."""
        return jax.tree.map(lambda a, b: jnp.where(x.tokens[0] == 0, a, b), self.known, self.unsure)


def _last(x: Generation) -> Int[Array, ""]:
    return x.tokens[x.length - 1]


def _text(x: Generation) -> Any:
    return x.tokens, x.length


def _filter() -> Sampler:
    """Confidence steers and is divided out, doubt decides: the model's texts that the verifier accepts."""
    ask = FirstAsks(_prediction(), Mixture(_log(_WEIGHTS), _log(_UNSURE)))
    return particle_filtering(
        random_table_lm(jax.random.key(3), 3, stop_tokens=(2,)), [0], twist=PairReward(ask, _last),
        accepted=PairVerifier(ask, _last, _BETA), max_new_tokens=2, tokens_per_step=1, ess=None, scheme=Multinomial(),
    )  # fmt: skip


def _answer(x: Int[Array, ""]) -> Int[Array, ""]:
    return x % 3


def pairs_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """Every decoder, and the verifier and the reward in their places."""
    draw, prior = Draw(Categorical(_log(_PRIOR), name="prior")), _chances(_log(_PRIOR))
    confidence = np.concatenate([_confidence(_COMPONENTS), _confidence(_UNSURE)])
    accepted = np.where(1 - confidence <= _BETA, prior, 0.0)
    twice = accepted / accepted.sum() * (1 - (1 - accepted.sum()) ** 2)
    questions = Questions(_prediction(), Mixture(_log(_WEIGHTS), _log(_UNSURE)))
    verifier, reward = PairVerifier(questions, _answer, _BETA), PairReward(questions, _answer)
    return (
        SamplerCase("selective_filter", selective_filter(_prediction(), _BETA), target=_law(_admitted())),
        SamplerCase("rejection_decoder", rejection_decoder(_prediction(), _BETA, budget=3), n=1, target=_three_tries()),
        SamplerCase("top_admitted", top_admitted(_prediction(), _BETA), target=_law(np.array([1.0]))),
        SamplerCase("Verified(pair verifier)", Verified(draw, verifier, 2), n=1, target=_law(twice)),
        SamplerCase("Reweight(pair reward)", draw >> Reweight(reward), target=_law(prior * confidence)),
        SamplerCase("particle_filtering(pair reward, pair verifier)", _filter() >> Map(_text)),
    )


def pairs_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """Decoders that break their promise, each held to the law of the right one."""
    admit_then_redraw = respond(_prediction()) >> Reweight(Admitted(_prediction(), _BETA)) >> Draw(Again(_prediction()))
    every_doubt = Verified(respond(_prediction()), WithoutSquare(_prediction(), _BETA), 1)
    return (
        SamplerCase("abstention that answers all the same", Answers(selective_filter(_prediction(), _BETA)), n=1,
                    target=_law(_admitted())),
        SamplerCase("one response admitted, another given", admit_then_redraw, target=_law(_admitted())),
        SamplerCase("doubt without the square", every_doubt, target=_law(_admitted())),
        SamplerCase("last try given without admission", Answers(rejection_decoder(_prediction(), _BETA, budget=3)), n=1,
                    target=_three_tries()),
    )  # fmt: skip


def _law(mass: Float[np.ndarray, " K"]) -> FiniteMeasure:
    with np.errstate(divide="ignore"):
        return FiniteMeasure(np.arange(len(mass)), np.log(mass))


def _admitted() -> Float[np.ndarray, " 2"]:
    return _chances(np.asarray(jnp.log(_prediction().probabilities)))[:2]


def _three_tries() -> FiniteMeasure:
    chance = _admitted().sum()
    return _law(_admitted() / chance * (1 - (1 - chance) ** 3))


class Answers(Sampler):
    """Gives the last response its weight back where a decoder abstained."""

    inner: Verified

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """The wrong cloud."""
        result, info = self.inner(key, cloud)
        return result.replace(log_weights=jnp.zeros_like(result.log_weights)), info

    def meaning(self, m: Measure) -> Measure:
        """That of the decoder."""
        return self.inner.meaning(m)


class Again(Categorical):
    """A second response, whatever the first."""

    def __init__(self, prediction: EpistemicPrediction):
        super().__init__(jnp.log(prediction.probabilities), "again")


class WithoutSquare(Admitted):
    """Takes p / (p + variance) for the confidence."""

    @property
    def classes(self) -> Array:
        """Too many."""
        p = self.prediction.probabilities
        return 1 - p / (p + self.prediction.variance) <= self.beta
