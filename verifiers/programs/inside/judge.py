"""The trusted side: runs the tests, with the candidate as an object that another process is asked about."""

import builtins
import contextlib
import random
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from . import errors, frames, remote, stdlib
from .known import STEERING, Classes
from .peer import Peer

_NAMES = ("__name__", "__qualname__", "__doc__")


class _Over(BaseException):
    """The candidate can give no further answer; not an Exception, so that tests do not catch it."""


class _Judge(Peer):
    """The candidate as the tests see it: values go out and come back as data.

    Whatever the tests catch, `ended` remembers why the candidate gave no answer.
    """

    fatal = (_Over,)

    def __init__(self, calls: int, answers: int, limit: int, classes: Classes):
        super().__init__(answers, calls, limit, classes, 1)
        self.asked = 0  # calls
        self.looked = False  # whether anything else has been asked
        self.given = False  # whether it has given a value, of which arguments may be made
        self.failed: tuple[BaseException, str] | None = None  # a test that the program has been told of
        self.reduced = ""  # a value that has arrived as less than it was
        self.hidden = ""  # of the tests' side, what the program cannot reach
        self.streams = _streams()
        self.ended: tuple[str, str] | None = None
        self.raised: BaseException | None = None

    def begin(self) -> Any:
        """Wait until the program has been loaded; what it has defined."""
        candidate = self.take(self.receive(), "")
        if not isinstance(candidate, remote.Remote):
            self._end("malformed", "the program's answer makes no sense: a value for what it has defined")
        if self.classes.shared:
            self.send({"classes": sorted(self.classes.shared)})
        return candidate

    def ask(self, number: int, name: str, *args: Any, **kwargs: Any) -> Any:
        if self.ended:
            raise _Over
        if name == "lost":
            return self.lost(f"an object without {args[0]}")
        if name == "refused":
            self._end("unsupported", f"the tests use {args[0]} of an object that stays in the program's process")
        if name == "__call__":
            self.asked += 1
        else:
            self.looked = True
        if _streams() != self.streams:
            self.hidden = "the streams that the tests put in place"
        return super().ask(number, name, *args, **kwargs)

    def arguments(self, args: Any, kwargs: dict[str, Any]) -> list[Any]:
        try:
            return super().arguments(args, kwargs)
        except frames.Endless as error:
            self._end("unsupported" if self.given else "unsendable", str(error))
        except frames.Unsendable as error:
            self._end("unsendable", str(error))
        except RecursionError:
            self._end("unsupported" if self.given else "unsendable", "the arguments of a call are nested too deep")

    def send(self, message: dict[str, Any]) -> None:
        try:
            super().send(message)
        except frames.TooLarge as error:
            # A returned value that fits, and is passed on, may not fit any more: that is no fault of the tests.
            self._end("flood" if self.given else "unsendable", f"the arguments of a call: {error}")
        except OSError:
            self._end("gone", "the program ended before its tests did")

    def receive(self) -> dict[str, Any]:
        with self.guard():
            return super().receive()

    def take(self, message: dict[str, Any], name: str) -> Any:
        with self.guard():
            value, error = self.read(message, name)
        if error is not None:
            self.raised = error
            if not self.depth and self.failed and error is self.failed[0]:
                self.failed = None
            raise error
        self.given = self.given or self.asked > 0
        return value

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """What goes wrong in the conversation ends it."""
        try:
            yield
        except EOFError:
            self._end("gone", "the program ended before its tests did")
        except frames.TooLarge as error:
            self._end("flood", str(error))
        except frames.Unsendable as error:
            self._end("unsupported", str(error))
        except RecursionError:
            self._end("unsupported", "a value that is nested too deep")
        except MemoryError:
            raise
        except Exception as error:
            self._end("malformed", f"the program's answer makes no sense: {error}"[:500])

    def respond(self, question: Any) -> None:
        self.given = True
        super().respond(question)

    def attempt(self, act: Callable[[], Any], name: str, encode: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        return super().attempt(lambda: self._noted(act), name, encode)

    def _noted(self, act: Callable[[], Any]) -> Any:
        """What the tests do for the program, which may swallow what they raise, and reads it."""
        handled = sys.exception()
        try:
            return act()
        except BaseException as error:
            errors.cut(error, handled)
            if isinstance(error, AssertionError) and error is not self.raised:
                self.failed = self.failed or (error, _where(error))
            raise

    def tame(self, error: BaseException) -> BaseException:
        return errors.tame(error)

    def lend(self, value: Any) -> Any:
        if callable(value):
            special = ["__call__"]
        elif hasattr(type(value), "__next__"):
            special = ["__iter__", "__next__"]
        else:
            return None
        self.known.lend(value)
        kind, title, _ = remote.describe(value)
        return [kind, title, special] if kind not in remote.MADE else None

    def allows(self, target: Any, name: str, args: list[Any]) -> bool:
        if name == "get":
            if args and not str(args[0]).startswith("__"):
                self.hidden = f"{args[0]} of an object of the tests"[:200]
            return len(args) == 1 and args[0] in _NAMES
        return name == "__call__" and callable(target) or name == "__next__" and hasattr(type(target), "__next__")

    def borrow(self, number: int, content: Any) -> Any:
        kind, title, _ = content
        if not kind or kind in remote.MADE:
            self.lost(f"an object of class {kind or title}"[:200])
        return super().borrow(number, content)

    def lost(self, sentence: str) -> None:
        self.reduced = self.reduced or sentence

    def _end(self, reason: str, detail: str) -> NoReturn:
        self.ended = (reason, detail)
        raise _Over


def _streams() -> tuple[Any, ...]:
    """What a test replaces to give a program its input, or to read what it prints."""
    return sys.stdin, sys.stdout, sys.stderr, builtins.input, builtins.print, builtins.open


def judge(tests: int, calls: int, answers: int, verdicts: int, limit: int) -> None:
    """Run the tests of the file `tests` and send one verdict: a word and a detail."""
    payload = frames.read_all(tests)
    # Tests that draw their inputs draw the same ones each time.
    random.seed(0)
    frames.send(verdicts, _verdict(payload, calls, answers, limit), 2**16)


def _verdict(payload: dict[str, str], calls: int, answers: int, limit: int) -> list[str]:
    module = types.ModuleType("tests")
    sys.modules["tests"] = module  # dataclasses look their own module up
    namespace = module.__dict__
    classes = Classes(namespace, trusted=True)
    try:
        exec(compile(payload["setup"], "setup.py", "exec"), namespace)
        classes.shared.update(classes.local())
        exec(compile(payload["tests"], "tests.py", "exec"), namespace)
        check = namespace["check"]
    except BaseException as error:  # noqa: B902
        return ["broken", f"the tests cannot be loaded: {type(error).__name__}: {error}"[:500]]
    peer = _Judge(calls, answers, limit, classes)
    try:
        candidate = namespace[payload["entry_point"]] = peer.begin()
        check(candidate)
    except BaseException as error:  # noqa: B902
        return list(peer.ended) if peer.ended else _failure(error, peer, payload["tests"])
    if peer.ended:
        return list(peer.ended)
    if peer.failed is not None:
        return ["unsupported", f"{peer.failed[1]}; the program has caught it"[:500]]
    if not peer.asked and not callable(candidate):
        return ["raised", f"TypeError: '{type(candidate).__name__}' object is not callable"]
    if not peer.asked and peer.looked:
        return ["unsupported", "the tests read of what the program defines, and never call it"]
    if not peer.asked:
        why = (
            "check returned without calling the candidate, so any program would pass: assert what candidate(...) gives"
        )
        return ["broken", why]
    return ["passed", ""]


def _failure(error: BaseException, peer: _Judge, tests: str) -> list[str]:
    name = type(error).__name__
    where = _where(error)
    if error is peer.raised:
        if name in STEERING and name in tests:
            return ["unsupported", f"the tests expect {name}, which would steer them and arrives as another exception"]
        if hidden := peer.hidden or _withheld(error, peer):
            return ["unsupported", f"{name}: {_text(error)}; the program cannot reach {hidden}"[:500]]
        return ["raised", f"{name}: {_text(error)}"[:500]]
    if isinstance(error, MemoryError):
        return ["raised", "MemoryError: in the tests, on the program's answer"]
    if peer.hidden:
        return ["unsupported", f"{where}; the program cannot reach {peer.hidden}"[:500]]
    if peer.reduced:
        return ["unsupported", f"{where}; the program gave {peer.reduced}"[:500]]
    return ["failed", where[:500]]


def _withheld(error: BaseException, peer: _Judge) -> str:
    """What a program has asked for that the sandbox, and not Python, refuses."""
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] in stdlib.WITHHELD:
        return f"the module {error.name}"
    if peer.asked and isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return "threads, which Limits(processes=...) allows"
    return "time zones" if type(error).__name__ == "ZoneInfoNotFoundError" else ""


def _text(error: BaseException) -> str:
    """What an exception says, for which objects of the program may be asked."""
    try:
        return str(error)
    except BaseException:  # noqa: B902
        return ""


def _where(error: BaseException) -> str:
    return f"{type(error).__name__} in line {_line(error)} of the tests: {_text(error)}"


def _line(error: BaseException) -> int:
    return max(
        (frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "tests.py"),
        default=0,
    )
