"""A small OpenAI-compatible server around a language model of `probinf.lm`, for one machine."""

from __future__ import annotations

import json
import math
import secrets
import socket
import socketserver
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from probinf._arguments import is_count
from probinf.servers._dialects import DIALECTS
from probinf.servers._engine import Engine, Written

# A reward of a response, or one of each of its steps.
Score = Callable[[str, str], float | Sequence[float]]

_LONGEST_BODY = 1 << 22  # bytes
_MOST_TOKENS = 1 << 14
_SLOWEST = 30.0  # seconds without a byte of the request
_MOST_STOPS = 16
_HEALTH, _MODELS, _COMPLETIONS = ("/health", "/v1/health"), "/v1/models", "/v1/completions"
_POSTS = (_COMPLETIONS, "/v1/rewards")
_QUEUE = 256  # requests that wait for the model; more of them are asked to come again
_COME_AGAIN = 1  # seconds
# What would change the texts, or the form of the answer, with the values that ask for nothing.
_UNSUPPORTED = {
    **{name: (neutral,) for name, neutral in DIALECTS["any"].neutral.items()},
    "stream": (False,), "echo": (False,), "suffix": ("",), "best_of": (1,), "top_k": (0, -1), "logit_bias": ({},),
}  # fmt: skip


class RequestError(ValueError):
    """A request that cannot be answered; told to the client with a status and a message that names the fix."""

    def __init__(self, message: str, status: int = 400, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status, self.headers = status, headers or {}


class ModelServer:
    """Serves `/v1/completions`, `/v1/models`, `/health` and, given a `reward`, `/v1/rewards`.

    Requests wait for each other, since there is one model; the prompts of one request are completed together. Beyond
    `queue` requests at a time the answer is 429. A request may name the model by the engine's name or by one of
    `aliases`; another name gets 404. There is no password: bind to 127.0.0.1, the default, unless the network is
    trusted. Port 0 takes a free one. As a context manager it serves from a thread.

    Raises: OSError where the address cannot be bound; ValueError for a queue of no request.
    """

    def __init__(
        self,
        engine: Engine,
        reward: Score | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        aliases: Sequence[str] = (),
        queue: int = _QUEUE,
    ) -> None:
        if not is_count(queue):
            raise ValueError(f"the queue must hold at least 1 request, got {queue}")
        self.engine, self.reward, self.aliases, self.queue = engine, reward, tuple(aliases), queue
        self._scoring = threading.Lock()
        self._places = threading.BoundedSemaphore(queue)
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

    def look_up(self, path: str) -> dict[str, Any]:
        """The answer to a GET.

        Raises: RequestError of status 404 for a model that is not served.
        """
        if path in _HEALTH:
            return {"status": "ok"}
        if path == _MODELS:
            return {"object": "list", "data": [self._model(self.engine.name)]}
        return self._model(urllib.parse.unquote(path.removeprefix(f"{_MODELS}/")))

    def _model(self, name: str) -> dict[str, Any]:
        if name not in (self.engine.name, *self.aliases):
            also = f", also called {' or '.join(map(repr, self.aliases))}" if self.aliases else ""
            raise RequestError(f"there is no model {name!r} here: this server has {self.engine.name!r}{also}", 404)
        return {"id": self.engine.name, "object": "model", "owned_by": "probinf", "aliases": list(self.aliases)}

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a POST, after those of the requests that came before.

        Raises: RequestError for what cannot be answered; ValueError for a prompt that cannot.
        """
        if not self._places.acquire(blocking=False):
            told = f"{self.queue} requests are waiting already: come again later"
            raise RequestError(told, 429, {"Retry-After": str(_COME_AGAIN)})
        try:
            name = body.get("model")
            if name is not None:
                self._model(name if isinstance(name, str) else repr(name))
            return self.completions(body) if path == _COMPLETIONS else self.rewards(body)
        finally:
            self._places.release()

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
    # Connections that the system keeps until a thread takes them; some systems allow fewer.
    request_queue_size = 1024

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

        def _respond(self) -> None:
            path = self.path.partition("?")[0]
            methods = _methods(path)
            try:
                if not methods:
                    posts = " or ".join(_POSTS)
                    raise RequestError(f"there is nothing at {path}: get {_MODELS}, or post to {posts}", 404)
                if self.command not in methods:
                    allowed = {"Allow": ", ".join(methods)}
                    raise RequestError(f"{path} takes {' and '.join(methods)} only, not {self.command}", 405, allowed)
                self._send(200, server.answer(path, self._body()) if path in _POSTS else server.look_up(path))
            except RequestError as problem:
                self._refuse(problem)
            except ValueError as problem:
                self._refuse(RequestError(str(problem)))
            except Exception as problem:  # the server outlives whatever a model or a reward raises
                self._refuse(RequestError(f"{type(problem).__name__}: {problem}", 500))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _respond

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            """What the standard library refuses, in JSON like everything else."""
            del explain
            if self.request_version == "HTTP/0.9":  # it stands for a line that was not understood, too
                self.request_version = self.protocol_version
            self._refuse(RequestError(message or self.responses[code][0], code))

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
            told = {"error": {"message": str(problem), "type": "invalid_request_error"}}
            self._send(problem.status, told, problem.headers)

        def _send(self, status: int, answer: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            fixed = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            for name, value in (fixed | dict(headers or {})).items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: a run asks thousands of times."""

    return Handler


def _methods(path: str) -> tuple[str, ...]:
    """The HTTP methods that a path takes, none where there is nothing."""
    if path in _POSTS:
        return ("POST",)
    return ("GET", "HEAD") if path in _HEALTH or path == _MODELS or path.startswith(f"{_MODELS}/") else ()


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
