"""Exceptions as messages: names of all base classes, text, arguments and attributes; never behavior."""

import types
from collections.abc import Callable, Iterator
from typing import Any

from .frames import Malformed
from .known import LOCAL, Classes, steers

# What the interpreter sets and is sent otherwise, or that would carry objects of the program.
_DROPPED = {"args", "exceptions", "obj", "name_from", "print_file_and_line"}


def describe(error: BaseException, encode: Callable[[Any], Any]) -> list[Any]:
    """An exception as JSON."""
    kind, chained = type(error), (error.__cause__, error.__context__)
    return [
        str(kind.__name__)[:100],
        [["" if base.__module__ in LOCAL else base.__module__, base.__qualname__] for base in kind.__mro__[:-1]],
        _text(error),
        [encode(value) for value in error.args],
        [[name, encode(value)] for name, value in _attributes(error)],
        [None if other is None else encode(other) for other in chained],
    ]


def rebuild(content: Any, classes: Classes, decode: Callable[[Any], Any]) -> BaseException:
    """The exception of a message: of every base class that is known here, and of no other behavior.

    Raises: Malformed.
    """
    name, names, text, arguments, attributes, (cause, context) = content
    if type(name) is not str or type(text) is not str:
        raise Malformed("an exception without name and text")
    arguments = tuple(map(decode, arguments))
    attributes = [(str(key), decode(value)) for key, value in attributes]
    found = [kind for kind in map(classes.error, names) if kind]
    bases = tuple(kind for kind in found if not any(kind is not other and issubclass(other, kind) for other in found))
    error = None
    if bases and classes.error(names[0]) is bases[0]:
        error = _make(bases[0], arguments, attributes)
    if error is None or _text(error) != text:
        # The program's own class, or a text that the arguments do not give.
        own = type(name, bases or (BaseException,), {"__module__": "candidate", "__str__": lambda self: text})
        error = _make(own, arguments, attributes)
    if cause is not None:
        error.__cause__ = decode(cause)
    error.__context__ = decode(context)
    return error


def tame(error: BaseException) -> BaseException:
    """The exception, or another of its name where it would steer the tests: one of theirs that comes back to them."""
    kind = type(error)
    if not steers(kind):
        return error
    base = next(base for base in kind.__mro__ if not steers(base))
    renamed: Any = type(kind.__name__, (base,), {"__module__": "candidate"})
    return renamed(*error.args)


def cut(error: BaseException, handled: BaseException | None) -> None:
    """Take from an exception what was being handled before the act that raised it."""
    seen: set[int] = set()
    while (context := error.__context__) is not None and id(error) not in seen:
        if context is handled:
            error.__context__ = None
            return
        seen.add(id(error))
        error = context


def _make(kind: type[BaseException], arguments: tuple[Any, ...], attributes: list[tuple[str, Any]]) -> BaseException:
    """An instance with this state; no `__init__` but those of the interpreter is run."""
    layouts = [base for base in kind.__mro__[:-1] if base.__module__ == "builtins"]
    for layout in layouts:
        try:
            error = layout.__new__(kind, *arguments)
            break
        except TypeError:  # not the base whose memory layout this class has
            continue
    else:
        raise Malformed(f"{kind.__name__} does not take these arguments")
    try:
        layout.__init__(error, *arguments)
    except TypeError:  # an own `__init__` has passed other arguments on; they are set below
        pass
    members = set(_members(kind))
    for name, value in attributes:
        if name in members:
            try:
                setattr(error, name, value)
            except (TypeError, AttributeError):
                continue
        elif not callable(getattr(kind, name, None)):
            error.__dict__[name] = value
    return error


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    for name in _members(type(error)):
        try:
            value = getattr(error, name)
        except Exception:  # an own `__getattr__` may raise anything
            continue
        if value is not None:
            yield name, value
    for name, value in vars(error).items():
        if type(name) is str and (name == "__notes__" or not name.startswith("__")):
            yield name, value


def _members(kind: type) -> Iterator[str]:
    """Names that the interpreter's own exceptions keep outside of `__dict__`."""
    for base in kind.__mro__[:-1]:
        if base.__module__ == "builtins":
            for name, value in vars(base).items():
                if isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
                    if not name.startswith("__") and name not in _DROPPED:
                        yield name


def _text(error: BaseException) -> str:
    try:
        return str.__str__(str(error))
    except Exception:
        return ""
