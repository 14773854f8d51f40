"""Drafts of a small model that a large one corrects, or a judge waves through, on texts of a few tokens.

Every law is counted out in plain Python, token by token and step by step; nothing here uses the samplers.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Distribution, Draw, Map, Sampler, choice
from probinf.cases._budgets import Padded, text_measure, with_kind
from probinf.cases._search_models import Law, Text, mixed
from probinf.lm import Generation, RewardFunction, TableLM, stop_table
from probinf.samplers import (
    JudgedStep,
    Speculated,
    spec_reason,
    speculative,
    speculative_choice,
)
from probinf.validity import FiniteMeasure, SamplerCase

# Multiples of 1/8, which float32 holds exactly: the target and the draft.
_TARGET = ((0.125, 0.5, -0.25), (0.375, 0.25, 0.5), (0.0, 0.0, 0.0))
_DRAFT = ((1.0, -0.5, 0.25), (-0.75, 0.25, 0.0), (0.0, 0.0, 0.0))
# The judge's reward by the last token, for steps of which some pass.
_REWARDS = (0.875, 0.25, 0.75)
THRESHOLD = 0.5


def speculation_cases() -> tuple[SamplerCase, ...]:
    """Every sampler with its law."""
    one, steps = Models(3, 2), Models(2, None, 2, (0,))
    written = speculative(one.lm(_TARGET), one.lm(_DRAFT), [0], max_new_tokens=2)
    return (
        SamplerCase("speculative_choice of whole steps", _steps(), target=_speculated()),
        _case("speculative", written, one.texts(one.target)),
        _case("spec_reason", steps.judged(), steps.texts(steps.judged_step), 1),
    )


def speculation_bugs() -> tuple[SamplerCase, ...]:
    """Samplers with one wrong line each, held to the laws of the right ones."""
    one = Models(3, 2, steps=1)
    again = with_kind(one.judged(), JudgedStep, DraftsAgain)
    return (
        SamplerCase("speculation that redraws from the target", _steps(RedrawsAll), 1, target=_speculated()),
        _case("judged steps taken for the target's", one.judged(), one.texts(one.target)),
        _case("rejected steps that the draft writes anew", again, one.texts(one.judged_step)),
    )


class Models(eqx.Module):
    """Two models, and steps of so many tokens that may end at a string."""

    vocabulary: int = eqx.field(static=True)
    stop: int | None = eqx.field(static=True)
    tokens_per_step: int = eqx.field(static=True, default=1)
    end: Text = eqx.field(static=True, default=())
    steps: int = eqx.field(static=True, default=2)

    def lm(self, logits: tuple[tuple[float, ...], ...]) -> TableLM:
        """One of them on the device."""
        v = self.vocabulary
        stops = () if self.stop is None else (self.stop,)
        return TableLM(table=jnp.array([row[:v] for row in logits[:v]]), stop_tokens=stops)

    def judged(self) -> Sampler:
        """The sampler on the device."""
        end = stop_table([bytes([t]) for t in range(self.vocabulary)], [bytes(self.end)]) if self.end else None
        return spec_reason(
            self.lm(_TARGET),
            self.lm(_DRAFT),
            [0],
            RewardFunction(LastToken()),
            max_steps=self.steps,
            tokens_per_step=self.tokens_per_step,
            threshold=THRESHOLD,
            step_end=end,
        )

    def texts(self, step: Callable[[Text], Law]) -> Law:
        """The law of the texts that a law of steps makes."""
        law: Law = {(): 1.0}
        for _ in range(self.steps):
            law = mixed(law, lambda text: {text: 1.0} if self._stopped(text) else step(text))
        return law

    def target(self, text: Text) -> Law:
        """A step of the target."""
        return self._step(text, _TARGET)

    def draft(self, text: Text) -> Law:
        """A step of the draft."""
        return self._step(text, _DRAFT)

    def judged_step(self, text: Text) -> Law:
        """A draft that passes, or else a step of the target."""
        law: Law = defaultdict(float)
        for after, q in self.draft(text).items():
            if _REWARDS[after[-1]] >= THRESHOLD:
                law[after] += q
                continue
            for anew, p in self.target(text).items():
                law[anew] += q * p
        return law

    def accepted(self, text: Text) -> Law:
        """A step of the target given that the judge accepts it."""
        law = {after: p for after, p in self.target(text).items() if _REWARDS[after[-1]] >= THRESHOLD}
        return {after: p / sum(law.values()) for after, p in law.items()}

    def _step(self, text: Text, logits: tuple[tuple[float, ...], ...]) -> Law:
        """All steps, token by token."""
        law: Law = {text: 1.0}
        for _ in range(self.tokens_per_step):
            law = mixed(law, lambda now: {now: 1.0} if self._paused(text, now) else self._token(now, logits))
        return law

    def _token(self, text: Text, logits: tuple[tuple[float, ...], ...]) -> Law:
        p = np.exp(logits[text[-1] if text else 0][: self.vocabulary])
        return {(*text, token): float(x) for token, x in enumerate(p / p.sum())}

    def _paused(self, before: Text, now: Text) -> bool:
        step = now[len(before) :]
        return self._stopped(step) or (bool(self.end) and step[-len(self.end) :] == self.end)

    def _stopped(self, text: Text) -> bool:
        return bool(text) and text[-1] == self.stop


class LastToken(eqx.Module):
    """The judge."""

    def __call__(self, x: Generation) -> Float[Array, ""]:
        """The reward of the last token."""
        return jnp.array(list(_REWARDS))[x.tokens[x.length - 1]]


class Speculation(Distribution):
    """An outcome by speculation."""

    log_target: Float[Array, " outcomes"]
    log_draft: Float[Array, " outcomes"]
    name: str = eqx.field(static=True, default="p")

    def sample(self, key: PRNGKeyArray, x: Any) -> Speculated:
        """The outcome, and whether it is the draft's."""
        del x
        return speculative_choice(key, self.log_target, self.log_draft)

    def log_density(self, x: Speculated) -> Float[Array, ""]:
        """Log-probability of the outcome."""
        return jax.nn.log_softmax(self.log_target)[x.index]


