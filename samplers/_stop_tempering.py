"""Stop tempering: how readily a model stops, changed and, with weights, changed back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._measure import Factor
from probinf._particles import add_log
from probinf._primitives import Draw
from probinf._sampler import Sampler
from probinf.lm import Continue, Generation, LanguageModel, Prompt
from probinf.samplers._importance import importance
from probinf.samplers._own_target import OwnTarget


class StopTemperedState(eqx.Module):
    """The model's state, and log(p / p') of the tokens of each lane."""

    inner: Any
    log_ratio: Float[Array, " n"]


class StopTempered(LanguageModel):
    """A model that takes its stop decision more or less readily.

    Law: p'(token) is proportional to p(token)^(1/T) e^b for the tokens in `decision`, and to p(token) for all others:
    T > 1 and b > 0 stop sooner. It is the probability that is raised to a power: a logit divided by T would move the
    other way when it is negative. The odds of stopping become odds' = e^b p(stop)^(1/T) / (1 - p(stop)) where one token
    stops.

    Raises: ValueError for no tokens, or some outside the vocabulary, for a temperature that is not positive and finite,
    and for a bias that is not finite.

    Source: arXiv 2505.07961, its temperature scaling; the formula in log-probabilities is ours.
    """

    lm: LanguageModel
    decision: tuple[int, ...] = eqx.field(static=True)
    temperature: Float[Array, ""]
    bias: Float[Array, ""]
    stop_tokens: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        lm: LanguageModel,
        decision: Sequence[int] | None = None,
        *,
        temperature: float | Float[Array, ""] = 1.0,
        bias: float | Float[Array, ""] = 0.0,
    ) -> None:
        self.decision = lm.stop_tokens if decision is None else tuple(decision)
        if not self.decision or not all(0 <= token < lm.vocabulary_size for token in self.decision):
            raise ValueError(f"name the tokens that stop, in [0, {lm.vocabulary_size}), got {self.decision}")
        if not isinstance(temperature, Tracer) and not 0 < float(temperature) < math.inf:
            raise ValueError(f"the temperature of stopping must be positive and finite, got {temperature}")
        if not isinstance(bias, Tracer) and not math.isfinite(float(bias)):
            raise ValueError(f"the bias of stopping must be finite, got {bias}")
        self.lm = lm
        self.temperature, self.bias = jnp.asarray(temperature, float), jnp.asarray(bias, float)
        self.stop_tokens = lm.stop_tokens

    @property
    def vocabulary_size(self) -> int:
        return self.lm.vocabulary_size

    @property
    def context_length(self) -> int | None:
        return self.lm.context_length

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> StopTemperedState:
        return StopTemperedState(self.lm.start(prompt_ids, lanes, max_new_tokens, prompt_length), jnp.zeros(lanes))

    def logits(self, state: StopTemperedState) -> Float[Array, "n vocabulary"]:
        log_p = self.lm.log_probs(state.inner)
        stops = jnp.isin(jnp.arange(self.vocabulary_size), jnp.array(self.decision))[None, :]
        return jnp.where(stops, log_p / self.temperature.astype(log_p.dtype) + self.bias.astype(log_p.dtype), log_p)

    def advance(
        self, state: StopTemperedState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> StopTemperedState:
        lanes = jnp.arange(len(tokens))
        before, after = self.lm.log_probs(state.inner)[lanes, tokens], self.log_probs(state)[lanes, tokens]
        # A token that neither law has was forced: its text is as impossible as it, not NaN.
        step = add_log(before, -after)
        step = step if active is None else jnp.where(active, step, 0.0)
        return StopTemperedState(self.lm.advance(state.inner, tokens, active), state.log_ratio + step)


class Untempered(Factor):
    """The law of the texts of a `StopTempered` model before it was tempered.

    Law: p_LM(text), from the log-ratio that the model's state carries, of texts whose every token was drawn from p' at
    temperature 1 and none forced: only there are `log_prob` and that ratio of the same tokens and the same p'.
    """

    name: str = eqx.field(static=True, default="p_LM")

    def log_density(self, x: Generation) -> Float[Array, ""]:
        """Log-probability of one text under the model inside."""
        return x.log_prob + x.state.log_ratio

    def log_density_lanes(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Log-probability of each text under the model inside."""
        del n
        return values.log_prob + values.state.log_ratio


def stop_tempered(
    model: StopTempered,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    *,
    max_new_tokens: int,
) -> Sampler:
    """Writes texts with a stop decision that was tempered.

    Law: () -> p'(text) (CHANGES_TARGET), that of the tempered model; its log-probability is the texts' `log_prob`.

    Raises: ValueError where the prompt is empty or does not fit in the context.
    """
    return OwnTarget(Draw(Prompt(model, prompt_ids, max_new_tokens)) >> Draw(_written(model, max_new_tokens)))


def stop_tempering(
    model: StopTempered,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    *,
    max_new_tokens: int,
) -> Sampler:
    """Writes texts with a stop decision that was tempered, and weighs them back.

    Law: () -> p_LM(text) (PROPER), that of the model before it was tempered: the weight p / p' has mean one.

    Raises: ValueError where the prompt is empty or does not fit in the context.
    """
    return Draw(Prompt(model, prompt_ids, max_new_tokens)) >> importance(_written(model, max_new_tokens), Untempered())


def _written(model: StopTempered, max_new_tokens: int) -> Continue:
    return Continue(model, max_new_tokens, name="stop-tempered p_LM")
