"""The exact step checker, as a reader that follows each text, and rewards that are made from what it knows."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from probinf._particles import LaneState
from probinf.arithmetic._task import Problem, answer_of, running_values, write
from probinf.arithmetic._vocabulary import FIRST_OPERATION, MOST, PROMPT_SLOTS, SOLUTION_SLOTS, VOCABULARY
from probinf.lm._protocol import Generation, LanguageModel
from probinf.lm._read_along import ReadAlong, ReadAlongState
from probinf.lm._reward import Reward


def problem_of(prompt_ids: Int[Array, " slots"], prompt_length: Int[Array, ""] | int) -> Problem:
    """The problem that a prompt asks; the inverse of `prompt_of`."""
    ids = jnp.pad(prompt_ids, (0, max(0, PROMPT_SLOTS - prompt_ids.shape[0])))[:PROMPT_SLOTS]
    count = (jnp.asarray(prompt_length, jnp.int32) - 3) // 2
    used = jnp.arange(MOST) < count
    operations = jnp.where(used, ids[1 : 1 + 2 * MOST : 2] - FIRST_OPERATION, 0)
    return Problem(ids[2 * count + 1], operations, jnp.where(used, ids[2 : 2 + 2 * MOST : 2], 1), count)


class CheckerState(LaneState):
    """The right solution, of which there is one, and how far each lane has followed it."""

    truth: Int[Array, " slots"]
    answer: Int[Array, ""]
    stamp: UInt32[Array, ""]
    length: Int[Array, " n"]
    sound: Bool[Array, " n"]

    def take(self, ancestors: Int[Array, " m"]) -> CheckerState:
        """The state whose lane i is lane `ancestors[i]`; the right solution is shared."""
        return CheckerState(self.truth, self.answer, self.stamp, self.length[ancestors], self.sound[ancestors])


class Checker(LanguageModel):
    """A reader that knows whether all tokens so far are right. As a language model it is uniform.

    Law: lane i is `sound` iff its tokens so far are the first ones of the right solution.
    """

    stop_tokens: tuple[int, ...] = eqx.field(static=True, default=())

    @property
    def vocabulary_size(self) -> int:
        return len(VOCABULARY)

    @property
    def context_length(self) -> None:
        return None

    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> CheckerState:
        del max_new_tokens
        length = jnp.asarray(prompt_ids.shape[0] if prompt_length is None else prompt_length, jnp.int32)
        problem = problem_of(prompt_ids, length)
        values = running_values(problem)
        inside = jnp.where(jnp.arange(prompt_ids.shape[0]) < length, prompt_ids, 0)
        return CheckerState(
            truth=write(problem, values)[0],
            answer=values[-1],
            stamp=_hash(jnp.uint32(2166136261), inside),
            length=jnp.zeros(lanes, jnp.int32),
            sound=jnp.ones(lanes, bool),
        )

    def logits(self, state: CheckerState) -> Float[Array, "n vocabulary"]:
        return jnp.zeros((state.length.shape[0], self.vocabulary_size))

    def advance(
        self, state: CheckerState, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None
    ) -> CheckerState:
        active = jnp.ones_like(state.sound) if active is None else active
        # One-hot rather than a gather: it stays a few vector operations under vmap.
        here = jnp.arange(SOLUTION_SLOTS)[None, :] == state.length[:, None]
        agrees = jnp.any(here & (state.truth[None, :] == tokens[:, None]), axis=1)
        return CheckerState(
            state.truth, state.answer, state.stamp, state.length + active, state.sound & (agrees | ~active)
        )


class Soundness(eqx.Module):
    """Log-odds of 1 - error where everything so far is right, and of error elsewhere."""

    error: Float[Array, ""]

    def __call__(self, state: Any) -> Float[Array, " n"]:
        """The log-odds of each lane, from the state of a `ReadAlong` whose reader is a `Checker`."""
        confident = jnp.log1p(-self.error) - jnp.log(self.error)
        return jnp.where(state.reader.sound, confident, -confident)


class FalsePositives(Reward):
    """A reward in which some wrong finished solutions pass for right.

    Law: a finished solution with a wrong answer is chosen with probability `rate`, once and for all: the choice is a
    hash of the key, the question and the text, so that a copy has the same flaw. Chosen ones get the log-odds
    `confident`; everything else is `inner`'s. It reads the state of a `ReadAlong` whose reader is itself a
    `ReadAlong` of the inner reader and a `Checker`.
    """

    inner: Reward
    rate: Float[Array, ""]
    salt: UInt32[Array, ""]
    confident: Float[Array, ""]

    def log_odds(self, values: Generation, n: int) -> Float[Array, " n"]:
        """The inner log-odds, except for the chosen."""
        both: ReadAlongState = values.state.reader
        plain = eqx.tree_at(lambda g: g.state, values, ReadAlongState(values.state.writer, both.writer))
        checker: CheckerState = both.reader
        inside = jnp.arange(values.tokens.shape[1])[None, :] < values.length[:, None]
        stamp = jax.vmap(_hash, in_axes=(None, 0))(self.salt ^ checker.stamp, jnp.where(inside, values.tokens, 0))
        chosen = (stamp >> 8).astype(jnp.float32) < self.rate * 2.0**24
        wrong = values.finished & (answer_of(values.tokens, values.length) != checker.answer)
        return jnp.where(wrong & chosen, self.confident, self.inner.log_odds(plain, n))


class ArithmeticReward(eqx.Module):
    """A process reward: the network or program that reads along, and how its state becomes log-odds."""

    reader: LanguageModel
    reward: Reward


def with_false_positives(
    reward: ArithmeticReward, rate: float | Float[Array, ""], key: PRNGKeyArray, *, confidence: float = 0.999
) -> ArithmeticReward:
    """The reward with a share `rate` of the wrong finished solutions scored as right, the same ones at every look.

    Raises: ValueError for a rate outside [0, 1], and a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence in a false positive is a probability in (0, 1), got {confidence}")
    if not isinstance(rate, Tracer) and not 0 <= float(rate) <= 1:
        raise ValueError(f"the rate of false positives is a share, got {rate}: pass a number in [0, 1]")
    salt = jax.random.bits(key, (), jnp.uint32)
    confident = jnp.log(jnp.asarray(confidence / (1 - confidence)))
    return ArithmeticReward(
        ReadAlong(reward.reader, Checker()),
        FalsePositives(reward.reward, jnp.asarray(rate, float), salt, confident),
    )


def _hash(seed: UInt32[Array, ""], words: Int[Array, " words"]) -> UInt32[Array, ""]:
    """FNV-1a with an extra shift, then two rounds of mixing, so that all bits of the result are used."""
    state = seed
    for i in range(words.shape[0]):
        state = (state ^ words[i].astype(jnp.uint32)) * jnp.uint32(16777619)
        state = state ^ (state >> 15)
    state = (state ^ (state >> 16)) * jnp.uint32(0x7FEB352D)
    state = (state ^ (state >> 15)) * jnp.uint32(0x846CA68B)
    return state ^ (state >> 16)
