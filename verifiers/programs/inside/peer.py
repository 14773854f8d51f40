"""One side of the conversation between a program and its tests: asks the other's objects, and answers for its own."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import frames, remote, wire
from .known import Classes, Known

_PULLS = ("__next__", "send", "throw", "anext")
# An iterator is asked for one item after the other, until so many have come; then for as many at once, if each has
# taken fewer seconds.
_BATCH, _QUICK = 64, 0.001


class Peer:
    """Sends questions and answers as messages, with the tables of what both sides know."""

    def __init__(self, reading: int, writing: int, limit: int, classes: Classes, step: int):
        self.reading, self.writing, self.limit, self.classes = reading, writing, limit, classes
        self.known = Known(step, limit)
        self.depth = 0  # of questions within questions
        self._pulled: dict[int, tuple[int, float]] = {}

    fatal: tuple[type[BaseException], ...] = ()  # what is never sent as an answer
    ahead = False  # whether iterators may be asked for more items than the other side has taken

    def lend(self, value: Any) -> Any:
        """Description of an object that the other side may ask, or None."""
        self.known.lend(value)
        return remote.describe(value)

    def borrow(self, number: int, content: Any) -> Any:
        """What stands for an object of the other side."""
        return remote.make(functools.partial(self.ask, number), content)

    def lost(self, sentence: str) -> None:
        """Note a value that has arrived as less than it was."""

    def tame(self, error: BaseException) -> BaseException:
        """What is raised for an exception that the other side has raised."""
        return error

    def allows(self, target: Any, name: str, args: list[Any]) -> bool:
        """Whether the other side may ask this."""
        del target, name, args
        return True

    def ask(self, number: int, name: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the other side's object of this number.

        Raises: what that object raises.
        """
        for value in (*args, *kwargs.values()):
            if _has_identity(value) and id(value) not in self.known.numbers:
                self.known.add(value)
        with self.deeper():
            question = {"ask": [number, name, *self.arguments(args, kwargs)]}
            self.send(question)
            message = self.receive()
        return self.take(message, name)

    def take(self, message: dict[str, Any], name: str) -> Any:
        """The value of an answer to the question `name`.

        Raises: the exception of the answer.
        """
        value, error = self.read(message, name)
        if error is not None:
            raise error
        return value

    def read(self, message: dict[str, Any], name: str) -> tuple[Any, BaseException | None]:
        """The value or the exception of an answer.

        Raises: what `frames` says of messages that make no sense.
        """
        if "flood" in message:
            raise frames.TooLarge("a returned value is larger than allowed")
        if "unsupported" in message:
            raise frames.Unsendable(str(message["unsupported"])[:500])
        for argument in message.get("changed", ()):
            self.decode(argument)
        if "items" in message and name == "__next__":
            steps = [functools.partial(self.take, {"value": item}, "") for item in message["items"]]
            if "end" in message:
                steps.append(functools.partial(self.take, message["end"], "item"))
            if not steps:
                raise frames.Malformed("neither an item nor an end")
            return steps, None
        if "stop" in message and name in ("item", *_PULLS):
            return None, StopIteration(self.decode(message["stop"]))
        if "raised" in message:
            error = self.decode(message["raised"])
            if not isinstance(error, BaseException):
                raise frames.Malformed("what is raised is no exception")
            return None, self.tame(error)
        if "value" not in message or name == "__next__":
            raise frames.Malformed("not an answer")
        return self.decode(message["value"]), None

    def arguments(self, args: Any, kwargs: dict[str, Any]) -> list[Any]:
        """Arguments as JSON."""
        with wire.deep():
            encode = self.encoder()
            return [[encode(value) for value in args], [[key, encode(value)] for key, value in kwargs.items()]]

    def encoder(self) -> wire.Encoder:
        """For one message."""
        return wire.Encoder(self.known, self.classes, self.lend)

    def encode(self, value: Any) -> Any:
        """A value as JSON."""
        if value is None or type(value) is bool:
            return value
        with wire.deep():
            return self.encoder()(value)

    def decode(self, message: Any) -> Any:
        """The value of a part of a message."""
        if type(message) in (int, str, float, bool):
            return message
        with wire.deep():
            return wire.Decoder(self.known, self.classes, self.borrow, self.lost)(message)

    @contextlib.contextmanager
    def deeper(self) -> Iterator[None]:
        """Within a question nothing is forgotten."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            if not self.depth:
                self.known.trim()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        with wire.deep():
            self.known.count(frames.send(self.writing, message, self.limit))

    def receive(self) -> dict[str, Any]:
        """The next answer; questions that come before it are answered."""
        while True:
            data = frames.receive(self.reading, self.limit)
            with wire.deep():
                message = frames.parse(data)
            if not isinstance(message, dict):
                raise frames.Malformed("not a message")
            if "ask" in message:
                self.respond(message["ask"])
            self.known.count(len(data))
            if "ask" not in message:
                return message

    def respond(self, question: Any) -> None:
        """Answer one question."""
        with self.deeper():
            try:
                answer = self.answer(*question)
            except (frames.Unsendable, RecursionError) as error:
                answer = {"unsupported": str(error)[:500]}
            try:
                self.send(answer)
            except frames.TooLarge:
                self.send({"flood": True})

    def answer(self, number: int, name: str, sent: list[Any], pairs: list[Any]) -> dict[str, Any]:
        """What is answered to a question."""
        target = self.known.lent[number]
        args, kwargs = [self.decode(value) for value in sent], {str(key): self.decode(value) for key, value in pairs}
        if not self.allows(target, name, args):
            answer = {"raised": self.encode(AttributeError(f"an object of the tests is not asked for {name}"))}
        elif name == "__next__":
            answer = self.pull(number, target)
        else:
            answer = self.attempt(lambda: remote.perform(target, name, args, kwargs), name)
        if any(type(value) not in wire.SCALARS for value in (*args, *kwargs.values())):
            after = self.arguments(args, kwargs)
            if after != [sent, pairs]:
                answer["changed"] = [*after[0], *(value for _, value in after[1])]
        return answer

    def pull(self, number: int, target: Any) -> dict[str, Any]:
        """The next items of an iterator, and what ends it."""
        count, seconds = self._pulled.get(number, (0, 0.0))
        many = _BATCH if self.ahead and count >= _BATCH and seconds < _QUICK * count else 1
        items, begin = [], time.perf_counter()
        answer: dict[str, Any] = {"items": items}
        for _ in range(many):
            step = self.attempt(lambda: next(target), "__next__")
            if "value" not in step:
                answer["end"] = step
                break
            items.append(step["value"])
        self._pulled[number] = count + len(items), seconds + time.perf_counter() - begin
        return answer

    def attempt(self, act: Callable[[], Any], name: str, encode: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """The answer of an act that may raise."""
        try:
            value = act()
        except self.fatal:
            raise
        except (StopIteration, StopAsyncIteration) as error:
            if name in _PULLS:
                return {"stop": self.encode(getattr(error, "value", None))}
            return {"raised": self.encode(error)}
        except BaseException as error:  # noqa: B902
            error.__traceback__ = None  # it holds what the frames hold
            return {"raised": self.encode(error)}
        return {"value": (encode or self.encode)(value)}


def _has_identity(value: Any) -> bool:
    """Whether two equal values of this plain type may be two objects."""
    if type(value) is int:
        return not -5 <= value <= 256
    return type(value) is float or type(value) in (str, bytes) and len(value) > 1
