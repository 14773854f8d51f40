"""A small OpenAI-compatible server around a language model of `probinf.lm`, for one machine."""

from __future__ import annotations

import json
import math
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from probinf.servers._engine import Engine, Written

# A reward of a response, or one of each of its steps.
Score = Callable[[str, str], float | Sequence[float]]

_LONGEST_BODY = 1 << 22  # bytes
_MOST_TOKENS = 1 << 14
_SLOWEST = 30.0  # seconds without a byte of the request
_MOST_STOPS = 16
# What would change the texts, or the form of the answer, with the values that ask for nothing.
_UNSUPPORTED = {
    "stream": (False,), "echo": (False,), "suffix": ("",), "best_of": (1,), "top_p": (1,), "top_k": (0, -1),
    "min_p": (0,), "presence_penalty": (0,), "frequency_penalty": (0,), "repetition_penalty": (1,), "logit_bias": ({},),
}  # fmt: skip


class RequestError(ValueError):
    """A request that cannot be answered; told to the client with a status and a message that names the fix."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class ModelServer:
    """Serves `/v1/completions`, `/v1/models`, `/health` and, given a `reward`, `/v1/rewards`.

    Requests wait for each other, since there is one model; the prompts of one request are completed together. There is
    no password: bind to 127.0.0.1, the default, unless the network is trusted. Port 0 takes a free one. As a context
    manager it serves from a thread.

    Raises: OSError where the address cannot be bound.
    """

    def __init__(self, engine: Engine, reward: Score | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.engine, self.reward = engine, reward
        self._scoring = threading.Lock()
        self._http = _Http((host, port), _handler(self))
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base address for clients, such as http://127.0.0.1:8000/v1."""
        host, port = self._http.server_address[:2]
        return f"http://[{host}]:{port}/v1" if ":" in str(host) else f"http://{host}:{port}/v1"

    def serve_forever(self) -> None:
        """Serves until `close` is called from another thread, or the process is interrupted."""
        self._http.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Stops serving and frees the port."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> ModelServer:
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def models(self) -> dict[str, Any]:
        """The answer to /v1/models."""
        return {"object": "list", "data": [{"id": self.engine.name, "object": "model", "owned_by": "probinf"}]}

    def completions(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to /v1/completions."""
        for name, neutral in _UNSUPPORTED.items():
            if body.get(name) is not None and body[name] not in neutral:
                raise RequestError(f"{name} is not supported by this server: leave it out")
        prompts = _prompts(body.get("prompt"))
        count = _integer(body, "n", 1, 1, self.engine.most_lanes)
        logprobs = body.get("logprobs") not in (None, False)
        texts = self.engine.complete(
            [prompt for prompt in prompts for _ in range(count)],
            max_tokens=_integer(body, "max_tokens", 16, 1, _MOST_TOKENS),
            temperature=_temperature(body.get("temperature", 1.0)),
            stop=_stops(body.get("stop")),
            seed=_integer(body, "seed", secrets.randbits(31), 0, (1 << 63) - 1) % (1 << 32),
        )
        written = sum(len(text.tokens) for text in texts)
        return {
            "id": f"cmpl-{secrets.token_hex(8)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": self.engine.name,
            "choices": [_choice(i, text, logprobs) for i, text in enumerate(texts)],
            "usage": {"completion_tokens": written},
        }

    def rewards(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to /v1/rewards."""
        if self.reward is None:
            raise RequestError(
                "this server has no reward: start it with one (probinf serve --reward module:function)", 404
            )
        pairs = body.get("input")
        if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
            raise RequestError('input must be a list of {"prompt": text, "response": text}')
        data = []
        for index, pair in enumerate(pairs):
            # A function of somebody's model need not be safe to call from the threads of several requests.
            with self._scoring:
                scores = self.reward(pair["prompt"], pair["response"])
            steps = [float(x) for x in scores] if isinstance(scores, Sequence) else [float(scores)]
            data.append({"index": index, "scores": steps})
        return {"object": "list", "model": self.engine.name, "data": data}


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Binds without asking the network for the name of this machine."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SLOWEST

        def do_GET(self) -> None:
            if self.path in ("/health", "/v1/health"):
                self._send(200, {"status": "ok"})
            elif self.path == "/v1/models":
                self._send(200, server.models())
            else:
                self._refuse(RequestError(f"there is nothing at {self.path}", 404))

        def do_POST(self) -> None:
            answer = {"/v1/completions": server.completions, "/v1/rewards": server.rewards}.get(self.path)
            try:
                body = self._body()
                if answer is None:
                    raise RequestError(f"there is nothing at {self.path}: post to /v1/completions or /v1/rewards", 404)
                self._send(200, answer(body))
            except RequestError as problem:
                self._refuse(problem)
            except ValueError as problem:
                self._refuse(RequestError(str(problem)))
            except Exception as problem:  # the server outlives whatever a model or a reward raises
                self._refuse(RequestError(f"{type(problem).__name__}: {problem}", 500))

        def _body(self) -> dict[str, Any]:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdecimal()):
                raise RequestError("a request needs its Content-Length", 411)
            if int(length) > _LONGEST_BODY:
                raise RequestError(f"a request may have {_LONGEST_BODY} bytes, this one has {length}", 413)
            try:
                body = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                raise RequestError("the request is not JSON") from None
            if not isinstance(body, dict):
                raise RequestError("the request must be a JSON object")
            return body

        def _refuse(self, problem: RequestError) -> None:
            # What is left of the body would be read as the next request.
            self.close_connection = True
            self._send(problem.status, {"error": {"message": str(problem), "type": "invalid_request_error"}})

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: a run asks thousands of times."""

    return Handler


def _choice(index: int, text: Written, logprobs: bool) -> dict[str, Any]:
    finished = text.stop is not None or text.ended
    choice: dict[str, Any] = {
        "index": index,
        "text": text.text,
        "finish_reason": "stop" if finished else "length",
        "stop_reason": text.stop,
        "logprobs": None,
    }
    if logprobs:
        choice["logprobs"] = {"tokens": list(text.tokens), "token_logprobs": list(text.log_probs)}
    return choice


def _prompts(found: Any) -> list[str]:
    prompts = [found] if isinstance(found, str) else found
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise RequestError("prompt must be a string or a list of strings")
    return prompts


def _stops(found: Any) -> list[str]:
    stops = [] if found is None else [found] if isinstance(found, str) else found
    if not isinstance(stops, list) or len(stops) > _MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise RequestError(f"stop must be a string or a list of at most {_MOST_STOPS} strings, none of them empty")
    return stops


def _temperature(found: Any) -> float:
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not (found >= 0 and math.isfinite(found)):
        raise RequestError(f"temperature must be a number that is not negative, got {found!r}")
    return float(found)


def _integer(body: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    found = body.get(name)
    found = default if found is None else found
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise RequestError(f"{name} must be a whole number from {least} to {most}, got {found!r}")
    return found


def _is_pair(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(found.get(name), str) for name in ("prompt", "response"))
