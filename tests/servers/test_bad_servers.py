"""Servers that hang, fail or answer nonsense: what each lane costs, what is kept, and how it is told."""

import time
from typing import Any

import pytest

from probinf.servers import Completion, CompletionClient, Failure
from tests.servers.models import Reply, ScriptedServer, choices

KEY = "sk-secret-0123"


def asked(script, prompts=("p",), *, lists: Any = "never", seed=None, stop=(), **knobs) -> tuple[list[Any], list[Any]]:
    """The answers of a scripted server, and the bodies it was sent."""
    knobs = {"timeout": 5.0, "retries": 3, "backoff": 0.001, **knobs}
    with ScriptedServer(script) as server, CompletionClient(server.url, "m", lists=lists, **knobs) as client:
        answers = client.complete(list(prompts), max_tokens=4, seed=seed, stop=stop)
        assert client.requests == len(server.bodies)
    return answers, server.bodies


def test_500_then_fine():
    (answer,), bodies = asked(lambda i, body: Reply({}, 500) if i < 3 else choices("ab"))
    assert isinstance(answer, Completion) and answer.text == "ab" and answer.requests == len(bodies) == 3
    assert bodies[0] == bodies[2], "a retry asks for the same"


def test_a_server_that_hangs_ends_in_time():
    begin = time.monotonic()
    (answer,), bodies = asked(lambda i, body: Reply({}, hang=1.0), timeout=0.1, retries=1)
    assert time.monotonic() - begin < 0.9
    assert isinstance(answer, Failure) and "no answer within 0.1 s, 2 times" in answer.reason
    assert answer.requests == 2


def test_patience_bounds_all_attempts():
    begin = time.monotonic()
    (answer,), _ = asked(lambda i, body: Reply({}, 503), retries=1000, patience=0.3, backoff=0.05)
    assert time.monotonic() - begin < 0.6
    assert isinstance(answer, Failure) and "patience=0.3 s is used up" in answer.reason and answer.status == 503


def test_retry_after_is_honored():
    begin = time.monotonic()
    (answer,), bodies = asked(lambda i, body: Reply({}, 429, {"Retry-After": "1"}) if i == 1 else choices("ab"))
    assert time.monotonic() - begin >= 1.0
    assert isinstance(answer, Completion) and len(bodies) == 2


def test_a_wait_beyond_patience_is_not_begun():
    begin = time.monotonic()
    (answer,), bodies = asked(lambda i, body: Reply({}, 429, {"Retry-After": "3600"}), patience=5.0)
    assert time.monotonic() - begin < 2.0
    assert isinstance(answer, Failure) and "the server asks for 3600 s" in answer.reason and len(bodies) == 1


@pytest.mark.parametrize(
    ("nonsense", "told"),
    [
        (b"{", "not JSON"),
        ([1], "no list of choices"),
        ({"choices": []}, "no list of choices"),
        ({"choices": [{"index": 0, "finish_reason": "stop"}]}, "without text"),
        ({"choices": [{"index": 7, "text": "a", "finish_reason": "stop"}]}, "index 7"),
        ({"choices": [{"index": 0, "text": "a", "finish_reason": "abort"}]}, "abort"),
        (choices("a", logprobs={"token_logprobs": [10**400]}).body, "a number out of range"),
    ],
)
def test_nonsense_is_asked_for_again_and_then_told(nonsense, told):
    (answer,), bodies = asked(lambda i, body: Reply(nonsense), retries=1)
    assert isinstance(answer, Failure) and told in answer.reason and len(bodies) == 2


def test_other_4xx_fail_at_once_with_the_servers_message():
    said = {"error": {"message": "unknown model"}}
    (answer,), bodies = asked(lambda i, body: Reply(said, 404))
    assert isinstance(answer, Failure) and answer.status == 404 and len(bodies) == 1
    assert answer.reason.endswith("HTTP 404: unknown model")


def test_no_server():
    with CompletionClient("http://127.0.0.1:9/v1", "m", retries=1, backoff=0.001) as client:
        (answer,) = client.complete(["p"], max_tokens=1)
    assert isinstance(answer, Failure) and "no connection (ConnectError), 2 times" in answer.reason


def test_a_failing_lane_costs_the_others_nothing():
    fails = lambda i, body: Reply({}, 500) if body["prompt"] == "bad" else choices(body["prompt"] + "!")  # noqa: E731
    answers, bodies = asked(fails, ["x", "bad", "y"], seed=5, retries=2)
    assert [a.requests for a in answers] == [1, 3, 1] and len(bodies) == 5
    assert [getattr(a, "text", None) for a in answers] == ["x!", None, "y!"]
    assert sorted({(body["prompt"], body["seed"]) for body in bodies}) == [("bad", 6), ("x", 5), ("y", 7)]


def test_a_list_is_one_request():
    answers, bodies = asked(lambda i, body: choices(*(p + "!" for p in body["prompt"])), "xyz", lists="auto")
    assert [a.text for a in answers] == ["x!", "y!", "z!"] and len(bodies) == 1


def test_lists_go_without_seeds_unless_the_server_draws_apart():
    """Servers such as vLLM draw with the same noise for all prompts of a list that share a seed."""
    echo = lambda i, body: choices(*(["!"] * (1 if isinstance(body["prompt"], str) else len(body["prompt"]))))  # noqa: E731
    _, bodies = asked(echo, "xyz", lists="auto", seed=1)
    assert sorted(body["seed"] for body in bodies) == [1, 2, 3]
    _, bodies = asked(echo, "xyz", lists="seeded", seed=1)
    assert [body["seed"] for body in bodies] == [1]


