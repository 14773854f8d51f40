"""Reward models behind endpoints: the answers that are understood, and what becomes of the others."""

import math
from typing import Any

import pytest

from probinf.servers import Failure, RemoteReward, TextRewardFunction
from tests.servers.models import Reply, ScriptedServer


def scored(data, count=1, **knobs) -> tuple[list[Any], list[Any]]:
    """The log-odds that a client makes of an answer, and the last body it sent."""
    knobs = {"retries": 1, "backoff": 0.001, **knobs}
    with ScriptedServer(lambda i, body: Reply({"data": data})) as server:
        reward = RemoteReward(server.url, "m", **knobs)
        found = reward.log_odds("Q: ", ["a", "b"][:count])
        reward.close()
    return found, server.bodies


@pytest.mark.parametrize(
    ("row", "score"),
    [
        ({"scores": [0.1, 0.8]}, 0.8),
        ({"scores": 0.8}, 0.8),
        ({"data": [[0.9, 0.1], [0.2, 0.8]]}, 0.8),
        ({"data": [0.8]}, 0.8),
        ({"probs": [0.2, 0.8]}, 0.8),
    ],
)
def test_the_last_score_counts(row, score):
    (found,), _ = scored([row])
    assert found == pytest.approx(math.log(score / (1 - score)))


def test_the_class_and_the_text_can_be_chosen():
    (found,), bodies = scored([{"probs": [0.8, 0.2]}], inputs="texts", positive=0, text=lambda p, r: f"{p}<{r}>")
    assert found == pytest.approx(math.log(4)) and bodies[0]["input"] == ["Q: <a>"]


def test_pairs_are_sent_by_default():
    _, bodies = scored([{"scores": [0.5]}])
    assert bodies[0] == {"model": "m", "input": [{"prompt": "Q: ", "response": "a"}]}


def test_answers_are_put_in_order():
    found, _ = scored([{"index": 1, "scores": [0.5]}, {"index": 0, "scores": [0.8]}], 2)
    assert found == pytest.approx([math.log(4), 0.0])


@pytest.mark.parametrize("score", [math.nan, -0.1, 1.5])
def test_what_is_no_probability_is_no_reward(score):
    (found,), bodies = scored([{"scores": [score]}])
    assert math.isnan(found) and len(bodies) == 1


def test_certainties():
    found, _ = scored([{"scores": [0]}, {"scores": [1]}], 2)
    assert found == [-math.inf, math.inf]


@pytest.mark.parametrize(
    "data", [None, [], [{"scores": []}], [{"scores": ["0.5"]}], [{}], [{"index": 3, "scores": [0.5]}]]
)
def test_an_answer_without_numbers_is_asked_for_again_and_then_told(data):
    (found,), bodies = scored(data)
    assert isinstance(found, Failure) and "score" in found.reason and len(bodies) == 2


def test_a_failed_request_takes_only_its_own_texts_along():
    def fails(i, body):
        bad = body["input"][0]["response"] == "b"
        return Reply({}, 400) if bad else Reply({"data": [{"scores": 0.5}]})

    with ScriptedServer(fails) as server:
        reward = RemoteReward(server.url, "m", list_size=1)
        found = reward.log_odds("Q: ", ["a", "b", "c"])
        reward.close()
    assert found[0] == found[2] == 0.0 and isinstance(found[1], Failure)


def test_functions_and_mistakes():
    assert TextRewardFunction(lambda prompt, response: len(response) / 4).log_odds("", ["ab", ""]) == [0.0, -math.inf]
    with pytest.raises(ValueError, match="path must start"):
        RemoteReward("http://h/v1", "m", path="rewards")
    with pytest.raises(ValueError, match="list_size"):
        RemoteReward("http://h/v1", "m", list_size=0)
    with pytest.raises(ValueError, match="concurrency"):
        RemoteReward("http://h/v1", "m", concurrency=0)
