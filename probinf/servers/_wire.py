"""What OpenAI-compatible servers answer to a completion request, read into one form."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

from probinf.servers._errors import Failure, MalformedAnswer

# Text Generation Inference, among others, has names of its own.
_REASONS = {
    "stop": "stop", "stop_sequence": "stop", "eos_token": "end", "eos": "end", "length": "length",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Completion:
    """A text that a server wrote.

    text: what was written, with the stop string that ended it. stop: that string, or None. finish_reason: "stop" at a
    stop string, "end" where the model ended the text, "length" after the most tokens, "cut_off" after fewer, where the
    server's context was full. log_prob: sum of the log-probabilities, in nats, of the tokens that end before the stop
    string begins, and of the end of the text where the model ended it; None where the server does not give them all.
    tokens: how many were drawn, with those of the stop string and the end; None where unknown. requests: how many
    requests this text took part in.
    """

    text: str
    stop: str | None
    finish_reason: Literal["stop", "end", "length", "cut_off"]
    log_prob: float | None
    tokens: int | None
    requests: int = 1


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Tokens with their log-probabilities, as an answer gives them.

    pieces: the bytes of each, None where they are not told. partial: whether the server leaves tokens out, as llama.cpp
    does: those of the stop string, and all but the last one of a character that is split into several, which then has
    the bytes of all. So only a text in ASCII certainly has a row for each of its tokens.
    """

    log_probs: Sequence[float] = ()
    pieces: Sequence[bytes] | None = ()
    partial: bool = True


class _Unclear(ValueError):
    """What an answer leaves open, and another one of its kind would, too."""


