"""Budgets of thinking: two phases, tempered stops, early stops and routes, on texts of a few tokens.

Every law is counted out in plain Python, token by token; nothing here uses the samplers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Density, Draw, Map, Particles, Reweight, Sampler
from probinf.cases._search_models import Law, SearchModel, Text, mixed, written
from probinf.lm import Continue, Generation, Prompt, TableLM, stop_table
from probinf.samplers import (
    EndOfThinking,
    RouletteWhereConfident,
    Route,
    StopTempered,
    StopWhereConfident,
    confidence_roulette,
    confidence_stop,
    stop_tempered,
    stop_tempering,
    two_phase,
)
from probinf.validity import FiniteMeasure, SamplerCase

# Multiples of 1/8, which float32 holds exactly. Token 2 ends a text.
LOGITS = ((0.125, 0.5, -0.25), (0.375, 0.25, 0.5), (0.0, 0.0, 0.0))
_STOP = 2
_TEMPERATURE, _BIAS = 2.0, 0.5
_THRESHOLD, _STOP_CHANCE = 0.5, 0.25
# Three steps, of which some are confident.
_STEPS = SearchModel(3, 3)


def budgets_cases() -> tuple[SamplerCase, ...]:
    """Every sampler with its law."""
    thinking, tempered = _Thinking(), _tempered()
    return (
        _case("two_phase, weighed by its probability", _squared(thinking.sampler()), thinking.squared()),
        _case("stop_tempered", stop_tempered(tempered, [0], max_new_tokens=3), _texts(_tempered_next)),
        _case("stop_tempering", stop_tempering(tempered, [0], max_new_tokens=3), _texts(_next)),
        _solved("confidence_stop", confidence_stop(_STEPS.writer(), threshold=_THRESHOLD), early_law()),
        _solved("confidence_roulette", _roulette(), _STEPS.texts()),
        _case("Route", _routed(), _routed_law()),
    )


def budgets_bugs() -> tuple[SamplerCase, ...]:
    """Samplers with one wrong line each, held to the laws of the right ones."""
    thinking, stop = _Thinking(), confidence_stop(_STEPS.writer(), threshold=_THRESHOLD)
    unweighted = with_kind(_roulette(), RouletteWhereConfident, Unweighted)
    forced = with_kind(thinking.sampler(), EndOfThinking, CountsForced)
    return (
        _case("forced tokens that count in log_prob", _squared(forced), thinking.squared()),
        _case("tempered stop without its weights", stop_tempered(_tempered(), [0], max_new_tokens=3), _texts(_next)),
        _solved("early stop one step late", with_kind(stop, StopWhereConfident, OneStepLate), early_law()),
        _solved("roulette whose survivors are worth no more", unweighted, _STEPS.texts()),
        _case("route of the first lane for all", _routed(ByFirstLane()), _routed_law()),
    )


def _lm() -> TableLM:
    return TableLM(table=jnp.array(list(LOGITS)), stop_tokens=(_STOP,))


def _next(text: Text, temperature: float = 1.0) -> Float[np.ndarray, " vocabulary"]:
    """The chances of the next token."""
    p = np.exp(np.array(LOGITS[text[-1] if text else 0]) / temperature)
    return p / p.sum()


def _tempered() -> StopTempered:
    return StopTempered(_lm(), temperature=_TEMPERATURE, bias=_BIAS)


def _tempered_next(text: Text) -> Float[np.ndarray, " vocabulary"]:
    p = _next(text)
    p[_STOP] = np.exp(_BIAS) * p[_STOP] ** (1 / _TEMPERATURE)
    return p / p.sum()


def _texts(next_token: Callable[[Text], np.ndarray], slots: int = 3) -> Law:
    """The law of texts that end at the stop token, or when their slots are full."""
    law: Law = {(): 1.0}
    for _ in range(slots):
        law = mixed(law, lambda text: {text: 1.0} if _STOP in text else _one_more(text, next_token(text)))
    return law


def _one_more(text: Text, p: np.ndarray) -> Law:
    return {(*text, token): float(x) for token, x in enumerate(p)}


class _Thinking(eqx.Module):
    """A string that ends thinking, and two budgets: the string may begin where the budget ends."""

    end: Text = eqx.field(static=True, default=(1, 1))
    thinking: int = eqx.field(static=True, default=3)
    answer: int = eqx.field(static=True, default=1)

    def sampler(self) -> Sampler:
        """On the device."""
        end = stop_table([bytes([token]) for token in range(3)], [bytes(self.end)])
        return two_phase(
            _lm(), [0], end=end, end_ids=self.end, thinking_tokens=self.thinking, answer_tokens=self.answer
        )

    def law(self) -> Law:
        """By two recursions."""
        law: Law = defaultdict(float)
        for thought, p in self._thoughts((), 1.0):
            for text, q in self._answers(thought, p, self.answer):
                law[text] += q
        return law

    def squared(self) -> Law:
        """The squares of all probabilities."""
        return {text: p**2 for text, p in self.law().items()}

    def _thoughts(self, text: Text, p: float) -> Iterator[tuple[Text, float]]:
        if text[-len(self.end) :] == self.end or _STOP in text:
            yield text, p
        elif len(text) == self.thinking:
            yield (*text, *self.end), p
        else:
            for after, q in _one_more(text, _next(text)).items():
                yield from self._thoughts(after, p * q)

    def _answers(self, text: Text, p: float, left: int) -> Iterator[tuple[Text, float]]:
        if left == 0 or _STOP in text:
            yield text, p
        else:
            for after, q in _one_more(text, _next(text)).items():
                yield from self._answers(after, p * q, left - 1)


def _squared(sampler: Sampler) -> Sampler:
    """Weighted by the probability that each text carries: right only if both the law and that number are."""
    return sampler >> Reweight(Density("p", _log_prob))


def _log_prob(x: Generation) -> Float[Array, ""]:
    return x.log_prob


def _confident(text: Text) -> bool:
    return _STEPS.reward(text) >= _THRESHOLD


def early_law() -> Law:
    """The law of the model's texts, cut after the first confident step."""
    law: Law = {(): 1.0}
    for _ in range(_STEPS.steps):
        law = mixed(law, lambda text: {text: 1.0} if text and _confident(text) else _STEPS.next(text))
    return law


