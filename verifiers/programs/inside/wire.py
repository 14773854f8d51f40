"""Values as messages: plain data in full, other objects by a number with which the other process can ask for more.

Whatever a message says, only data of types that are listed here is made from it, and no behavior is.
"""

import collections
import contextlib
import enum
import sys
from collections.abc import Callable, Iterator
from typing import Any

from . import errors
from .frames import Endless, Malformed, Unsendable
from .frames import parse as parse
from .kinds import CONTAINER_NAMES, CONTAINERS, NAMES, STANDARD, no_extra
from .known import Classes, Known

# Within what every JSON reader, and Python's limit on the digits of an integer, takes.
_PLAIN_INTEGER = 2**53
_DEEP = 20_000  # frames for values that are nested as deep as Python itself can compare
_FIXED: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "frozenset": frozenset}
# Containers that are described by their items alone.
_BARE = {name for name, container in CONTAINERS.items() if container.extra is no_extra}
# An instance of a subclass of these counts as its plain base, because behavior is not sent.
_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__index__,
    float: float.__float__,
    complex: complex.__complex__,
    bytes: bytes.__bytes__,
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    bytearray: lambda value: bytearray(bytearray.__iter__(value)),
    collections.deque: lambda value: collections.deque(collections.deque.__iter__(value), value.maxlen),
}
_SELF_EVIDENT = {int, str, float, bool, type(None)}  # of a message that is its own value
_NAMED_TUPLE = frozenset(vars(collections.namedtuple("_NAMED_TUPLE", ())))


def _text(value: str) -> Any:
    """As JSON, in which two lone surrogates would become one character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"text": value.encode("utf-8", "surrogatepass").hex()}
    return value


SCALARS: dict[type, Callable[[Any], Any]] = {
    str: lambda value: value if value.isascii() else _text(value),
    int: lambda value: value if -_PLAIN_INTEGER < value < _PLAIN_INTEGER else {"int": hex(value)},
    float: lambda value: value if value == value else {"float": "nan"},
    bytes: lambda value: {"bytes": value.hex()},
}


@contextlib.contextmanager
def deep() -> Iterator[None]:
    """More recursion, for the time of one message."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class Encoder:
    """Makes one message. With `known`, each object has a number and stands in full once.

    `lend` gives the description of an object that the other side may ask, or None.
    """

    def __init__(
        self,
        known: Known | None = None,
        classes: Classes | None = None,
        lend: Callable[[Any], Any] | None = None,
    ):
        self.known, self.classes, self.lend = known, classes or Classes({}), lend
        self.done: dict[int, bool] = {}  # number: whether other objects may refer to it yet

    def __call__(self, value: Any) -> Any:
        """A value as JSON.

        Raises: Unsendable.
        """
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind in SCALARS:
            known = self.known
            if known is None or not (id(value) in known.numbers or value != value):
                return SCALARS[kind](value)
        if self.known is None:
            return self._content(value)
        number = self.known.numbers.get(id(value))
        if number is None:
            number = self.known.add(value)
        if number in self.known.kept and number not in self.known.lent:
            return {"again": number}
        if number in self.done:
            if not self.done[number]:
                raise Endless(f"a value of type {kind.__name__} that contains itself cannot leave the sandbox")
            return {"again": number}
        self.done[number] = kind in CONTAINER_NAMES or not isinstance(value, (tuple, frozenset, BaseException))
        content = self._content(value)
        self.done[number] = True
        return {"@": [number, content]}

    def _content(self, value: Any) -> Any:
        kind = type(value)
        if kind in SCALARS:
            return SCALARS[kind](value)
        if kind in CONTAINER_NAMES:
            name = CONTAINER_NAMES[kind]
            container = CONTAINERS[name]
            if container.pairs:
                items = [[self(key), self(item)] for key, item in container.items(value)]
            else:
                items = self._items(container.items(value))
            return {name: items if name in _BARE else [self(container.extra(value)), items]}
        if kind in (tuple, frozenset):
            return {kind.__name__: self._items(value)}
        if kind in NAMES:
            return {"standard": [NAMES[kind], [self(part) for part in STANDARD[NAMES[kind]].take(value)]]}
        return self._of_class(value, kind)

    def _items(self, values: Any) -> list[Any]:
        values = list(values)
        if self.known is None or not self.known.scalars:
            kinds = set(map(type, values))
            if kinds == {int} and -_PLAIN_INTEGER < min(values) and max(values) < _PLAIN_INTEGER:
                return values
            if kinds == {str} and all(map(str.isascii, values)):
                return values
        return [self(value) for value in values]

    def _of_class(self, value: Any, kind: type) -> Any:
        if isinstance(value, type):
            name = self.classes.name(value)
            if name and self.classes.value(name) is value:
                return {"class": name}
        if self.classes.trusted and callable(value) and (function := self.classes.function_name(value)):
            return {"function": function}
        if isinstance(value, type):
            return self._lent(value)
        if isinstance(value, BaseException):
            return {"exception": errors.describe(value, self)}
        name = self.classes.name(kind)
        if isinstance(value, enum.Enum) and name and self.classes.value(name) is kind:
            return {"member": [name, self(value.value)]}
        if isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
            local = name if name and not name[0] else None
            lost = not local and not _NAMED_TUPLE.union(kind._fields).issuperset(vars(kind))
            return {"named": [local, kind.__name__, list(kind._fields), lost, [self(item) for item in tuple(value)]]}
        for base, plain in _PLAIN.items():
            if isinstance(value, base):
                return {"plain": [kind.__name__, self._content(plain(value))]}
        if name and not name[0] and self.classes.find(name) is kind:
            return {"object": [name, [[key, self(item)] for key, item in state(value).items()]]}
        return self._lent(value)

    def _lent(self, value: Any) -> Any:
        description = self.lend(value) if self.lend else None
        if description is None:
            raise Unsendable(f"a value of type {type(value).__name__} cannot leave the sandbox")
        return {"lent": description}


