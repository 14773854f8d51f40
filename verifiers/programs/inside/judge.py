"""The trusted side: runs the tests, with the candidate as a function whose calls go to another process."""

import builtins
import random
import traceback
from typing import Any, NoReturn

from . import wire


class _Over(BaseException):
    """The candidate can give no further answer; not an Exception, so that tests do not catch it."""


class CandidateError(Exception):
    """The candidate raised an exception that is not a built-in one."""


class Proxy:
    """The candidate as the tests see it: values go out and come back as plain literals.

    Whatever the tests catch, `ended` remembers why the candidate gave no answer.
    """

    def __init__(self, calls: int, answers: int, limit: int):
        self.calls, self.answers, self.limit = calls, answers, limit
        self.asked = 0  # calls
        self.given = False  # whether it has returned a value, of which arguments may be made
        self.ended: tuple[str, str] | None = None
        self.raised: tuple[BaseException, str, str] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One call of the candidate's function."""
        if self.ended:
            raise _Over
        self.asked += 1
        try:
            call = wire.encode([args, kwargs])
        except wire.Unsendable as error:
            self._end("unsendable", str(error))
        try:
            wire.send(self.calls, call, self.limit)
        except wire.TooLarge as error:
            # A returned value that fits, and is passed on, may not fit any more: that is no fault of the tests.
            self._end("flood" if self.given else "unsendable", f"the arguments of a call: {error}")
        except OSError:
            self._end("gone", "the program ended before its tests did")
        return self.answer()

    def answer(self) -> Any:
        """Wait for the next answer and take it as a value or an exception."""
        try:
            message = wire.receive(self.answers, self.limit)
            if message == {"ready": True}:
                return None
            if message == {"flood": True}:
                raise wire.TooLarge("a returned value is larger than allowed")
            if not isinstance(message, dict) or len(message) != 1:
                raise wire.Malformed("not an answer")
            if "value" in message:
                value = wire.decode(message["value"])
                self.given = True
                return value
            name, text = (str(part)[:500] for part in message["raised"])
        except EOFError:
            self._end("gone", "the program ended before its tests did")
        except wire.TooLarge as error:
            self._end("flood", str(error))
        except (wire.Malformed, KeyError, TypeError, ValueError, RecursionError) as error:
            self._end("malformed", f"the program's answer makes no sense: {error}"[:500])
        error = _built_in(name, text) or CandidateError(f"{name}: {text}")
        self.raised = (error, name, text)
        raise error

    def _end(self, reason: str, detail: str) -> NoReturn:
        self.ended = (reason, detail)
        raise _Over


def _built_in(name: str, text: str) -> Exception | None:
    """The exception of this name, so that tests can expect one; None if it is not built in or takes no text.

    None also for what ends an iteration: raised inside `zip(map(candidate, xs), ys)`, it would end the tests as passed.
    """
    kind = getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        return None
    if issubclass(kind, (StopIteration, StopAsyncIteration)):
        return None
    try:
        return kind(text)
    except TypeError:
        return None


def judge(tests: int, calls: int, answers: int, verdicts: int, limit: int) -> None:
    """Run the tests of the file `tests` and send one verdict: a word and a detail."""
    payload = wire.read_all(tests)
    proxy = Proxy(calls, answers, limit)
    # Tests that draw their inputs draw the same ones each time.
    random.seed(0)
    wire.send(verdicts, _verdict(payload, proxy), 2**16)


def _verdict(payload: dict[str, str], proxy: Proxy) -> list[str]:
    namespace: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(compile(payload["setup"], "setup.py", "exec"), namespace)
        exec(compile(payload["tests"], "tests.py", "exec"), namespace)
        check = namespace["check"]
    except BaseException as error:  # noqa: B902
        return ["broken", f"the tests cannot be loaded: {type(error).__name__}: {error}"[:500]]
    namespace[payload["entry_point"]] = proxy
    try:
        proxy.answer()  # the program has been loaded
        check(proxy)
    except BaseException as error:  # noqa: B902
        if proxy.ended:
            return list(proxy.ended)
        if proxy.raised and error is proxy.raised[0]:
            return ["raised", f"{proxy.raised[1]}: {proxy.raised[2]}"[:500]]
        if isinstance(error, MemoryError):
            return ["raised", "MemoryError: in the tests, on the program's answer"]
        return ["failed", f"{type(error).__name__} in line {_line(error)} of the tests: {error}"[:500]]
    if proxy.ended:
        return list(proxy.ended)
    if not proxy.asked:
        why = (
            "check returned without calling the candidate, so any program would pass: assert what candidate(...) gives"
        )
        return ["broken", why]
    return ["passed", ""]


def _line(error: BaseException) -> int:
    return max(
        (frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "tests.py"),
        default=0,
    )
