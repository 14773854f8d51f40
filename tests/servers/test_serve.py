"""Our own server on loopback: its law, what it refuses, and the particle filter over it, end to end."""

import http.client
import json
import math
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Status, sample
from probinf.cli import main
from probinf.lm import TableLM, enumerate_sequences
from probinf.samplers import Odds, reasoning_filter
from probinf.servers import Completion, CompletionClient, Engine, ModelServer, RemoteReasoning, RemoteReward
from probinf.servers._engine import Written, _Lane
from tests.lm.models import full_log_probs, random_tensors
from tests.servers.models import PIECES, LetterCodec, reward_of, tiny_engine, tiny_llama


@pytest.mark.parametrize(
    ("pieces", "stop", "text"),
    [
        (["e", "\na", "b"], "e\n", ""),
        (["b", "e", "\na", "b"], "e\na", "b"),
        (["b", ".\n", "\na"], "\n\n", "b."),
        (["b", ".\n", "a"], "\na", "b."),
        (["b", "c"], "bd", None),
    ],
)
def test_a_stop_string_is_found_across_token_borders(pieces, stop, text):
    lane = _Lane(LetterCodec.token_bytes, LetterCodec.special_tokens, [stop])
    stopped = any(not lane.goes_on(PIECES.index(piece), -1.0, False) for piece in pieces)
    written = lane.written()
    assert stopped == (text is not None)
    assert (written.stop, written.text) == ((stop, text) if stopped else (None, "".join(pieces)))


@pytest.fixture(scope="module")
def server():
    with ModelServer(tiny_engine(), reward_of) as server:
        yield server


@pytest.fixture
def client(server):
    with CompletionClient(server.url, "tiny", lists="seeded", retries=0) as client:
        yield client


