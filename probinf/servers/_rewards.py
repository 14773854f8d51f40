"""Process rewards of texts: from a function, or from a reward model behind an endpoint."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import equinox as eqx

from probinf.servers._endpoint import Answer, Endpoint
from probinf.servers._errors import Failure, MalformedAnswer


class TextReward(eqx.Module):
    """A process reward model on the host: how promising each response to a prompt looks, as log-odds.

    NaN says that there is no reward: such a lane gets weight zero, and the run the status INVALID.
    """

    @abc.abstractmethod
    def log_odds(self, prompt: str, responses: Sequence[str]) -> list[float | Failure]:
        """log(r / (1 - r)) of each response, or why there is none yet."""


class TextRewardFunction(TextReward):
    """A reward from a function of prompt and response that returns a probability.

    Outside [0, 1] its value counts as no reward (NaN); 0 and 1 are certainties, of log-odds -inf and +inf.
    """

    function: Callable[[str, str], float]

    def log_odds(self, prompt: str, responses: Sequence[str]) -> list[float | Failure]:
        """The log-odds of the function's values."""
        return [log_odds_of_score(float(self.function(prompt, response))) for response in responses]


class RemoteReward(TextReward):
    """A process reward model behind an endpoint; of the scores of several steps the last one counts.

    With inputs="pairs" it posts {"model", "input": [{"prompt", "response"}, ...]} and reads `data[i].scores`, as
    `probinf serve` does at /v1/rewards. With inputs="texts" it posts {"model", "input": [text, ...]}, where
    `text(prompt, response)` says what the model reads (by default both joined), as for vLLM's /pooling and /classify:
    from `data[i].data` it takes the last row, from `data[i].probs` the class number `positive`.

    Scores are probabilities. Outside [0, 1] or NaN they count as no reward; an answer without a number for each text is
    asked for again.

    timeout, retries, patience, backoff: see `Endpoint`. concurrency: requests at a time, of up to `list_size` texts.

    Raises: ValueError for an address, key or knob that cannot be used; ImportError without httpx.
    """

    endpoint: Endpoint = eqx.field(static=True)
    model: str = eqx.field(static=True)
    path: str = eqx.field(static=True)
    inputs: Literal["pairs", "texts"] = eqx.field(static=True)
    text: Callable[[str, str], str] = eqx.field(static=True)
    positive: int = eqx.field(static=True)
    list_size: int = eqx.field(static=True)
    concurrency: int = eqx.field(static=True)

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        path: str = "/rewards",
        inputs: Literal["pairs", "texts"] = "pairs",
        text: Callable[[str, str], str] | None = None,
        positive: int = -1,
        timeout: float = 120.0,
        retries: int = 4,
        patience: float = 600.0,
        backoff: float = 0.5,
        concurrency: int = 4,
        list_size: int = 16,
    ) -> None:
        if inputs not in ("pairs", "texts"):
            raise ValueError(f"inputs must be 'pairs' or 'texts', got {inputs!r}")
        if not path.startswith("/"):
            raise ValueError(f"path must start with a slash, such as '/rewards', got {path!r}")
        if list_size < 1 or concurrency < 1:
            raise ValueError(f"list_size and concurrency must be at least 1, got {list_size} and {concurrency}")
        self.endpoint = Endpoint(
            base_url, api_key, timeout=timeout, retries=retries, patience=patience, backoff=backoff,
            connections=concurrency,
        )  # fmt: skip
        self.model, self.path, self.inputs, self.positive = model, path, inputs, positive
        self.text = text or _joined
        self.list_size, self.concurrency = list_size, concurrency

    def close(self) -> None:
        """Gives the connections back."""
        self.endpoint.close()

    def log_odds(self, prompt: str, responses: Sequence[str]) -> list[float | Failure]:
        """The log-odds of the server's scores; a failed request takes only its own texts along."""
        chunks = [responses[i : i + self.list_size] for i in range(0, len(responses), self.list_size)]
        if not chunks:
            return []
        pool = ThreadPoolExecutor(min(self.concurrency, len(chunks)), thread_name_prefix="probinf-server")
        try:
            replies = pool.map(lambda chunk: self._ask(prompt, chunk), chunks)
            return [reply for part in replies for reply in part]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, prompt: str, responses: Sequence[str]) -> list[float | Failure]:
        pairs = [{"prompt": prompt, "response": response} for response in responses]
        texts = [self.text(prompt, response) for response in responses]
        body = {"model": self.model, "input": pairs if self.inputs == "pairs" else texts}
        read = lambda payload: _read_scores(payload, len(responses), self.positive)  # noqa: E731
        answer = self.endpoint.post(self.path, body, read)
        if isinstance(answer, Answer):
            return [log_odds_of_score(score) for score in answer.value]
        return [answer] * len(responses)


def log_odds_of_score(r: float) -> float:
    """log(r / (1 - r)); NaN where r is not a probability."""
    if not 0.0 <= r <= 1.0:
        return math.nan
    return math.log(r) - math.log1p(-r) if 0.0 < r < 1.0 else (math.inf if r else -math.inf)


def _joined(prompt: str, response: str) -> str:
    return prompt + response


def _read_scores(payload: Any, count: int, positive: int) -> list[float]:
    rows = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(rows, list) or len(rows) != count:
        size = len(rows) if isinstance(rows, list) else "no list of"
        raise MalformedAnswer(f"{size} scores for {count} texts")
    scores: dict[int, float] = {}
    for position, row in enumerate(rows):
        index = row.get("index", position) if isinstance(row, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or index in scores:
            raise MalformedAnswer(f"a score for text {index!r} of {count}")
        scores[index] = _last_score(row, positive)
    return [scores[i] for i in range(count)]


def _last_score(row: dict, positive: int) -> float:
    found = next((row[name] for name in ("scores", "data", "probs") if name in row), None)
    if isinstance(found, list) and found:
        # One row a step, of scores by class; or one score a step; or the scores by class of the whole text.
        steps = isinstance(found[-1], list)
        classes = found[-1] if steps else found
        place = positive if steps or "probs" in row else -1
        if classes and -len(classes) <= place < len(classes):
            found = classes[place]
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise MalformedAnswer(f"a score that is no number: {found!r}")
    return float(found)