class Decoder:
    """Reads one message. `borrow` makes what stands for an object that the other side has lent.

    `lost` is given a sentence about each value that arrives as less than it was.
    """

    def __init__(
        self,
        known: Known | None = None,
        classes: Classes | None = None,
        borrow: Callable[[int, Any], Any] | None = None,
        lost: Callable[[str], Any] = lambda sentence: None,
    ):
        self.known, self.classes, self.borrow, self.lost = known, classes or Classes({}), borrow, lost

    def __call__(self, message: Any) -> Any:
        """The value of a message.

        Raises: Malformed; Unsendable for an instance of a class that is not known here.
        """
        if not isinstance(message, dict):
            if isinstance(message, list):
                raise Malformed("a list without its type")
            return message
        try:
            ((name, content),) = message.items()
            if name == "again" and self.known:
                return self.known.objects[content]
            if name == "@" and self.known:
                return self._numbered(*content)
            return self._make(name, content, None)
        except Unsendable:
            raise
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise Malformed(f"{type(error).__name__}: {error}"[:200]) from None

    def _numbered(self, number: int, content: Any) -> Any:
        if type(number) is not int:
            raise Malformed("a number that is none")
        known: Any = self.known
        if number not in known.objects:
            if not known.given(number):
                raise Malformed("a number that is given out here, and has not been")
            return self._make(*_only(content), number)
        held = known.objects[number]
        name, inner = _only(content)
        if name == "plain":
            name, inner = _only(inner[1])
        if name in CONTAINERS and type(held) is CONTAINERS[name].type:
            self._fill(held, name, inner)
        elif name == "object" and type(held) is self._class_of_object(inner[0]):
            self._fill_object(held, inner[1])
        elif name in CONTAINERS or name == "object":
            raise Malformed(f"an object of type {type(held).__name__} has become one of type {name}"[:100])
        elif name in _FIXED:
            for item in inner:
                self(item)  # the items may have changed
        return held

    def _make(self, name: Any, content: Any, number: int | None) -> Any:
        """A new object, held under its number as soon as it can be."""
        value: Any
        if name in CONTAINERS:
            value = CONTAINERS[name].empty(None if name in _BARE else self(content[0]))
            self._hold(value, number)
            self._fill(value, name, content)
            return value
        if name == "object":
            value = object.__new__(self._class_of_object(content[0]))
            self._hold(value, number)
            self._fill_object(value, content[1])
            return value
        if name == "lent":
            if self.borrow is None or self.known is None or number is None:
                raise Malformed("nothing can be asked for here")
            value = self.borrow(number, content)
            self.known.kept.add(number)
        elif name == "plain":
            self.lost(f"an object of the program's class {content[0]!s}"[:200])
            return self._make(*_only(content[1]), number)
        else:
            value = self._fixed(name, content)
        self._hold(value, number)
        return value

    def _fixed(self, name: Any, content: Any) -> Any:
        if name in _FIXED:
            return _FIXED[name](self._items(content))
        if name == "scalar":
            return content
        if name == "int":
            return int(content, 16)
        if name == "float":
            return float(content)
        if name == "text":
            return bytes.fromhex(content).decode("utf-8", "surrogatepass")
        if name == "bytes":
            return bytes.fromhex(content)
        if name == "standard":
            return STANDARD[content[0]].make(*(self(part) for part in content[1]))
        if name == "exception":
            return errors.rebuild(content, self.classes, self)
        if name == "function" and not self.classes.trusted:
            return self.classes.function(content)
        if name == "class":
            found = self.classes.value(content)
            if found is None:
                raise Unsendable(f"the class {'.'.join(content)} is not known on both sides"[:200])
            return found
        if name == "member":
            kind = self._class(content[0])
            if not issubclass(kind, enum.Enum):
                raise Malformed("a member of what is no enumeration")
            return kind(self(content[1]))
        if name == "named":
            return self._named_tuple(*content)
        raise Malformed(f"no type is called {name!r}"[:80])

    def _items(self, messages: list[Any]) -> list[Any]:
        if _SELF_EVIDENT.issuperset(map(type, messages)):
            return messages
        return [self(message) for message in messages]

    def _named_tuple(self, name: Any, title: str, fields: list[str], lost: bool, items: list[Any]) -> Any:
        if len(items) != len(fields):
            raise Malformed("a named tuple without a name for each item")
        kind: Any = self.classes.find(name) if name and not name[0] else None
        if not (kind and issubclass(kind, tuple) and list(getattr(kind, "_fields", (None,))) == fields):
            kind = collections.namedtuple(title, fields)
            if lost:
                self.lost(f"a named tuple of the program's class {title}"[:200])
        return tuple.__new__(kind, [self(item) for item in items])

    def _class(self, name: Any) -> Any:
        found = self.classes.find(name)
        if found is None:
            raise Unsendable(f"the class {name[1]} is defined on one side only"[:200])
        return found

    def _class_of_object(self, name: Any) -> Any:
        kind = self._class(name)
        if name[0] or issubclass(kind, (enum.Enum, BaseException, type)):
            raise Malformed("attributes of what is no plain object of a shared class")
        return kind

    def _fill(self, value: Any, name: str, content: Any) -> None:
        container, items = CONTAINERS[name], content if name in _BARE else content[1]
        if container.pairs:
            container.refill(value, [(self(key), self(item)) for key, item in items])
        else:
            container.refill(value, self._items(items))

    def _fill_object(self, value: Any, items: Any) -> None:
        kind, new = type(value), {str(key): self(item) for key, item in items}
        for key in new:
            if key.startswith("__") or callable(getattr(kind, key, None)):
                raise Malformed(f"an object whose {key} is replaced"[:100])
        for key in state(value):
            if key not in new:
                object.__delattr__(value, key)
        for key, item in new.items():
            object.__setattr__(value, key, item)

    def _hold(self, value: Any, number: int | None) -> None:
        if number is not None and self.known:
            if number in self.known.objects:
                raise Malformed("a number of two objects")
            self.known.add(value, number)


def state(value: Any) -> dict[str, Any]:
    """Attributes of an instance, those in slots among them."""
    found = dict(getattr(value, "__dict__", ()))
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if not name.startswith("__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def encode(value: Any) -> Any:
    """Plain data as JSON.

    Raises: Unsendable.
    """
    return Encoder()(value)


def decode(message: Any) -> Any:
    """The plain data of a message.

    Raises: Malformed.
    """
    return Decoder()(message)


def _only(content: Any) -> tuple[Any, Any]:
    if not isinstance(content, dict):
        return "scalar", content
    ((name, inner),) = content.items()
    return name, inner
