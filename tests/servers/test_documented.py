"""Statements of docs/servers.md about samplers and servers that no other test holds."""

from typing import Any

import jax
import pytest

from probinf import MeaningError, Status, sample
from probinf.samplers import (
    beam_search,
    best_of_n,
    dvts,
    reasoning_filter,
    reward_best_of_n,
    self_consistency,
    solution_pool,
    weighted_best_of_n,
)
from probinf.servers import Completion, RemoteReasoning, TextRewardFunction


class Alternating:
    """Writes "a" and "b" by turns, and ends the text after two steps."""

    def complete(self, prompts, **options) -> list[Any]:
        return [
            Completion("ab"[i % 2], None, "end" if len(prompt) > 1 else "length", -1.0, 1)
            for i, prompt in enumerate(prompts)
        ]


REWARD = TextRewardFunction(lambda prompt, response: 0.9 if response.endswith("b") else 0.4)
WRITER = RemoteReasoning(Alternating(), ":", REWARD, max_steps=3, max_tokens_per_step=1)


def answer(solution):
    return 1 if solution.text.endswith("b") else 0


SAMPLERS = {
    "reasoning_filter": reasoning_filter(WRITER),
    "beam_search": beam_search(WRITER, width=2),
    "dvts": dvts(WRITER, width=2),
    "solution_pool": solution_pool(WRITER),
    "reward_best_of_n": reward_best_of_n(WRITER),
    "weighted_best_of_n": weighted_best_of_n(WRITER, answer),
    "self_consistency": self_consistency(WRITER, answer),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_that_take_a_writer_on_servers(name):
    result = sample(SAMPLERS[name], jax.random.key(0), 4)
    assert result.status is Status.OK and all(value.steps == 2 for value in result.particles.values)


def test_best_of_n_takes_a_local_model_only():
    with pytest.raises((TypeError, AttributeError, MeaningError)):
        best_of_n(WRITER, [0], accepted=lambda tokens: True, max_new_tokens=2)  # pyright: ignore