def read_completions(
    payload: Any, count: int, stop: Sequence[str], unclear_stop: Literal["stop", "end"], max_tokens: int
) -> dict[int, Completion | Failure]:
    """The texts in an answer to `count` prompts, by the position of their prompt; some may be missing.

    A text of which the answer does not tell how it ended is a failure of status 200.

    Raises: MalformedAnswer where nothing is usable, or positions repeat or are out of range.
    """
    choices = payload.get("choices") if isinstance(payload, dict) else None
    if not isinstance(choices, list) or not choices:
        raise MalformedAnswer("no list of choices")
    usage = payload.get("usage") if count == 1 else None
    drawn = usage.get("completion_tokens") if isinstance(usage, dict) else None
    drawn = drawn if _whole(drawn) else None
    found: dict[int, Completion | Failure] = {}
    problem = None
    for position, choice in enumerate(choices):
        index = choice.get("index", position) if isinstance(choice, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or index in found:
            raise MalformedAnswer(f"{len(choices)} choices for {count} prompts, of which one has the index {index!r}")
        try:
            found[index] = _read_choice(choice, stop, unclear_stop, drawn, max_tokens)
        except _Unclear as unclear:
            found[index] = Failure(str(unclear), status=200)
        except MalformedAnswer as unusable:
            problem = unusable
    if not found and problem is not None:
        raise problem
    return found


def _read_choice(
    choice: dict, stop: Sequence[str], unclear_stop: str, drawn: int | None, max_tokens: int
) -> Completion | Failure:
    text, named = choice.get("text"), choice.get("finish_reason")
    if not isinstance(text, str):
        raise MalformedAnswer("a choice without text")
    reason: Any = _REASONS.get(named) if isinstance(named, str) else None
    if reason is None:
        raise MalformedAnswer(f"the finish_reason {named!r}")
    rows = _rows(choice.get("logprobs"))
    if drawn is None and rows is not None and not rows.partial:
        drawn = len(rows.log_probs)
    hit = None
    if reason == "stop":
        hit = _stop_string(choice, text, rows, drawn, stop, unclear_stop)
        reason = "end" if hit is None else "stop"
    elif reason == "length" and drawn is not None and drawn < max_tokens:
        if drawn == 0:
            return Failure("no room for a token after the prompt in the server's context", status=200, no_room=True)
        reason = "cut_off"
    before = text if hit is None else text.removesuffix(hit)
    return Completion(
        text=before + (hit or ""),
        stop=hit,
        finish_reason=reason,
        log_prob=_log_prob(rows, before, hit, drawn),
        tokens=drawn,
    )


def _stop_string(
    choice: dict, text: str, rows: _Rows | None, drawn: int | None, stop: Sequence[str], unclear_stop: str
) -> str | None:
    """The stop string that ended the text, or None where the model did.

    "finish_reason" is "stop" for both. vLLM names the string in `stop_reason`, SGLang in `matched_stop`; the tokens
    that come with log-probabilities may go on into it; some servers leave it in the text. llama.cpp counts the tokens
    of the stop string and gives no rows for them, but one for the end of the text.
    """
    if not stop:
        return None
    for field in ("stop_reason", "matched_stop"):
        if field in choice:
            return choice[field] if choice[field] in stop else None
    ending = next((s for s in stop if text.endswith(s)), None)
    if ending is not None:
        return ending
    pieces = rows.pieces if rows is not None else None
    written, body = b"".join(pieces or ()), text.encode(errors="replace")
    if written.startswith(body):
        begun = [s for s in stop if written[len(body) :].startswith(s.encode())]
        if begun:
            return begun[0]
    if rows is not None and rows.partial:
        if drawn is None:
            raise _Unclear("an answer to several prompts that does not tell how many tokens each text has")
        # The end of a text has no bytes. Neither has a special token before a stop string, which is rarer.
        if len(rows.log_probs) == drawn or (pieces and not pieces[-1] and not text.isascii()):
            return None
    elif unclear_stop == "end":
        return None
    if len(stop) > 1:
        raise _Unclear(f"the server does not tell which of {len(stop)} stop strings ended a text: pass only one")
    return stop[0]


def _log_prob(rows: _Rows | None, before: str, hit: str | None, drawn: int | None) -> float | None:
    """The log-probability of the tokens that end before the stop string, None where rows for them are missing."""
    if hit is None:
        if rows is None:
            return None
        whole = not rows.partial or len(rows.log_probs) == drawn or (drawn is None and before.isascii())
        return math.fsum(rows.log_probs) if whole else None
    rows = rows or _Rows()
    # At least one token is left out for the stop string; where it is the only one, no other is missing.
    whole = not rows.partial or before.isascii() or (drawn is not None and drawn <= len(rows.log_probs) + 1)
    if rows.pieces is None or not whole:
        return None
    body, spelled, kept = before.encode(errors="replace"), b"".join(rows.pieces), len(rows.pieces)
    if spelled.startswith(body):
        ends = list(itertools.accumulate(map(len, rows.pieces)))
        kept = sum(end <= len(body) for end in ends)
        # Bytes that some servers show with the last token of their character only.
        while 0 < kept < len(ends) and not rows.pieces[kept - 1]:
            kept -= 1
    elif rows.partial:
        # A single token that is left out holds the rest of the text and the stop string.
        if not (body.startswith(spelled) and drawn == kept + 1):
            return None
    else:
        # The pieces of some servers lack spaces: from the end, the fewest that hold the stop string.
        mark = hit.encode(errors="replace")
        while kept and mark not in b"".join(rows.pieces[kept - 1 :]):
            kept -= 1
        if not kept:
            return None
        kept -= 1
    return math.fsum(rows.log_probs[:kept])


def _rows(found: Any) -> _Rows | None:
    """Tokens and log-probabilities, as OpenAI's completions give them, or as its chats (and llama.cpp) do."""
    if not isinstance(found, dict):
        return None
    partial = isinstance(found.get("content"), list)
    if partial:
        rows = [row if isinstance(row, dict) else {} for row in found["content"]]
        tokens: Any = [row.get("bytes", row.get("token")) for row in rows]
        numbers: Any = [row.get("logprob") for row in rows]
    else:
        tokens, numbers = found.get("tokens"), found.get("token_logprobs")
    if not isinstance(numbers, list) or not all(map(_number, numbers)):
        return None
    pieces = [_piece(token) for token in tokens] if isinstance(tokens, list) and len(tokens) == len(numbers) else [None]
    named = [piece for piece in pieces if piece is not None]
    return _Rows([float(x) for x in numbers], named if len(named) == len(numbers) else None, partial)


def _piece(token: Any) -> bytes | None:
    if isinstance(token, str):
        return token.encode(errors="replace")
    if isinstance(token, list) and all(_whole(x) and 0 <= x < 256 for x in token):
        return bytes(token)
    return None


def _number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and not math.isnan(x)


def _whole(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)