def test_too_few_choices_are_kept_and_only_the_rest_is_asked_again():
    first = lambda i, body: choices((body["prompt"] if isinstance(body["prompt"], str) else "first") + "!")  # noqa: E731
    answers, bodies = asked(first, "xyz", lists="auto")
    assert [a.text for a in answers] == ["first!", "y!", "z!"]
    assert [a.requests for a in answers] == [1, 2, 2]
    assert sorted(str(body["prompt"]) for body in bodies) == ["['x', 'y', 'z']", "y", "z"]


def test_a_server_without_lists_is_asked_one_by_one_from_then_on():
    plain = lambda i, body: choices("!") if isinstance(body["prompt"], str) else Reply({"detail": "no list"}, 422)  # noqa: E731
    with ScriptedServer(plain) as server, CompletionClient(server.url, "m") as client:
        for _ in range(2):
            answers: list[Any] = client.complete(["x", "y"], max_tokens=1)
            assert [a.text for a in answers] == ["!", "!"]
        assert [body["prompt"] for body in server.bodies].count(["x", "y"]) == 1 and len(server.bodies) == 5


def test_the_key_is_sent_and_shown_nowhere():
    repeats = lambda i, body: Reply({"error": {"message": f"bad key {KEY}"}}, 401)  # noqa: E731
    with ScriptedServer(repeats) as server, CompletionClient(server.url, "m", KEY) as client:
        (answer,) = client.complete(["p"], max_tokens=1)
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
        assert isinstance(answer, Failure) and "bad key ***" in answer.reason
        for text in (repr(client), str(client), repr(client.endpoint), repr(answer)):
            assert KEY not in text
    with pytest.raises(ValueError, match="printable") as problem:
        CompletionClient("http://127.0.0.1:9/v1", "m", KEY + "\n")
    assert KEY not in str(problem.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://host/v1", "http://", "http://user:pw@host/v1", "http://h/v1?k=1"]
)
def test_addresses_that_are_none(url):
    with pytest.raises(ValueError, match="base_url") as problem:
        CompletionClient(url, "m")
    assert "pw" not in str(problem.value)


def test_knobs_out_of_range():
    bad: list[dict[str, Any]] = [{"timeout": 0.0}, {"retries": -1}, {"concurrency": 0}, {"list_size": 0}]
    for knobs in bad:
        with pytest.raises(ValueError, match=next(iter(knobs))):
            CompletionClient("http://h/v1", "m", **knobs)
    with CompletionClient("http://h/v1", "m") as client:
        bad = [{"max_tokens": 0}, {"max_tokens": 1, "stop": [""]}, {"max_tokens": 1, "seed": [1, 2]}]
        for knobs in bad:
            with pytest.raises(ValueError, match="max_tokens|stop|seeds"):
                client.complete(["p"], **knobs)


# How servers tell a stop string from the end of a text, and a list of choices' fields.
STOPS = [
    ({"finish_reason": "stop", "stop_reason": ";"}, "ab", "ab;", ";", "stop"),
    ({"finish_reason": "stop", "stop_reason": None}, "ab", "ab", None, "end"),
    ({"finish_reason": "stop", "matched_stop": 2}, "ab", "ab", None, "end"),
    ({"finish_reason": "stop", "stop_reason": ";"}, "ab;", "ab;", ";", "stop"),
    ({"finish_reason": "stop"}, "ab;", "ab;", ";", "stop"),
    ({"finish_reason": "eos_token"}, "ab", "ab", None, "end"),
    ({"finish_reason": "length"}, "ab", "ab", None, "length"),
    (
        {"finish_reason": "stop", "logprobs": {"tokens": ["ab", "!."], "token_logprobs": [-1.0, -0.5]}},
        "ab", "ab!", "!", "stop",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "text", "whole", "stop", "reason"), STOPS)
def test_stop_strings_are_put_back(fields, text, whole, stop, reason):
    (answer,), _ = asked(lambda i, body: choices(text, **fields), stop=[";", "!"])
    assert (answer.text, answer.stop, answer.finish_reason) == (whole, stop, reason)


def test_an_unclear_stop_counts_as_the_only_stop_string_or_as_the_end():
    (answer,), _ = asked(lambda i, body: choices("ab", finish_reason="stop"), stop=[";"])
    assert (answer.text, answer.finish_reason) == ("ab;", "stop")
    (answer,), _ = asked(lambda i, body: choices("ab", finish_reason="stop"), stop=[";"], unclear_stop="end")
    assert (answer.text, answer.finish_reason) == ("ab", "end")


@pytest.mark.parametrize(
    ("logprobs", "total"),
    [
        ({"tokens": ["a", "b"], "token_logprobs": [-1.0, -0.5]}, -1.5),
        ({"content": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -0.5}]}, -1.5),
        ({"tokens": ["a"], "token_logprobs": [None]}, None),
        (None, None),
    ],
)
def test_log_probabilities_are_summed(logprobs, total):
    (answer,), bodies = asked(lambda i, body: choices("ab", logprobs=logprobs))
    assert answer.log_prob == total and bodies[0]["logprobs"] == 1
