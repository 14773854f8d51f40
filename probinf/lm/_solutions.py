"""Solutions that are written step by step, with the reward of each step."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from probinf._particles import LaneState
from probinf.lm._protocol import Generation


class Ledger(LaneState):
    """What the slots of a cloud have cost so far: tokens drawn, and rewards asked for.

    A copy does not pay again and a killed lane was paid for, so resampling leaves the entries where they are.
    """

    tokens: Int[Array, " n"]
    reward_calls: Int[Array, " n"]

    def take(self, ancestors: Int[Array, " m"]) -> Ledger:
        """The same ledger; for another number of lanes, one that has the whole cost in its first slot."""
        if ancestors.shape == self.tokens.shape:
            return self
        move = lambda entries: jnp.zeros(ancestors.shape, entries.dtype).at[0].set(entries.sum(dtype=entries.dtype))  # noqa: E731
        return Ledger(move(self.tokens), move(self.reward_calls))


class Solutions(eqx.Module):
    """N solutions being written, the value of a cloud of reasoning.

    `log_odds[i, :steps[i]]` are log(r / (1 - r)) for the rewards r of lane i's steps, and `ends[i, :steps[i]]` how many
    tokens it had written by then; the rest is zero. `advanced` tells which lanes wrote a step in the latest round.
    """

    generation: Generation
    log_odds: Float[Array, "n max_steps"]
    ends: Int[Array, "n max_steps"]
    steps: Int[Array, " n"]
    advanced: Bool[Array, " n"]
    spent: Ledger


class Spent(NamedTuple):
    """What a cloud has cost in all: solutions begun, tokens drawn, rewards asked for (seconds: use a clock)."""

    generations: Int[Array, ""]
    tokens: Int[Array, ""]
    reward_calls: Int[Array, ""]


def spending(values: Any) -> Spent:
    """What the cloud has cost, copies and killed solutions included.

    `generations` is the number of lanes, the budget that papers count. A cloud that `Choose` reduced to one lane still
    knows its tokens and reward calls, but counts one generation.

    Raises: TypeError for solutions of a server, whose client counts requests and tokens.
    """
    if not isinstance(values, Solutions):
        raise TypeError(f"expected Solutions, got {type(values).__name__}: for servers ask the client for its tokens")
    tokens, calls = values.spent.tokens, values.spent.reward_calls
    total = lambda entries: jnp.sum(entries, dtype=entries.dtype)  # noqa: E731
    return Spent(jnp.asarray(len(tokens), tokens.dtype), total(tokens), total(calls))


class History(NamedTuple):
    """What weight rules see of a cloud, on the device or on the host: the rewards of all steps, and who goes on."""

    log_odds: Float[Array, "n max_steps"]
    steps: Int[Array, " n"]
    advanced: Bool[Array, " n"]
    finished: Bool[Array, " n"]


def history_of(values: Any) -> History:
    """The history of `Solutions`, or of a list of objects with `log_odds`, `advanced` and `finished`.

    Raises: TypeError for other values.
    """
    if isinstance(values, Solutions):
        return History(values.log_odds, values.steps, values.advanced, values.generation.finished)
    if not isinstance(values, list):
        raise TypeError(f"expected Solutions or a list of them, got {type(values).__name__}: draw from a writer first")
    steps = np.array([len(value.log_odds) for value in values], np.int32)
    log_odds = np.zeros((len(values), max(1, steps.max(initial=0))), jnp.result_type(float))
    for row, value in zip(log_odds, values, strict=True):
        row[: len(value.log_odds)] = value.log_odds
    flags = [np.array([getattr(value, name) for value in values], bool) for name in ("advanced", "finished")]
    return History(jnp.asarray(log_odds), jnp.asarray(steps), *map(jnp.asarray, flags))


def writing(values: Any) -> Bool[Array, " n"]:
    """Which solutions still go on."""
    return ~history_of(values).finished
