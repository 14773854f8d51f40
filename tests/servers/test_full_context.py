"""Solutions at the limit of a server's context, and servers that die: what is cut off, what goes on, what is kept."""

import math

import jax
import pytest

from probinf import Status, sample
from probinf.samplers import reasoning_filter
from probinf.servers import (
    CompletionClient,
    Engine,
    Failure,
    ModelServer,
    RemoteReasoning,
    ServerError,
    TextRewardFunction,
)
from tests.servers.models import LetterCodec, Reply, ScriptedServer, choices, tiny_llama
from tests.servers.test_remote_reasoning import Script, rounds, step

FULL = Failure("HTTP 400: the context is full", 1, 400, no_room=True)
HALF = TextRewardFunction(lambda prompt, response: 0.5)


def test_a_solution_at_the_context_limit_is_cut_off_and_the_others_go_on():
    client = Script([step("a"), step("b")], [FULL, step("c")], [step("d", reason="end")])
    first, second, third = rounds(client, 2, 3, max_steps=9, spare_rounds=0)
    assert not first[0].finished and not first[0].cut_off
    assert second[0].finished and second[0].cut_off and not second[0].advanced and second[0].failures == 0
    assert (second[0].text, second[0].log_odds) == ("a", (0.0,)), "what was written is kept"
    assert [lane.text for lane in third] == ["a", "bcd"] and client.asked == [[":", ":"], [":a", ":b"], [":bc"]]
    assert third[1].finished and not third[1].cut_off


def test_a_step_that_the_server_made_shorter_is_the_last_one():
    client = Script([step("a", reason="cut_off"), step("b")], [step("c", reason="end")])
    first, second = rounds(client, 2, 2, max_steps=9)
    assert first[0].finished and first[0].cut_off and first[0].advanced and first[0].log_odds == (0.0,)
    assert client.asked == [[":", ":"], [":b"]] and second[1].text == "bc"


def test_a_prompt_without_room_for_a_first_step_is_an_error():
    with pytest.raises(ServerError, match="the context is full"):
        rounds(Script([FULL]), 1, 1, spare_rounds=0)


def test_a_cut_off_lane_gets_no_factor():
    """Lane 1 is cut off after one step: weights .5 and .5 x .5 by the rewards alone."""
    client = Script([step("a"), step("b")], [step("c", reason="end"), FULL])
    writer = RemoteReasoning(client, ":", HALF, max_steps=2, max_tokens_per_step=1)
    result = sample(reasoning_filter(writer, islands=2), jax.random.key(0), 2)
    assert result.status is Status.OK
    weights = [math.exp(x) for x in result.particles.log_weights]
    assert dict(zip([v.text for v in result.particles.values], weights, strict=True)) == pytest.approx(
        {"ac": 0.25, "b": 0.5}
    )


def test_our_own_server_at_its_context_limit():
    """64 tokens of context: steps of 16 tokens end where there is no room for a whole one, in lists as well."""

    class Codec(LetterCodec):
        def encode(self, text):
            return super().encode(text.replace(".", "a"))

    engine = Engine(tiny_llama(), Codec(), "tiny")
    with ModelServer(engine) as server, CompletionClient(server.url, "tiny", lists="seeded") as client:
        knobs = {"max_steps": 9, "max_tokens_per_step": 16, "step_end": (), "spare_rounds": 0}
        writer = RemoteReasoning(client, "abc", HALF, **knobs)
        result = sample(reasoning_filter(writer, islands=4), jax.random.key(0), 4)
    assert all(value.finished for value in result.particles.values)
    assert any(value.cut_off for value in result.particles.values)
    assert all(value.tokens >= 48 for value in result.particles.values if value.cut_off)


def test_a_server_that_dies_is_told_in_one_sentence_and_what_was_paid_for_is_kept():
    """As vLLM's engine stops: what is under way gets 500, then there is nobody; the next server goes on."""
    dead = {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}
    knobs = {"max_steps": 2, "max_tokens_per_step": 4, "spare_rounds": 1, "step_end": (), "seeded": False}

    def dies(i, body):
        return choices(*(["ab"] * len(body["prompt"])), logprobs=None) if i == 1 else Reply(dead, 500)

    with ScriptedServer(dies) as server, CompletionClient(server.url, "m", retries=0) as client:
        writer = RemoteReasoning(client, ":", HALF, **knobs)
        with pytest.raises(ServerError) as broken:
            sample(reasoning_filter(writer), jax.random.key(0), 3)
    message = str(broken.value)
    assert message.startswith("3 solutions got no step in 2 rounds: ") and "EngineCore encountered an issue" in message
    assert message.endswith("go on with sample(..., values=error.values), or allow more spare_rounds")
    assert [value.text for value in broken.value.values] == ["ab"] * 3
    done = lambda i, body: choices(*(["c"] * len(body["prompt"])), finish_reason="stop")  # noqa: E731
    with ScriptedServer(done) as server, CompletionClient(server.url, "m") as client:
        writer = RemoteReasoning(client, ":", HALF, **knobs)
        result = sample(reasoning_filter(writer), jax.random.key(1), 3, values=broken.value.values)
    assert [body["prompt"] for body in server.bodies] == [[":ab"] * 3]
    assert [value.text for value in result.particles.values] == ["abc"] * 3
