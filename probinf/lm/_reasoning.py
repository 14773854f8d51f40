"""Reasoning: a language model writes a solution step by step, and a reward model reads along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._measure import Distribution
from probinf.lm._continue import Continue
from probinf.lm._greedy import Greedy
from probinf.lm._prompt import Prompt
from probinf.lm._protocol import Generation, LanguageModel
from probinf.lm._reward import Reward
from probinf.lm._solutions import Ledger, Solutions
from probinf.lm._stop import StopTable


class Reasoning(eqx.Module):
    """A problem, the model that solves it step by step, and the reward of each step: a *writer* of solutions.

    A step ends where a string of `step_end` completes, or after `tokens_per_step` tokens if it never does. A solution
    is finished at a stop token of the model, after `max_steps` steps or `max_new_tokens` tokens (by default room for
    all steps at full length).

    Once all lanes are finished a step costs nothing, by a test in each round. Under `jax.vmap` over problems that test
    saves nothing and costs a copy of the model's state: there, say `skip_finished=False`.

    Raises: ValueError where a knob is below one, the prompt is empty or does not fit in the context, or the
    temperature is not positive; TypeError where the reward is none.
    """

    prompt: Prompt
    continuation: Continue
    reward: Reward
    max_steps: int = eqx.field(static=True)
    skip_finished: bool = eqx.field(static=True)

    def __init__(
        self,
        lm: LanguageModel,
        prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
        reward: Reward,
        *,
        max_steps: int,
        tokens_per_step: int,
        max_new_tokens: int | None = None,
        step_end: StopTable | None = None,
        temperature: float | Float[Array, ""] = 1.0,
        skip_finished: bool = True,
    ) -> None:
        if not is_count(max_steps):
            raise ValueError(f"a solution has at least one step, got max_steps={max_steps}")
        if not isinstance(reward, Reward):
            raise TypeError(f"expected a Reward, got {type(reward).__name__}: wrap a function in RewardFunction")
        self.continuation = Continue(lm, tokens_per_step, step_end, temperature, name="step")
        room = max_steps * tokens_per_step if max_new_tokens is None else max_new_tokens
        self.prompt = Prompt(lm, prompt_ids, room)
        self.reward = reward
        self.max_steps = max_steps
        self.skip_finished = skip_finished

    def start(self) -> Start:
        """The law of a solution of which nothing is written."""
        return Start(self.prompt, self.max_steps)

    def step(self) -> Step:
        """The law of the next step of each solution, with its reward."""
        return Step(self.continuation, self.reward, self.max_steps, self.skip_finished)

    def with_prompt(self, prompt_ids: Int[Array, " bucket"], prompt_length: Int[Array, ""]) -> Reasoning:
        """The same problem with another prompt, padded to the same bucket: for `jax.vmap` over problems."""
        if prompt_ids.shape != self.prompt.prompt_ids.shape:
            raise ValueError(
                f"the prompt must be padded to {self.prompt.prompt_ids.shape[0]} identifiers, got {prompt_ids.shape}"
            )
        return eqx.tree_at(
            lambda r: (r.prompt.prompt_ids, r.prompt.prompt_length), self, (prompt_ids, jnp.asarray(prompt_length))
        )

    def greedy(self) -> Reasoning:
        """The same problem and rewards, with the most likely token written every time."""
        lm = Greedy(self.continuation.lm)
        return eqx.tree_at(lambda r: (r.prompt.lm, r.continuation.lm), self, (lm, lm))

    @property
    def traceable(self) -> bool:
        """Whether the reward is."""
        return self.reward.traceable


class Start(Distribution):
    """Solutions of which nothing is written.

    Law: a point mass, log-density zero.
    """

    prompt: Prompt
    max_steps: int = eqx.field(static=True)
    name: str = eqx.field(static=True, default="prompt")

    def sample(self, key: PRNGKeyArray, x: Any) -> Solutions:
        """Refuse: lanes share one reading of the prompt."""
        raise TypeError("Reasoning starts whole clouds: use sample_lanes, as Draw does.")

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Solutions:
        """Read the prompt for n lanes."""
        table = (n, self.max_steps)
        none = jnp.zeros(n, jnp.int32)
        return Solutions(
            generation=self.prompt.sample_lanes(key, values, n),
            log_odds=jnp.zeros(table),
            ends=jnp.zeros(table, jnp.int32),
            steps=none,
            advanced=jnp.zeros(n, bool),
            spent=Ledger(none, none),
        )

    def retrace_lanes(self, key: PRNGKeyArray, values: Any, n: int, reference: Solutions) -> Solutions:
        """All starts are the same."""
        del reference
        return self.sample_lanes(key, values, n)

    def log_density(self, x: Solutions) -> Float[Array, ""]:
        """Zero."""
        del x
        return jnp.zeros(())

    def log_density_lanes(self, values: Solutions, n: int) -> Float[Array, " n"]:
        """Zero in each lane."""
        del values
        return jnp.zeros(n)


class Step(Distribution):
    """The next step of every unfinished solution, and its reward; finished ones idle.

    Law: the tokens follow the model at the continuation's temperature; the reward is a function of the text.
    """

    continuation: Continue
    reward: Reward
    max_steps: int = eqx.field(static=True)
    skip_finished: bool = eqx.field(static=True, default=True)
    name: str = eqx.field(static=True, default="step")

    @property
    def traceable(self) -> bool:
        """Whether the reward is."""
        return self.reward.traceable

    def sample(self, key: PRNGKeyArray, x: Solutions) -> Solutions:
        """Refuse: lanes share one network evaluation."""
        raise TypeError("A step is drawn for whole clouds: use sample_lanes, as Draw does.")

    def sample_lanes(self, key: PRNGKeyArray, values: Solutions, n: int) -> Solutions:
        """Write one step in each unfinished lane; where all are finished, nothing is computed."""
        return self._round(values, n, lambda texts: self.continuation.sample_lanes(key, texts, n))

    def retrace_lanes(self, key: PRNGKeyArray, values: Solutions, n: int, reference: Solutions) -> Solutions:
        """The same, but lane 0 writes the step of `reference` (one solution) that comes next."""
        tokens = self.tokens_of(reference, values.steps[0])
        held = jnp.arange(n) == 0
        return self._round(values, n, lambda texts: self.continuation.force_lanes(key, texts, n, tokens, held))

    def replay_lanes(self, values: Solutions, n: int, tokens: Int[Array, " k"]) -> Solutions:
        """All lanes write the given tokens as their next step, as far as it goes; nothing is drawn."""
        return self._round(values, n, lambda texts: self.continuation.replay_lanes(texts, n, tokens))

    def tokens_of(self, reference: Solutions, step: Int[Array, ""]) -> Int[Array, " k"]:
        """The tokens of one step of one solution, followed by whatever comes after them."""
        size = self.continuation.tokens_per_step
        begin = jnp.where(step > 0, reference.ends[jnp.maximum(step - 1, 0)], 0)
        # Padded, so that a slice near the end is not shifted.
        return jax.lax.dynamic_slice_in_dim(jnp.pad(reference.generation.tokens, (0, size)), begin, size)

    def log_density(self, x: Solutions) -> Float[Array, ""]:
        """Log-probability of the latest step of one solution; zero if it idled."""
        return x.generation.latest_log_prob

    def log_density_lanes(self, values: Solutions, n: int) -> Float[Array, " n"]:
        """Log-probability of the latest step of each lane; zero for those that idled."""
        del n
        return values.generation.latest_log_prob

    def _round(self, values: Solutions, n: int, write: Any) -> Solutions:
        idle = eqx.tree_at(
            lambda s: (s.advanced, s.generation.latest_log_prob),
            values,
            (jnp.zeros(n, bool), jnp.zeros_like(values.generation.latest_log_prob)),
        )
        if not self.traceable:
            return self._written(idle, n, write) if bool(jnp.any(~idle.generation.finished)) else idle
        if not self.skip_finished:
            return self._written(idle, n, write)
        work = lambda values: self._written(values, n, write)  # noqa: E731
        return jax.lax.cond(jnp.any(~idle.generation.finished), work, lambda values: values, idle)

    def _written(self, values: Solutions, n: int, write: Any) -> Solutions:
        advanced = ~values.generation.finished
        generation: Generation = write(values.generation)
        here = advanced[:, None] & (jnp.arange(self.max_steps)[None, :] == values.steps[:, None])
        log_odds = self.reward.log_odds(generation, n).astype(values.log_odds.dtype)
        steps = values.steps + advanced
        finished = generation.finished | (steps == self.max_steps)
        drawn = generation.length - values.generation.length
        return Solutions(
            generation=eqx.tree_at(lambda g: g.finished, generation, finished),
            log_odds=jnp.where(here, log_odds[:, None], values.log_odds),
            ends=jnp.where(here, generation.length[:, None], values.ends),
            steps=steps,
            advanced=advanced,
            spent=Ledger(values.spent.tokens + drawn, values.spent.reward_calls + advanced),
        )
