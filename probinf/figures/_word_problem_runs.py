"""One cell of the figure on word problems: one problem, one budget, all methods, several independent searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from probinf import Chain, Draw, Sampler, Scan
from probinf.figures._side_by_side import run_side_by_side, stages_of
from probinf.figures._word_problem_writer import lane_answers, writer_of
from probinf.figures._word_problems import WordProblem
from probinf.lm import Reasoning, Reward, TextModel
from probinf.samplers import Odds, ValueRatio, dvts, reasoning_filter

WIDTH = 4
# Answers of texts that state none.
NO_ANSWER = -(10**6)
SELECTIONS = ("argmax", "vote", "majority")


def _samples(writer: Reasoning, n: int, searches: int) -> Sampler:
    del n, searches
    return Draw(writer.start()) >> Draw(writer.step()) >> Scan(Draw(writer.step()), length=writer.max_steps - 1)


def _odds(writer: Reasoning, n: int, searches: int) -> Sampler:
    del n
    return reasoning_filter(writer, Odds(), islands=searches)


def _value_ratio(writer: Reasoning, n: int, searches: int) -> Sampler:
    del n
    return reasoning_filter(writer, ValueRatio(), islands=searches)


def _dvts(writer: Reasoning, n: int, searches: int) -> Sampler:
    del n, searches
    # Trees are independent, so one cloud is all searches. The first stage only checks the number of lanes; without it
    # the search begins as the others do.
    return Chain(stages_of(dvts(writer, width=WIDTH))[1:])


# Each builds `searches` searches of n generations, side by side in one cloud. A filter that multiplies rewards (rule
# Product) would be the one by their ratios: with two steps there is one selection, by the first reward, in both.
METHODS: Mapping[str, Callable[[Reasoning, int, int], Sampler]] = {
    "samples": _samples,
    "PF odds": _odds,
    "PF ratio": _value_ratio,
    "DVTS": _dvts,
}


def run_cell(
    key: PRNGKeyArray, model: TextModel, problem: WordProblem, reward: Reward, n: int, searches: int
) -> dict[str, dict[str, Any]]:
    """Run all methods, `searches` times with n generations each, on common first steps.

    Returns for each method, with one entry per lane: `answers` (None where none is stated) and `log_odds` of each step;
    and `tokens`, `reward_calls` and `seconds` of all searches together.
    """
    writer = writer_of(model, problem, reward)
    samplers = {name: make(writer, n, searches) for name, make in METHODS.items()}
    found = {}
    for name, run in run_side_by_side(key, samplers, n * searches).items():
        values = run.cloud.values
        found[name] = {
            "answers": lane_answers(model, values),
            "log_odds": np.asarray(values.log_odds, float).round(4).tolist(),
            "tokens": int(values.spent.tokens.sum()),
            "reward_calls": int(values.spent.reward_calls.sum()),
            "seconds": round(run.seconds, 3),
        }
    return found


class Chosen(NamedTuple):
    """The answer that each selection takes from each search."""

    argmax: Int[np.ndarray, " searches"]
    vote: Int[np.ndarray, " searches"]
    majority: Int[np.ndarray, " searches"]


def select_answers(answers: Int[np.ndarray, "searches n"], rewards: Float[np.ndarray, "searches n"]) -> Chosen:
    """The answer with the largest final reward, with most reward in all, and of most lanes.

    Lanes that state no answer are left out; of equals the first wins; a search without any answer has `NO_ANSWER`.
    """
    states = answers != NO_ANSWER
    same = (answers[:, :, None] == answers[:, None, :]) & states[:, None, :]

    def best(score: Float[np.ndarray, "searches n"]) -> Int[np.ndarray, " searches"]:
        lane = np.argmax(np.where(states, score, -np.inf), axis=1)
        return answers[np.arange(len(answers)), lane]

    return Chosen(best(rewards), best((same * rewards[:, None, :]).sum(-1)), best(same.sum(-1).astype(float)))
