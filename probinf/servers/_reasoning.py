"""Reasoning on servers: a language model and a reward model behind endpoints, as a writer of solutions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import count, is_count
from probinf._measure import Distribution, MeaningError
from probinf.servers._errors import Failure, ServerError
from probinf.servers._rewards import TextReward
from probinf.servers._solution import RemoteSolution, as_solutions
from probinf.servers._wire import Completion


@runtime_checkable
class Completes(Protocol):
    """What completes prompts: a `CompletionClient`, or a stand-in for it."""

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        temperature: float = 1.0,
        seed: int | Sequence[int] | None = None,
    ) -> list[Completion | Failure]:
        """A completion of each prompt, or why there is none."""
        ...


class RemoteReasoning(eqx.Module):
    """A problem, and the servers that solve it step by step: the counterpart of `probinf.lm.Reasoning` for endpoints.

    A step ends with a string of `step_end`, which stays in the text, or after `max_tokens_per_step` tokens. A solution
    is finished where the model ends the text, after a step with which it contains `finished` (or `finished(text)` is
    true), after `max_steps` steps, after two empty steps in a row, or cut off where the server's context is full: with
    a step that the server made shorter than `max_tokens_per_step`, or where it has no room for another one.

    Law of a round: each unfinished lane writes its next step, with text of the server's law given prompt and text so
    far. A lane whose request failed, retries and all, stays as it is, does not count as advanced (its potential is
    one), and tries again in the next round; a step that is paid for but got no reward waits for that. As long as
    failures do not depend on what would have been written, solutions have the law of a server that never fails; a
    time-out that only long steps meet is no such failure.

    A lane may fail in `spare_rounds` rounds. So a filter makes up to `max_steps + spare_rounds` rounds, which is what
    the writer reports as its `max_steps`; once all solutions are finished, further rounds ask for nothing. A lane that
    fails once more raises ServerError with the cloud in `values`; hand it to `sample(..., values=error.values)` with
    the same sampler, and the run goes on where it broke off: nothing that was paid for is asked again. The values carry
    no weights: none are missing where every round resamples (all are equal then), but `log_z` counts from there.

    seeded: send seeds made from the JAX key, so that the same key asks for the same texts; None leaves it to the
    client's dialect.

    Raises: ValueError where a knob is below one, a temperature negative, or the prompt or a stop string empty;
    TypeError where the reward is none.
    """

    client: Completes = eqx.field(static=True)
    prompt: str = eqx.field(static=True)
    reward: TextReward
    longest: int = eqx.field(static=True)
    max_tokens_per_step: int = eqx.field(static=True)
    step_end: tuple[str, ...] = eqx.field(static=True)
    finished: str | Callable[[str], bool] | None = eqx.field(static=True)
    temperature: float = eqx.field(static=True)
    spare_rounds: int = eqx.field(static=True)
    seeded: bool = eqx.field(static=True)

    def __init__(
        self,
        client: Completes,
        prompt: str,
        reward: TextReward,
        *,
        max_steps: int,
        max_tokens_per_step: int,
        step_end: str | Sequence[str] = "\n\n",
        finished: str | Callable[[str], bool] | None = None,
        temperature: float = 1.0,
        spare_rounds: int = 3,
        seeded: bool | None = None,
    ) -> None:
        if not is_count(max_steps) or not is_count(max_tokens_per_step) or not is_count(spare_rounds, 0):
            raise ValueError(
                f"max_steps and max_tokens_per_step must be at least 1 and spare_rounds at least 0, got {max_steps}, "
                f"{max_tokens_per_step} and {spare_rounds}"
            )
        if not prompt:
            raise ValueError("the prompt is empty: a completion needs a text to go on from")
        if not temperature >= 0:
            raise ValueError(f"the temperature must not be negative, got {temperature}")
        if not isinstance(reward, TextReward):
            raise TypeError(
                f"expected a TextReward, got {type(reward).__name__}: wrap a function in TextRewardFunction"
            )
        ends = (step_end,) if isinstance(step_end, str) else tuple(step_end)
        if not all(ends) or finished == "":
            raise ValueError("step_end and finished must not be empty: leave out what is not used (step_end=())")
        self.client, self.prompt, self.reward = client, prompt, reward
        self.longest, self.max_tokens_per_step, self.step_end = max_steps, max_tokens_per_step, ends
        self.finished, self.temperature = finished, temperature
        self.spare_rounds = spare_rounds
        self.seeded = bool(getattr(client, "seeded", True)) if seeded is None else seeded

    @property
    def max_steps(self) -> int:
        """The most rounds that a run makes: one for each step of the longest solution, and the spare ones."""
        return self.longest + self.spare_rounds

    @property
    def traceable(self) -> bool:
        """False: servers are asked from the host."""
        return False

    def start(self) -> RemoteStart:
        """The law of a solution of which nothing is written, or of one that a broken run left."""
        return RemoteStart()

    def step(self) -> RemoteStep:
        """The law of the next step of each solution, with its reward."""
        return RemoteStep(self)


class RemoteStart(Distribution):
    """Solutions of which nothing is written; solutions that a run starts from stay as they are, and may fail anew.

    Law: a point mass, log-density zero.
    """

    name: str = eqx.field(static=True, default="prompt")

    @property
    def traceable(self) -> bool:
        """False: the values are Python objects."""
        return False

    def sample(self, key: PRNGKeyArray, x: Any) -> RemoteSolution:
        """One solution."""
        return self.sample_lanes(key, [x] if isinstance(x, RemoteSolution) else (), 1)[0]

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> list[RemoteSolution]:
        """One solution a lane."""
        del key
        if isinstance(values, list) and values:
            return [dataclasses.replace(value, failures=0) for value in as_solutions(values, n)]
        return [RemoteSolution()] * n

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Zero."""
        del x
        return jax.numpy.zeros(())

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """Zero in each lane."""
        del values
        return jax.numpy.zeros(n)


