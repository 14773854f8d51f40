"""What OpenAI-compatible servers answer to a completion request, read into one form."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

from probinf.servers._errors import MalformedAnswer

# Text Generation Inference, among others, has names of its own.
_REASONS = {
    "stop": "stop", "stop_sequence": "stop", "eos_token": "end", "eos": "end", "length": "length",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Completion:
    """A text that a server wrote.

    text: what was written, with the stop string that ended it. stop: that string, or None. finish_reason: "stop" at a
    stop string, "end" where the model ended the text, "length" after the most tokens. log_prob: sum of the tokens'
    log-probabilities in nats, None where the server gives none. tokens: how many, None where unknown. requests: how
    many requests this text took part in.
    """

    text: str
    stop: str | None
    finish_reason: Literal["stop", "end", "length"]
    log_prob: float | None
    tokens: int | None
    requests: int = 1


def read_completions(
    payload: Any, count: int, stop: Sequence[str], unclear_stop: Literal["stop", "end"]
) -> dict[int, Completion]:
    """The texts in an answer to `count` prompts, by the position of their prompt; some may be missing.

    Raises: MalformedAnswer where nothing is usable, or positions repeat or are out of range.
    """
    choices = payload.get("choices") if isinstance(payload, dict) else None
    if not isinstance(choices, list) or not choices:
        raise MalformedAnswer("no list of choices")
    usage = payload.get("usage") if count == 1 else None
    found: dict[int, Completion] = {}
    problem = None
    for position, choice in enumerate(choices):
        index = choice.get("index", position) if isinstance(choice, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or index in found:
            raise MalformedAnswer(f"{len(choices)} choices for {count} prompts, of which one has the index {index!r}")
        try:
            found[index] = _read_choice(choice, stop, unclear_stop, usage)
        except MalformedAnswer as unusable:
            problem = unusable
    if not found and problem is not None:
        raise problem
    return found


def _read_choice(choice: dict, stop: Sequence[str], unclear_stop: str, usage: Any) -> Completion:
    text, named = choice.get("text"), choice.get("finish_reason")
    if not isinstance(text, str):
        raise MalformedAnswer("a choice without text")
    reason = _REASONS.get(named) if isinstance(named, str) else None
    if reason is None:
        raise MalformedAnswer(f"the finish_reason {named!r}")
    tokens, log_probs = _token_log_probs(choice.get("logprobs"))
    hit = None
    if reason == "stop":
        hit = _stop_string(choice, text, tokens, stop, unclear_stop)
        reason = "end" if hit is None else "stop"
    if hit is not None and not text.endswith(hit):
        text += hit
    number = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return Completion(
        text=text,
        stop=hit,
        finish_reason=reason,  # pyright: ignore[reportArgumentType]
        log_prob=None if log_probs is None else math.fsum(log_probs),
        tokens=number if _whole(number) else (None if log_probs is None else len(log_probs)),
    )


def _stop_string(
    choice: dict, text: str, tokens: list[str] | None, stop: Sequence[str], unclear_stop: str
) -> str | None:
    """The stop string that ended the text, or None where the model did.

    "finish_reason" is "stop" for both. vLLM names the string in `stop_reason`, SGLang in `matched_stop`; the tokens
    that come with log-probabilities may go on into it; some servers leave it in the text.
    """
    if not stop:
        return None
    for field in ("stop_reason", "matched_stop"):
        if field in choice:
            return choice[field] if choice[field] in stop else None
    ending = next((s for s in stop if text.endswith(s)), None)
    if ending is not None:
        return ending
    written = "".join(tokens or ())
    if written.startswith(text):
        begun = [s for s in stop if written[len(text) :].startswith(s)]
        if begun:
            return begun[0]
    return stop[0] if unclear_stop == "stop" else None


def _token_log_probs(found: Any) -> tuple[list[str] | None, list[float] | None]:
    """Tokens and log-probabilities, as OpenAI's completions give them, or as its chats (and llama.cpp) do."""
    if not isinstance(found, dict):
        return None, None
    if isinstance(found.get("content"), list):
        rows = [row if isinstance(row, dict) else {} for row in found["content"]]
        tokens: Any = [row.get("token") for row in rows]
        numbers: Any = [row.get("logprob") for row in rows]
    else:
        tokens, numbers = found.get("tokens"), found.get("token_logprobs")
    if not isinstance(numbers, list) or not all(map(_number, numbers)):
        return None, None
    named = isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)
    return (tokens if named else None), [float(x) for x in numbers]


def _number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and not math.isnan(x)


def _whole(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)
