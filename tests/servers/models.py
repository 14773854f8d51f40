"""A tiny random Llama that writes letters, and servers that misbehave by script."""

import dataclasses
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from probinf.servers import Engine
from tests.lm.models import random_llama

# 23 tokens: the last one ends a text, and two of them hold more than one character.
PIECES = ("\n", "a", "b", "c", "d", "e", "f", "g", "h", "\na", ".\n", *"ijklmnopqrs", "")
END = len(PIECES) - 1


class LetterCodec:
    """Letters to identifiers, one character a token."""

    special_tokens = frozenset({END})
    token_bytes = tuple(piece.encode() for piece in PIECES)

    def encode(self, text):
        return np.array([PIECES.index(letter) for letter in text], np.int32)


def tiny_llama():
    return random_llama(stop_tokens=(END,))


def tiny_engine():
    return Engine(tiny_llama(), LetterCodec(), "tiny")


def reward_of(prompt, response):
    """More for each a in the response; what `probinf serve --reward` names."""
    del prompt
    return [0.5, (1 + response.count("a")) / (2 + len(response))]


@dataclasses.dataclass
class Reply:
    """One scripted answer; `hang` seconds pass before it."""

    body: object = None
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    hang: float = 0.0


def choices(*texts, **fields):
    rows = [{"index": i, "text": t, "finish_reason": "length", **fields} for i, t in enumerate(texts)]
    return Reply({"choices": rows})


class ScriptedServer:
    """Answers each POST by `script(request_number, body)`; keeps what it was sent."""

    def __init__(self, script):
        self.script, self.bodies, self.headers, self._lock = script, [], [], threading.Lock()

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers))
                    number = len(outer.bodies)
                reply = outer.script(number, body)
                time.sleep(reply.hang)
                content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                try:
                    self.send_response(reply.status)
                    for name, value in {**reply.headers, "Content-Length": len(content)}.items():
                        self.send_header(name, str(value))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True  # the client has hung up

            def log_message(self, format, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=lambda: self.http.serve_forever(poll_interval=0.02), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        return self

    def __exit__(self, *problem):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