def plain(server, path, body=None, **headers):
    """Status and answer of one request by the standard library."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    address = server.url.removesuffix("/v1") + path
    request = urllib.request.Request(address, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def forced_log_probs(prompt, pieces):
    """The log-probabilities of these tokens after the prompt, by a second implementation in float64."""
    begin = LetterCodec().encode(prompt)
    tokens = [PIECES.index(piece) for piece in pieces]
    table = full_log_probs(tiny_llama(), random_tensors(), np.array([*begin, *tokens]))
    return [table[len(begin) - 1 + i, token] for i, token in enumerate(tokens)]


def test_log_probabilities_are_the_local_models(server):
    """Prompts that share a beginning are read together: each text still has its own."""
    body = {"prompt": ["abc", "abdefa", "ab"], "max_tokens": 6, "seed": 3, "logprobs": 1}
    _, answer = plain(server, "/v1/completions", body)
    for prompt, choice in zip(body["prompt"], answer["choices"], strict=True):
        row = choice["logprobs"]
        np.testing.assert_allclose(row["token_logprobs"], forced_log_probs(prompt, row["tokens"]), atol=2e-5)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]


def test_the_client_sums_them(server, client):
    body = {"prompt": ["abc"] * 4, "max_tokens": 8, "seed": 3, "logprobs": 1}
    choices = plain(server, "/v1/completions", body)[1]["choices"]
    for text, choice in zip(client.complete(["abc"] * 4, max_tokens=8, seed=3), choices, strict=True):
        row = choice["logprobs"]
        assert isinstance(text, Completion) and text.text == choice["text"] == "".join(row["tokens"])
        assert text.log_prob == pytest.approx(sum(row["token_logprobs"])) and text.tokens == len(row["tokens"])


def test_a_seed_repeats_its_texts_and_the_texts_of_a_list_differ(client):
    first, again = (client.complete(["ab"] * 4, max_tokens=8, seed=1) for _ in range(2))
    other = client.complete(["ab"] * 4, max_tokens=8, seed=2)
    assert first == again != other and len({text.text for text in first}) > 1


def test_stop_strings_end_a_text_wherever_token_borders_fall(client):
    """Among the tokens are a line break with an a after it and with a period before it."""
    texts = []
    for seed in range(16):
        texts += client.complete(["ab"] * 4, max_tokens=8, stop=["\n", "a"], seed=seed)
    stopped = [text for text in texts if text.finish_reason == "stop"]
    assert len(stopped) > 20 and {text.stop for text in stopped} == {"\n", "a"}
    for text in texts:
        body = text.text.removesuffix(text.stop) if text.stop else text.text
        assert "\n" not in body and "a" not in body
    ended = [text for text in texts if text.finish_reason == "end"]
    assert all(text.stop is None for text in ended)


def test_temperature_zero_takes_the_most_probable_token(server):
    body = {"prompt": "ab", "max_tokens": 8, "temperature": 0, "logprobs": 1, "n": 4}
    choices = plain(server, "/v1/completions", body)[1]["choices"]
    assert len(choices) == 4 and len({choice["text"] for choice in choices}) == 1
    best = full_log_probs(tiny_llama(), random_tensors(), LetterCodec().encode("ab"))[-1].max()
    assert choices[0]["logprobs"]["token_logprobs"][0] == pytest.approx(best, abs=2e-5)


def test_texts_have_the_models_law_at_the_temperature():
    """Frequencies of 4096 texts against the listed law: Bernstein's inequality and a union over the texts; a false
    alarm has probability below 1e-6.
    """
    table, n, temperature = jnp.asarray([[0.5, -0.2, 0.1], [1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), 4096, 2.0

    class Codec:
        special_tokens = frozenset({2})
        token_bytes = (b"a", b"b", b"")

        def encode(self, text):
            return np.array(["ab".index(letter) for letter in text], np.int32)

    lm = TableLM(table=table, stop_tokens=(2,))
    engine = Engine(lm, Codec(), "table", most_lanes=n)
    texts = engine.complete(["a"] * n, max_tokens=2, temperature=temperature, stop=[], seed=9)
    hot = TableLM(table=table / temperature, stop_tokens=(2,))
    sequences, log_p = enumerate_sequences(hot, np.array([0]), 2)
    found = {s: 0 for s in sequences}
    for text in texts:
        found[tuple("ab".index(t) if t else 2 for t in text.tokens)] += 1
    level = math.log(2 * len(found) / 1e-6)
    for sequence, p in zip(sequences, np.exp(log_p), strict=True):
        bound = math.sqrt(2 * p * level / n) + 2 * level / (3 * n)
        assert abs(found[sequence] / n - p) < bound < 0.06


def test_the_particle_filter_over_servers(server, client):
    url = server.url
    reward = RemoteReward(url, "tiny", retries=0)
    steps = RemoteReasoning(
        client, "abc\n", reward, max_steps=3, max_tokens_per_step=4, step_end="\n", finished="h"
    )  # fmt: skip
    before = client.requests
    result = sample(reasoning_filter(steps, Odds()), jax.random.key(0), 4)
    again = sample(reasoning_filter(steps, Odds()), jax.random.key(0), 4)
    reward.close()
    assert result.status is Status.OK and result.particles.values == again.particles.values
    # A round is one request, retries aside, and no round is asked for after the last solution is finished.
    assert client.requests - before <= 2 * 3
    for value in result.particles.values:
        assert value.finished and 1 <= value.steps <= 3
        assert value.log_prob is not None and value.tokens <= 12
        score = reward_of("", value.text)[-1]
        assert value.log_odds[-1] == pytest.approx(math.log(score / (1 - score)))
    assert math.isfinite(float(result.particles.log_z))


def test_models_and_health(server):
    assert plain(server, "/health") == (200, {"status": "ok"})
    assert plain(server, "/v1/models")[1]["data"][0]["id"] == "tiny"


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/v1/completions", b"{", 400, "not JSON"),
        ("/v1/completions", [], 400, "JSON object"),
        ("/v1/completions", {}, 400, "prompt must be"),
        ("/v1/completions", {"prompt": [1]}, 400, "prompt must be"),
        ("/v1/completions", {"prompt": ""}, 400, "prompt is empty"),
        ("/v1/completions", {"prompt": "abc", "max_tokens": 99}, 400, "over the context length 64"),
        ("/v1/completions", {"prompt": "a", "max_tokens": 0}, 400, "max_tokens must be"),
        ("/v1/completions", {"prompt": "a", "max_tokens": True}, 400, "max_tokens must be"),
        ("/v1/completions", {"prompt": "a", "temperature": -1}, 400, "temperature must be"),
        ("/v1/completions", {"prompt": "a", "stop": [""]}, 400, "stop must be"),
        ("/v1/completions", {"prompt": "a", "n": 257}, 400, "n must be"),
        ("/v1/completions", {"prompt": "a", "top_p": 0.9}, 400, "top_p is not supported"),
        ("/v1/completions", {"prompt": "a", "stream": True}, 400, "stream is not supported"),
        ("/v1/completions", {"prompt": "a", "typical_p": 0.9}, 400, "typical_p is not supported"),
        ("/v1/completions", {"prompt": "a", "mirostat": 2}, 400, "mirostat is not supported"),
        ("/v1/completions", {"prompt": "a", "model": "gpt-4"}, 404, "no model 'gpt-4' here: this server has 'tiny'"),
        ("/v1/completions", {"prompt": "a", "model": 5}, 404, "no model '5' here"),
        ("/v1/rewards", {"input": [], "model": "prm"}, 404, "no model 'prm' here: this server has 'tiny'"),
        ("/v1/models/gpt-4", None, 404, "no model 'gpt-4' here"),
        ("/v1/completions", {"prompt": ["a"] * 2, "n": 200}, 400, "send several requests"),
        ("/v1/rewards", {"input": ["a"]}, 400, "input must be"),
        ("/v1/other", {}, 404, "nothing at /v1/other"),
        ("/nowhere", None, 404, "nothing at /nowhere"),
    ],
)
def test_what_cannot_be_answered_is_told(server, path, body, status, told):
    code, answer = plain(server, path, body)
    assert code == status and told in answer["error"]["message"]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@pytest.mark.parametrize(
    "path", ["/v1/completions", "/v1/rewards", "/v1/models", "/v1/models/tiny", "/health", "/", "/x"]
)
def test_every_method_at_every_path_gets_json(server, path):
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    codes = {}
    for method in METHODS:
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request(method, path, b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        codes[method] = answer.status
        assert answer.headers["Content-Type"] == "application/json"
        assert content == b"" if method == "HEAD" else "error" in json.loads(content) or answer.status == 200
        assert (answer.headers["Allow"] is not None) == (answer.status == 405)
    known = path not in ("/", "/x")
    looks, posts = known and path.count("/") < 4 and not path.endswith(("completions", "rewards")), not known
    assert codes["DELETE"] == codes["PUT"] == (405 if known else 404) and codes["PROPFIND"] == 501
    assert codes["GET"] == codes["HEAD"] == (200 if looks else 404 if posts else 405)


@pytest.mark.parametrize(
    "line", [b"NONSENSE\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 70000 + b" HTTP/1.1"]
)
def test_a_request_that_is_not_http_gets_json(server, line):
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(line)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status in (400, 414, 505) and "error" in json.loads(answer.read())


def test_a_model_has_a_short_name_and_aliases():
    with ModelServer(tiny_engine(), aliases=["Tiny 23 Random"]) as server:
        for name in ("tiny", "Tiny 23 Random"):
            body = {"model": name, "prompt": "a", "max_tokens": 1}
            assert plain(server, "/v1/completions", body)[1]["model"] == "tiny"
            code, found = plain(server, f"/v1/models/{urllib.parse.quote(name)}")
            assert code == 200 and found["id"] == "tiny" and found["aliases"] == ["Tiny 23 Random"]
        code, answer = plain(server, "/v1/completions", {"model": "other", "prompt": "a"})
        assert code == 404 and "has 'tiny', also called 'Tiny 23 Random'" in answer["error"]["message"]


class SlowEngine(Engine):
    """Takes its time, one request after the other."""

    def __init__(self):
        super().__init__(tiny_llama(), LetterCodec(), "slow")
        self.lock, self.begun = threading.Lock(), threading.Event()

    def complete(self, prompts, *, max_tokens, temperature, stop, seed):
        self.begun.set()
        with self.lock:
            time.sleep(0.02)
        return [Written(prompt, None, True, ("a",), (-1.0,)) for prompt in prompts]


def test_requests_at_once_are_answered_in_turn():
    """They come before the server takes the first one; the listening queue of the standard library holds five."""
    server = ModelServer(SlowEngine())
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    connections = [http.client.HTTPConnection(host, int(port), timeout=1) for _ in range(40)]
    for connection in connections:
        connection.connect()
    with server:
        for i, connection in enumerate(connections):
            connection.sock.settimeout(30)
            connection.request("POST", "/v1/completions", json.dumps({"prompt": f"p{i}"}))
        answers = [json.load(connection.getresponse()) for connection in connections]
        for connection in connections:
            connection.close()
    assert [answer["choices"][0]["text"] for answer in answers] == [f"p{i}" for i in range(40)]


def test_requests_beyond_the_queue_are_asked_to_come_again():
    engine = SlowEngine()
    with ModelServer(engine, queue=1) as server:
        with engine.lock, ThreadPoolExecutor(1) as pool:
            first = pool.submit(plain, server, "/v1/completions", {"prompt": "a"})
            assert engine.begun.wait(10)
            code, answer = plain(server, "/v1/completions", {"prompt": "b"})
            assert code == 429 and "1 requests are waiting already" in answer["error"]["message"]
            assert plain(server, "/health")[0] == 200
            engine.lock.release()
            assert first.result()[0] == 200
            engine.lock.acquire()
        assert plain(server, "/v1/completions", {"prompt": "b"})[0] == 200
    with pytest.raises(ValueError, match="queue must hold at least 1"):
        ModelServer(engine, queue=0)


def test_a_body_that_is_too_long_is_not_read(server):
    code, answer = plain(server, "/v1/completions", b"{}", **{"Content-Length": str(1 << 23)})
    assert code == 413 and "4194304 bytes" in answer["error"]["message"]


def test_a_reward_is_asked_by_one_request_at_a_time():
    inside, most = [], []

    def slow(prompt, response):
        inside.append(response)
        time.sleep(0.05)
        most.append(len(inside))
        inside.remove(response)
        return 0.5

    with ModelServer(tiny_engine(), slow) as server:
        reward = RemoteReward(server.url, "tiny", list_size=1, concurrency=4)
        assert reward.log_odds("", ["a", "b", "c", "d"]) == [0.0] * 4
        reward.close()
    assert max(most) == 1


def test_a_server_without_reward_or_with_a_broken_one(client):
    def broken(prompt, response):
        raise RuntimeError("out of memory")

    body = {"input": [{"prompt": "a", "response": "b"}]}
    with ModelServer(tiny_engine()) as plain_server:
        assert plain(plain_server, "/v1/rewards", body)[0] == 404
    with ModelServer(tiny_engine(), broken) as broken_server:
        code, answer = plain(broken_server, "/v1/rewards", body)
        assert code == 500 and "RuntimeError: out of memory" in answer["error"]["message"]


def test_the_command_serves_on_loopback(monkeypatch, capsys):
    class Loaded:
        lm, tokenizer, name = tiny_llama(), LetterCodec(), "Tiny 23 Random"

    seen = {}

    def until_asked(self):
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        seen["answer"] = plain(self, "/v1/models")
        seen["reward"] = plain(self, "/v1/rewards", {"input": [{"prompt": "", "response": "aa"}]})
        self._http.shutdown()
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr("probinf.cli._serve.load", lambda path: Loaded())
    monkeypatch.setattr(ModelServer, "serve_forever", until_asked)
    assert main(["serve", "--model", "models/tiny.gguf", "--reward", "tests.servers.models:reward_of"]) == 0
    printed = capsys.readouterr().out
    assert "serving tiny at http://127.0.0.1:" in printed and "only this machine" in printed
    model = seen["answer"][1]["data"][0]
    assert (model["id"], model["aliases"]) == ("tiny", ["Tiny 23 Random"])
    assert seen["reward"][1]["data"] == [{"index": 0, "scores": [0.5, 0.75]}]


@pytest.mark.parametrize(
    ("spec", "told"),
    [("rewards", "module:function"), ("no_such:f", "no_such"), ("json:nothing", "no function nothing")],
)
def test_the_command_tells_what_is_no_reward(capsys, spec, told):
    assert main(["serve", "--reward", spec]) == 1
    assert told in capsys.readouterr().err
