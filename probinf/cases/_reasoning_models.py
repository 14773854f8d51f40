"""Writers of a few short solutions, with all their texts, probabilities and rewards counted out by hand.

The three worlds differ in what makes one step depend on the steps before: a stop string that begins in one step and
ends in the next, texts that end early, and too few slots.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf import Kernel
from probinf.lm import Generation, Reasoning, RewardFunction, TableLM, stop_table
from probinf.validity import KernelCase

# Powers of two in all numbers: float32 holds them exactly, so the models are the same in both precisions.
_LOGITS = ((0.25, 0.75, -0.5), (0.5, -0.25, 0.125), (0.0, 0.0, 0.0))
# The reward by length of the text (from one on) and last token; every 0 in the text multiplies it by 7/8.
_REWARDS = ((0.25, 0.75, 0.5), (0.875, 0.25, 0.625), (0.4375, 0.9375, 0.8125), (0.75, 0.5, 0.375))


class World(NamedTuple):
    """A writer's knobs: a text stops at token `end`, a step after `stop` or `tokens_per_step` tokens."""

    vocabulary: int
    max_steps: int
    tokens_per_step: int
    slots: int
    end: int | None = None
    stop: tuple[int, ...] | None = None

    def writer(self, step_reward: Callable[[Generation], Float[Array, ""]] | None = None) -> Reasoning:
        """The writer."""
        size = self.vocabulary
        table = jnp.array([row[:size] for row in _LOGITS[:size]])
        lm = TableLM(table=table, stop_tokens=() if self.end is None else (self.end,))
        letters = [bytes([token]) for token in range(size)]
        reward = step_reward or TableReward(jnp.array([row[:size] for row in _REWARDS]))
        return Reasoning(
            lm,
            [0],
            RewardFunction(reward),
            max_steps=self.max_steps,
            tokens_per_step=self.tokens_per_step,
            max_new_tokens=self.slots,
            step_end=None if self.stop is None else stop_table(letters, [bytes(self.stop)]),
        )

    def solutions(self) -> list[Told]:
        """Every finished solution, by writing each string of tokens as far as it goes."""
        strings = itertools.product(range(self.vocabulary), repeat=self.slots)
        return list({told.tokens: told for told in map(self._told, strings)}.values())

    def _told(self, string: tuple[int, ...]) -> Told:
        """The solution that one string of tokens begins with."""
        length, ends, log_p, looked_from, last = 0, [], 0.0, 0, 0
        while (
            len(ends) < self.max_steps and length < self.slots and (self.end is None or last != self.end or not length)
        ):
            step = 0
            while step < self.tokens_per_step and length < self.slots:
                row = np.array(_LOGITS[last][: self.vocabulary])
                last = string[length]
                log_p += row[last] - np.log(np.sum(np.exp(row)))
                length, step = length + 1, step + 1
                if last == self.end:
                    break
                # A stop string counts from where the last one ended, and may begin in an earlier step.
                stop = self.stop or ()
                if stop and length - looked_from >= len(stop) and string[length - len(stop) : length] == stop:
                    looked_from = length
                    break
            ends.append(length)
        rewards = [_reward(string[:end]) for end in ends]
        return Told(string[:length], tuple(ends), log_p, np.array(rewards))


class Told(NamedTuple):
    """A finished solution as Python has it."""

    tokens: tuple[int, ...]
    ends: tuple[int, ...]
    log_p: float
    rewards: np.ndarray


# The stop string 00 may begin in one step and end in the next, where the first did not end by one.
STRADDLING = World(vocabulary=2, max_steps=2, tokens_per_step=2, slots=4, stop=(0, 0))
# Texts of one, two and three steps.
ENDING = World(vocabulary=2, max_steps=3, tokens_per_step=1, slots=3, end=1)
# The same in two steps.
SHORT = World(vocabulary=2, max_steps=2, tokens_per_step=1, slots=2, end=1)
# Steps of one or two tokens in three slots.
NARROW = World(vocabulary=2, max_steps=2, tokens_per_step=2, slots=3, stop=(1,))


class TableReward(eqx.Module):
    """The reward that `_reward` gives, on the device."""

    table: Float[Array, "lengths vocabulary"]

    def __call__(self, x: Generation) -> Float[Array, ""]:
        """The reward of one text."""
        written = jnp.arange(x.tokens.shape[0]) < x.length
        zeros = jnp.sum((x.tokens == 0) & written)
        return self.table[x.length - 1, x.tokens[x.length - 1]] * 0.875**zeros


def _reward(text: tuple[int, ...]) -> float:
    return _REWARDS[len(text) - 1][text[-1]] * 0.875 ** text.count(0)


def log_target(world: World, factor: Callable[[np.ndarray], float], beta: float = 1.0) -> Float[np.ndarray, " S"]:
    """Log of p_LM(x) factor(rewards)^beta of every solution."""
    return np.array([told.log_p + beta * np.log(factor(told.rewards)) for told in world.solutions()])


def states(world: World) -> Any:
    """All solutions as the writer's kernels have them, stacked; the ledger is zero."""
    template = jax.eval_shape(lambda: world.writer().start().sample_lanes(jax.random.key(0), (), 1))
    template = eqx.tree_at(lambda s: s.generation.state, template, ())
    texts = world.solutions()
    stacked = jax.tree.map(lambda leaf: np.zeros((len(texts), *leaf.shape[1:]), np.dtype(leaf.dtype)), template)
    # Probabilities in float64, whatever the template says.
    log_p = np.array([told.log_p for told in texts])
    stacked = eqx.tree_at(lambda s: s.generation.log_prob, stacked, log_p)
    log_odds = np.zeros((len(texts), world.max_steps))
    for i, told in enumerate(texts):
        stacked.generation.tokens[i, : len(told.tokens)] = told.tokens
        stacked.generation.length[i] = len(told.tokens)
        stacked.generation.finished[i] = True
        stacked.ends[i, : len(told.ends)] = told.ends
        stacked.steps[i] = len(told.ends)
        log_odds[i, : len(told.ends)] = np.log(told.rewards / (1 - told.rewards))
    return eqx.tree_at(lambda s: s.log_odds, stacked, log_odds)


class Unpaid(Kernel):
    """A kernel on solutions whose ledgers are set back to zero, so that there are finitely many states."""

    kernel: Kernel

    def __call__(self, key: Any, x: Any) -> tuple[Any, Any]:
        """One transition."""
        x, info = self.kernel(key, x)
        return eqx.tree_at(lambda s: s.spent, x, jax.tree.map(jnp.zeros_like, x.spent)), info

    @property
    def invariant(self) -> Any:
        """That of the kernel."""
        return self.kernel.invariant


def solution_case(name: str, kernel: Kernel, world: World, factor: Callable[[np.ndarray], float]) -> KernelCase:
    """A kernel on all solutions of a world, against p_LM(x) factor(rewards)."""
    return KernelCase(name, Unpaid(kernel), states(world), log_target(world, factor))