class RemoteStep(Distribution):
    """The next step of every unfinished solution, and its reward, from one batch of requests to each server.

    Law: see `RemoteReasoning`.
    """

    writer: RemoteReasoning
    name: str = eqx.field(static=True, default="step")

    @property
    def traceable(self) -> bool:
        """False: servers are asked from the host."""
        return False

    def sample(self, key: PRNGKeyArray, x: RemoteSolution) -> RemoteSolution:
        """The next step of one solution."""
        return self.sample_lanes(key, [x], 1)[0]

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Not known: servers count log-probabilities in their own way, if at all.

        Raises: MeaningError always.
        """
        raise MeaningError("the law of a server's texts has no density here: the texts' log_prob is what it reports")

    def retrace_lanes(self, key: PRNGKeyArray, values: Any, n: int, reference: Any) -> Any:
        """Not possible: a server cannot be held to what it once wrote.

        Raises: MeaningError always.
        """
        raise MeaningError("solutions on servers cannot be retraced by conditional SMC: use a filter")

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> list[RemoteSolution]:
        """Writes one step in each unfinished lane; where all are finished, nothing is asked.

        Raises: ServerError where a lane has used up its spare rounds, or the reward raised an exception.
        """
        lanes = as_solutions(values, n)
        # What a broken round had written counts in this one.
        resumed = {i for i, lane in enumerate(lanes) if lane.uncounted}
        active = [i for i, lane in enumerate(lanes) if not lane.finished and i not in resumed]
        drafts: dict[int, Completion | Failure] = {i: d for i in active if (d := lanes[i].draft) is not None}
        drafts |= self._write(key, n, lanes, [i for i in active if i not in drafts])
        # Before the first step there is nothing to finish: the prompt itself is too long.
        full = {i for i, d in drafts.items() if isinstance(d, Failure) and d.no_room and lanes[i].steps}
        drafts = {i: draft for i, draft in drafts.items() if i not in full}
        written = {i: draft for i, draft in drafts.items() if isinstance(draft, Completion)}
        lanes = [_kept(lane, drafts.get(i), i in resumed) for i, lane in enumerate(lanes)]
        lanes = [_cut_off(lane) if i in full else lane for i, lane in enumerate(lanes)]
        scores = dict(
            zip(written, self._score([lanes[i].text + d.text for i, d in written.items()], lanes), strict=True)
        )
        for i, draft in written.items():
            score = scores[i]
            lanes[i] = self._failed(lanes[i]) if isinstance(score, Failure) else self._extended(lanes[i], draft, score)
        problems = {i: x for i, x in (drafts | scores).items() if isinstance(x, Failure)}
        lanes = [self._failed(lane) if isinstance(drafts.get(i), Failure) else lane for i, lane in enumerate(lanes)]
        given_up = [i for i in problems if lanes[i].failures > self.writer.spare_rounds]
        if given_up:
            raise ServerError(self._account(problems, given_up), _broken_off(lanes))
        return lanes

    def _write(
        self, key: PRNGKeyArray, n: int, lanes: list[RemoteSolution], asked: list[int]
    ) -> dict[int, Completion | Failure]:
        if not asked:
            return {}
        writer = self.writer
        seeds = lane_seeds(key, n)
        replies = writer.client.complete(
            [writer.prompt + lanes[i].text for i in asked],
            max_tokens=writer.max_tokens_per_step,
            stop=writer.step_end,
            temperature=writer.temperature,
            seed=[seeds[i] for i in asked] if writer.seeded else None,
        )
        return dict(zip(asked, replies, strict=True))

    def _score(self, texts: list[str], lanes: list[RemoteSolution]) -> list[float | Failure]:
        if not texts:
            return []
        try:
            scores = self.writer.reward.log_odds(self.writer.prompt, texts)
            if len(scores) != len(texts):
                raise ValueError(f"{len(scores)} rewards for {len(texts)} texts")
            return scores
        except Exception as problem:
            told = f"the reward raised {type(problem).__name__}: {problem}; mend it and go on with values=error.values"
            raise ServerError(told, _broken_off(lanes)) from problem

    def _extended(self, lane: RemoteSolution, draft: Completion, score: float) -> RemoteSolution:
        """The lane with one step more."""
        writer, text = self.writer, lane.text + draft.text
        empty = lane.empty + 1 if draft.text == (draft.stop or "") else 0
        cut_off = draft.finish_reason == "cut_off"
        ended = cut_off or draft.finish_reason == "end" or lane.steps + 1 >= writer.longest or empty >= 2
        return dataclasses.replace(
            lane,
            text=text,
            log_odds=(*lane.log_odds, score),
            finished=ended or self._answered(text),
            advanced=True,
            log_prob=None if lane.log_prob is None or draft.log_prob is None else lane.log_prob + draft.log_prob,
            tokens=None if lane.tokens is None or draft.tokens is None else lane.tokens + draft.tokens,
            empty=empty,
            draft=None,
            cut_off=cut_off,
        )

    def _answered(self, text: str) -> bool:
        mark = self.writer.finished
        if mark is None:
            return False
        return mark in text if isinstance(mark, str) else bool(mark(text))

    def _failed(self, lane: RemoteSolution) -> RemoteSolution:
        return dataclasses.replace(lane, failures=lane.failures + 1)

    def _account(self, problems: dict[int, Failure], given_up: list[int]) -> str:
        reasons = sorted({problems[i].reason for i in given_up})
        others = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
        return (
            f"{len(given_up)} solutions got no step in {self.writer.spare_rounds + 1} rounds: {reasons[0]}{others}; "
            "see to the server and go on with sample(..., values=error.values), or allow more spare_rounds"
        )


def lane_seeds(key: PRNGKeyArray, n: int) -> list[int]:
    """A seed below 2**31 for each of n lanes; more lanes keep the seeds of the first ones.

    Raises: ValueError for a number of lanes below zero.
    """
    count("n", n, least=0)
    bits = jax.vmap(jax.random.bits)(jax.random.split(key, n))
    return [int(x) for x in np.asarray(bits) >> 1]


def _kept(lane: RemoteSolution, draft: Completion | Failure | None, resumed: bool) -> RemoteSolution:
    """The lane before its reward is known: what was written for it is not lost whatever happens."""
    if resumed:
        return dataclasses.replace(lane, advanced=True, uncounted=False)
    return dataclasses.replace(lane, advanced=False, draft=draft if isinstance(draft, Completion) else None)


def _cut_off(lane: RemoteSolution) -> RemoteSolution:
    """The lane where the server has no room for another step."""
    return dataclasses.replace(lane, finished=True, cut_off=True)


def _broken_off(lanes: list[RemoteSolution]) -> list[RemoteSolution]:
    """The lanes as they are handed back: steps of this round have not met the weights."""
    return [dataclasses.replace(lane, uncounted=lane.advanced) for lane in lanes]
