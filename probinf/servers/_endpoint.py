"""JSON over HTTP with time-outs, retries and a bound on the time that all of them take."""

from __future__ import annotations

import dataclasses
import email.utils
import importlib
import json
import random
import re
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, TypeVar

from probinf._arguments import is_count
from probinf.servers._errors import Failure, MalformedAnswer

T = TypeVar("T")

_LONGEST_ANSWER = 1 << 26  # bytes
_LONGEST_WAIT = 30.0  # seconds between attempts, unless the server asks for more
_PASSING = (408, 409, 425, 429)
_SHOWN = 300  # characters of a server's message
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# How servers say that a prompt is too long for them. vLLM counts down to zero tokens; what is sent is at least one.
_NO_ROOM = re.compile(
    r"context[ _](length|size|window)|max_model_len|max_total_tokens|max_new_tokens` must be <=|too long"
    r"|max_tokens must be at least 1, got (0|-)"
)
_TOO_LONG = (400, 413, 422)


@dataclasses.dataclass(frozen=True)
class Answer(Generic[T]):
    """What a server answered, and how many requests it took."""

    value: T
    requests: int


@dataclasses.dataclass(frozen=True)
class _Setback:
    """An attempt that may go better next time; `wait`: seconds that the server asks for."""

    reason: str
    status: int | None = None
    wait: float = 0.0


class Endpoint:
    """The base address of a service, with the patience one has for it; safe to use from several threads.

    timeout: seconds for one attempt. retries: further attempts after a passing failure (429, 5xx, no connection, no
    answer in time, an answer that is not the JSON asked for). patience: seconds for all attempts of one request and the
    waits between them, which double from `backoff` seconds with random jitter, or last as long as the server asks
    (Retry-After). The key is sent as a bearer token, and shown nowhere.

    Raises: ValueError for an address that is none, a key that cannot be sent, or a knob out of range; ImportError
    without httpx.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 120.0,
        retries: int = 4,
        patience: float = 600.0,
        backoff: float = 0.5,
        connections: int = 16,
    ) -> None:
        if not (timeout > 0 and patience > 0 and backoff >= 0):
            raise ValueError(f"timeout and patience must be positive, got {timeout} and {patience} (backoff {backoff})")
        if not is_count(retries, 0) or not is_count(connections):
            raise ValueError(f"retries must be at least 0 and connections at least 1, got {retries} and {connections}")
        httpx = _httpx()
        self.base_url = _checked_url(httpx, base_url)
        self._httpx, self._key = httpx, _checked_key(api_key)
        self.timeout, self.retries, self.patience, self.backoff = timeout, retries, patience, backoff
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx.Client(
            headers=headers,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            # A proxy does not lead to one's own machine.
            trust_env=httpx.URL(self.base_url).host not in _LOOPBACK,
        )

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()

    def post(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> Answer[T] | Failure:
        """What `read` makes of the JSON that the server answers; `read` raises MalformedAnswer for what it cannot use.

        A failure that no retry can mend (any other 4xx) is returned at once, with the server's message.
        """
        content = json.dumps(body, allow_nan=False).encode()
        deadline = time.monotonic() + self.patience
        sent = 0
        while True:
            sent += 1
            outcome = self._attempt(path, content, read, deadline)
            if isinstance(outcome, Failure):
                return dataclasses.replace(outcome, requests=sent)
            if not isinstance(outcome, _Setback):
                return Answer(outcome[0], sent)
            if sent > self.retries:
                return self._failure(f"{outcome.reason}, {sent} times", sent, outcome.status)
            doubling = min(_LONGEST_WAIT, self.backoff * 2.0 ** (sent - 1))
            wait = max(outcome.wait, doubling * random.uniform(0.5, 1.0))
            if time.monotonic() + wait >= deadline:
                asked = f" (the server asks for {outcome.wait:.0f} s)" if outcome.wait else ""
                reason = f"{outcome.reason}, {sent} times, and patience={self.patience:g} s is used up{asked}"
                return self._failure(reason, sent, outcome.status)
            time.sleep(wait)

    def _attempt(
        self, path: str, content: bytes, read: Callable[[Any], T], deadline: float
    ) -> tuple[T] | _Setback | Failure:
        """One request; the value in a tuple, so that no value is taken for a setback."""
        httpx, end = self._httpx, min(deadline, time.monotonic() + self.timeout)
        limit = max(0.001, end - time.monotonic())
        try:
            with self._client.stream("POST", self.base_url + path, content=content, timeout=limit) as response:
                raw = bytearray()
                for chunk in response.iter_bytes():
                    raw += chunk
                    # A time-out counts from the last byte: a server that dribbles would never meet it.
                    if time.monotonic() > end:
                        return _Setback(f"no complete answer within {self.timeout:g} s")
                    if len(raw) > _LONGEST_ANSWER:
                        return self._failure(f"an answer of more than {_LONGEST_ANSWER} bytes", 0, None)
            status = response.status_code
        except httpx.TimeoutException:
            return _Setback(f"no answer within {self.timeout:g} s")
        except httpx.HTTPError as problem:
            return _Setback(f"no connection ({type(problem).__name__})")
        if status in _PASSING or status >= 500:
            return _Setback(f"HTTP {status}{self._message(raw)}", status, _retry_after(response.headers))
        if status != 200:
            refused = self._failure(f"HTTP {status}{self._message(raw)}", 0, status)
            said = raw.decode("utf-8", errors="replace").lower()
            return dataclasses.replace(refused, no_room=status in _TOO_LONG and bool(_NO_ROOM.search(said)))
        try:
            return (read(json.loads(raw)),)
        except MalformedAnswer as problem:
            return _Setback(f"an answer that cannot be used ({self._clean(str(problem))})", status)
        except OverflowError:  # a whole number of a thousand digits is JSON, and no float
            return _Setback("an answer with a number out of range", status)
        except (ValueError, RecursionError):
            return _Setback("an answer that is not JSON", status)

    def _failure(self, reason: str, requests: int, status: int | None) -> Failure:
        return Failure(f"{self.base_url}: {reason}", requests, status)

    def _message(self, raw: bytearray) -> str:
        """What the server says about its error, after a colon."""
        text: Any = raw.decode("utf-8", errors="replace")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            found = found.get("error", found)
            text = (
                next((found[k] for k in ("message", "detail") if k in found), text)
                if isinstance(found, dict)
                else found
            )
        cleaned = self._clean(str(text))
        return f": {cleaned}" if cleaned else ""

    def _clean(self, text: str) -> str:
        """One short line without the key: servers repeat what they were sent."""
        if self._key is not None:
            text = text.replace(self._key, "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_SHOWN]


def _retry_after(headers: Any) -> float:
    """Seconds that the server asks to wait, given as a number or as a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def _checked_url(httpx: ModuleType, base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must be an address such as http://127.0.0.1:8000/v1")
    if url.userinfo or url.query or url.fragment:
        raise ValueError(f"base_url of {url.host} must not hold a user, a query or a fragment: pass api_key=")
    return str(url).rstrip("/")


def _checked_key(key: str | None) -> str | None:
    # What it is must not be shown, not even here.
    if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("api_key must be printable ASCII without spaces: strip the line break that files end with")
    return key


def _httpx() -> ModuleType:
    try:
        return importlib.import_module("httpx")
    except ImportError:
        raise ImportError("Servers need the package 'httpx': run  pip install 'probinf[servers]'") from None
