"""The client against the real servers; `make integration` runs this, `make test` does not.

llama.cpp is started with SmolLM2 if the package xllamacpp is installed beside probinf. A server that runs already is
used instead where PROBINF_LLAMA_CPP_URL or PROBINF_VLLM_URL names its base address (http://127.0.0.1:8000/v1).
"""

import collections
import importlib.util
import json
import math
import os
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from probinf.cli._models import get
from probinf.servers import CompletionClient

pytestmark = pytest.mark.integration

# Many tokens can follow.
PROMPT = "My favorite words are"
DRAWS = 200
SERVE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.warmup = 1024, 4, False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", params=["llama.cpp", "vllm"])
def server(request):
    """The dialect, the base address and the name of the model of a running server."""
    variable = f"PROBINF_{request.param.upper().replace('.', '_')}_URL"
    if variable in os.environ:
        yield request.param, os.environ[variable].rstrip("/"), model_of(os.environ[variable].rstrip("/"))
        return
    if request.param != "llama.cpp" or importlib.util.find_spec("xllamacpp") is None:
        package = "; or install xllamacpp==2026.10.11549" if request.param == "llama.cpp" else ""
        pytest.skip(f"set {variable} to the base address of a running {request.param} server{package}")
    command = [sys.executable, "-c", SERVE, str(get("smollm2"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip() + "/v1"
        yield request.param, url, model_of(url)
        process.terminate()


def model_of(url):
    with urllib.request.urlopen(f"{url}/models", timeout=60) as answer:
        return json.load(answer)["data"][0]["id"]


def first_token_law(url, model):
    """The 20 most probable first tokens, as the server computes them before it samples, and all others as None."""
    body = {"model": model, "prompt": PROMPT, "max_tokens": 1, "logprobs": 20, "temperature": 0}
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/completions", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        row = json.load(answer)["choices"][0]["logprobs"]
    if "content" in row:
        law = {top["token"]: math.exp(top["logprob"]) for top in row["content"][0]["top_logprobs"]}
    else:
        law = {token: math.exp(logprob) for token, logprob in row["top_logprobs"][0].items()}
    # Tokens that are part of a character have no text to be known by.
    law = {token: p for token, p in law.items() if token and "\ufffd" not in token}
    return {**law, None: 1.0 - math.fsum(law.values())}


def surprise(law, texts):
    """The largest n KL(frequency, probability) over its bound, by Chernoff: false alarms have probability 1e-4."""
    counts, n = collections.Counter(text if text in law else None for text in texts), len(texts)
    divergences = [relative_entropy(counts[token] / n, p) for token, p in law.items()]
    return n * max(divergences) / math.log(2 * len(law) / 1e-4)


def relative_entropy(f, p):
    """KL between two coins."""
    return sum(a * math.log(a / b) for a, b in ((f, p), (1 - f, 1 - p)) if a > 0)


def test_the_first_token_has_the_models_law(server):
    dialect, url, model = server
    law = first_token_law(url, model)
    with CompletionClient(url, model, dialect=dialect, concurrency=8) as client:
        answers: list[Any] = client.complete([PROMPT] * DRAWS, max_tokens=1, seed=1)
    assert surprise(law, [answer.text for answer in answers]) < 1
    # Planted: what llama.cpp does by default.
    cut = {"top_k": 40, "top_p": 0.95, "min_p": 0.05}
    with CompletionClient(url, model, dialect=dialect, concurrency=8, extra=cut) as client:
        answers = client.complete([PROMPT] * DRAWS, max_tokens=1, seed=1)
    assert surprise(law, [answer.text for answer in answers]) > 1


def test_how_texts_end(server):
    """A stop string is put back and its tokens do not count; a prompt without room is told from other failures."""
    dialect, url, model = server
    with CompletionClient(url, model, dialect=dialect) as connected:
        client: Any = connected
        knobs: dict[str, Any] = {"max_tokens": 12, "temperature": 0.0}
        (whole,) = client.complete(["1, 2, 3,"], **knobs)
        stop = next(letter for letter in whole.text[2:] if letter.isascii() and letter.isprintable())
        (stopped,) = client.complete(["1, 2, 3,"], stop=[stop], **knobs)
        assert stopped.text == whole.text[: whole.text.index(stop) + 1] and stopped.stop == stop
        assert stopped.tokens <= whole.tokens == 12
        if stopped.log_prob is not None and whole.log_prob is not None:
            assert stopped.log_prob > whole.log_prob
        (refused,) = client.complete(["a b " * (1 << 14)], max_tokens=1)
        assert refused.no_room and refused.requests == 1