def _roulette() -> Sampler:
    return confidence_roulette(_STEPS.writer(), threshold=_THRESHOLD, stop_chance=_STOP_CHANCE)


class ByFirstToken(eqx.Module):
    """Questions that begin with 0 are easy."""

    def __call__(self, x: Generation) -> Int[Array, " n"]:
        """The routes of all lanes."""
        return jnp.minimum(x.tokens[:, 0], 1)


class ByFirstLane(ByFirstToken):
    """Sends all lanes where the first one goes."""

    def __call__(self, x: Generation) -> Int[Array, " n"]:
        """The wrong routes."""
        return jnp.broadcast_to(super().__call__(x)[0], x.length.shape)


def _routed(route: ByFirstToken | None = None) -> Sampler:
    """A token of a question, then one token more for the easy, and two at another temperature, weighed, for others."""
    lm = _lm()
    easy = Draw(Continue(lm, 1, name="short"))
    hard = Draw(Continue(lm, 2, temperature=_TEMPERATURE, name="long")) >> Reweight(Density("length", _length))
    return Draw(Prompt(lm, [0], 3)) >> Draw(Continue(lm, 1)) >> Route(route or ByFirstToken(), (easy, hard))


def _length(x: Generation) -> Float[Array, ""]:
    return jnp.log(x.length.astype(x.log_prob.dtype))


def _routed_law() -> Law:
    law: Law = defaultdict(float)
    for text, p in _one_more((), _next(())).items():
        budget, temperature = (1, 1.0) if text == (0,) else (2, _TEMPERATURE)
        after: Law = {text: p}
        for _ in range(budget):
            after = mixed(
                after,
                lambda t, temperature=temperature: {t: 1.0} if _STOP in t else _one_more(t, _next(t, temperature)),
            )
        for t, q in after.items():
            law[t] += q * (1 if text == (0,) else len(t))
    return law


def _case(name: str, sampler: Sampler, law: Law, n: int = 2) -> SamplerCase:
    slots = max(map(len, law))
    return SamplerCase(name, sampler >> Map(Padded(slots)), n, target=text_measure(law, slots))


def _solved(name: str, sampler: Sampler, law: Law) -> SamplerCase:
    return SamplerCase(name, sampler >> Map(written), target=_STEPS.measure(law))


class Padded(eqx.Module):
    """The tokens and the length of a text."""

    slots: int = eqx.field(static=True)

    def __call__(self, x: Generation) -> tuple[Int[Array, " slots"], Int[Array, ""]]:
        """The first `slots` tokens, or zeros."""
        return jnp.pad(x.tokens, (0, self.slots))[: self.slots], x.length


def text_measure(law: Law, slots: int) -> FiniteMeasure:
    """A law of texts as `Padded` shows them."""
    tokens = np.array([text + (0,) * (slots - len(text)) for text in law], np.int32)
    return FiniteMeasure((tokens, np.array([len(text) for text in law], np.int32)), np.log(list(law.values())))


def with_kind(sampler: Any, kind: type, other: type) -> Sampler:
    """The same sampler with each module of one kind exchanged for another kind with the same fields."""
    is_kind = lambda node: type(node) is kind  # noqa: E731
    return jax.tree.map(lambda node: _recast(node, other) if is_kind(node) else node, sampler, is_leaf=is_kind)


def _recast(module: Any, kind: type) -> Any:
    other = object.__new__(kind)
    for name, value in vars(module).items():
        object.__setattr__(other, name, value)
    return other


class CountsForced(EndOfThinking):
    """Adds the log-probability of what was forced."""

    def sample_lanes(self, key: PRNGKeyArray, values: Generation, n: int) -> Generation:
        """The wrong log-probabilities."""
        right = super().sample_lanes(key, values, n)
        idle = eqx.tree_at(lambda g: g.finished, values, values.finished | values.stopped)
        return eqx.tree_at(lambda g: g.log_prob, right, self.write.replay_lanes(idle, n, self.end_ids).log_prob)


class OneStepLate(StopWhereConfident):
    """Looks at the reward of the step before the latest."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """The wrong lanes."""
        steps = lambda s: s.steps  # noqa: E731
        before = eqx.tree_at(steps, cloud.values, cloud.values.steps - 1)
        result, info = super().__call__(key, cloud.replace(values=before))
        return result.replace(values=eqx.tree_at(steps, result.values, cloud.values.steps)), info


class Unweighted(RouletteWhereConfident):
    """Leaves the weight of a survivor as it was."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """The wrong cloud."""
        result, info = super().__call__(key, cloud)
        return result.replace(log_weights=jnp.where(info.stopped, -jnp.inf, cloud.log_weights)), info