def _steps(kind: type[Speculation] = Speculation) -> Sampler:
    """A whole step of two tokens, with the log-densities of all nine at hand."""
    log_p, log_q = (jnp.array(_log_steps(table)) for table in (_TARGET, _DRAFT))
    return Draw(kind(log_p, log_q))


def _log_steps(table: tuple[tuple[float, ...], ...]) -> list[float]:
    log_p = [np.array(row) - np.logaddexp.reduce(row) for row in table]
    return [float(log_p[0][a] + log_p[a][b]) for a, b in itertools.product(range(3), repeat=2)]


def _speculated() -> FiniteMeasure:
    """What the draft proposed and what is left: min(p, q) and (p - q)+, from the logs that the sampler holds."""
    p, q = (np.exp(np.array(_log_steps(table), np.float32).astype(float)) for table in (_TARGET, _DRAFT))
    p, q = p / p.sum(), q / q.sum()
    law = {(i, kept): m for i in range(9) for kept, m in ((True, min(p[i], q[i])), (False, max(p[i] - q[i], 0)))}
    law = {atom: m for atom, m in law.items() if m > 0}
    steps, kept = (np.array(column) for column in zip(*law, strict=True))
    return FiniteMeasure((steps, kept), np.log(list(law.values())))


def _case(name: str, sampler: Sampler, law: Law, n: int = 2) -> SamplerCase:
    slots = max(map(len, law))
    return SamplerCase(name, sampler >> Map(Padded(slots)), n, target=text_measure(law, slots))


class RedrawsAll(Speculation):
    """Draws from all of the target after a rejection."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Speculated:
        """The wrong outcome."""
        key, again = jax.random.split(key)
        right, anew = super().sample(key, x), choice(again, self.log_target)
        return right._replace(index=jnp.where(right.accepted, right.index, anew))


class DraftsAgain(JudgedStep):
    """Has the draft write anew what the judge rejects."""

    def sample_lanes(self, key: PRNGKeyArray, values: Generation, n: int) -> Generation:
        """The wrong step."""
        drafting = eqx.tree_at(lambda s: s.written.lm, self, self.written.lm.drafting())  # pyright: ignore
        return JudgedStep.sample_lanes(drafting, key, values, n)
