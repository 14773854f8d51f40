"""What both processes know: objects by a number, and classes by a name."""

import collections
import enum
import math
import sys
import types
from typing import Any

# Exceptions that steer the machinery of loops and test runners: none comes out of a program as it is, because raised
# inside `zip(map(candidate, xs), ys)` or a `TestCase` it would end or skip the tests as passed.
STEERING = {
    "StopIteration": "builtins", "StopAsyncIteration": "builtins", "GeneratorExit": "builtins",
    "CancelledError": "asyncio.exceptions", "SkipTest": "unittest.case", "_ShouldStop": "unittest.case",
    "_UnexpectedSuccess": "unittest.case", "BdbQuit": "bdb",
}  # fmt: skip
LOCAL = ("candidate", "tests")  # modules in which the program and its tests define their classes


class Known:
    """Objects that have crossed, so that identity, aliases and changes in place are kept.

    Each side gives numbers of its own sign. What is sent carries its whole state, so that an old object may be
    forgotten: it then arrives as a new one.
    """

    def __init__(self, step: int, limit: int):
        self.objects: dict[int, Any] = {0: math.nan}
        self.numbers: dict[int, int] = {id(math.nan): 0}  # by identity, valid while the object is held
        self.lent: dict[int, Any] = {}  # what the other side may ask
        self.kept: set[int] = {0}  # never forgotten
        self.scalars = False  # whether plain numbers or texts are held, too
        self._step, self._last, self._limit, self._total = step, 0, limit, 0
        self._batches: collections.deque[tuple[int, list[int]]] = collections.deque()
        self._fresh: list[int] = []

    def add(self, value: Any, number: int | None = None) -> int:
        """Hold an object under a number, by default a new one."""
        if number is None:
            self._last += self._step
            number = self._last
        self._forget(number)
        self.objects[number] = value
        self.numbers[id(value)] = number
        self._fresh.append(number)
        self.scalars = self.scalars or type(value) in (str, bytes, int, float)
        return number

    def given(self, number: int) -> bool:
        """Whether a number is the other side's, or one of this side that may have been forgotten."""
        return number * self._step <= self._last * self._step

    def lend(self, value: Any) -> None:
        """Let the other side ask an object that is held."""
        number = self.numbers[id(value)]
        self.lent[number] = value
        self.kept.add(number)

    def count(self, size: int) -> None:
        """Note a message of this size, which has brought what is new."""
        if self._fresh:
            self._batches.append((size, self._fresh))
            self._fresh, self._total = [], self._total + size

    def trim(self) -> None:
        """Forget what came with old messages, as far as the limit asks for it."""
        while self._total > self._limit and len(self._batches) > 2:
            size, numbers = self._batches.popleft()
            self._total -= size
            for number in numbers:
                if number not in self.kept:
                    self._forget(number)

    def _forget(self, number: int) -> None:
        if number in self.objects:
            value = self.objects.pop(number)
            if self.numbers.get(id(value)) == number:
                del self.numbers[id(value)]


class Classes:
    """Classes by name: those of the standard library, and those that the program and its tests both define.

    The trusted side is that of the tests. It makes instances of what the setup defines or the tests have passed on,
    and of no other class of theirs.
    """

    def __init__(self, namespace: dict[str, Any], *, trusted: bool = False):
        self.namespace, self.trusted = namespace, trusted
        self.shared: set[str] = set()  # local classes of which the other side may send instances

    def name(self, kind: type) -> list[str] | None:
        """Module and qualified name, the module empty for a local class; None where the other side need not know it."""
        module, name = str(kind.__module__), str(kind.__qualname__)
        if module not in LOCAL:
            return [module, name] if _in_library(module) else None
        if self.trusted and self._local(name) is kind:
            self.shared.add(name)
        return ["", name] if name in self.shared else None

    def find(self, name: Any) -> type | None:
        """The class of a name, or None."""
        module, qualified = (str(part) for part in name)
        if module:
            found = vars(sys.modules[module]).get(qualified) if _in_library(module) else None
            return found if isinstance(found, type) and found.__module__ == module else None
        if self.trusted and qualified not in self.shared:
            return None
        found = self._local(qualified)
        if found:
            self.shared.add(qualified)
        return found

    def _local(self, name: str) -> type | None:
        found: Any = self.namespace.get(name.partition(".")[0])
        for part in name.split(".")[1:]:
            found = vars(found).get(part) if isinstance(found, type) else None
        return found if isinstance(found, type) and found.__module__ in LOCAL else None

    def local(self) -> list[str]:
        """Names of the classes that are defined here."""
        found = [kind for kind in self.namespace.values() if isinstance(kind, type) and kind.__module__ in LOCAL]
        return [kind.__qualname__ for kind in found]

    def function_name(self, value: Any) -> list[str] | None:
        """Module and name of a function or class of the standard library."""
        module, name = str(getattr(value, "__module__", "")), str(getattr(value, "__qualname__", ""))
        if isinstance(value, (types.MethodDescriptorType, types.WrapperDescriptorType)):
            module = value.__objclass__.__module__
        return [module, name] if self.function([module, name]) is value else None

    def function(self, name: list[str]) -> Any:
        """The function of the standard library that has this name, or None; for what the tests send only."""
        module, qualified = name
        if not _in_library(module):
            return None
        found: Any = sys.modules[module]
        for part in qualified.split("."):
            found = getattr(found, part, None)
        return found

    def error(self, name: Any) -> type[BaseException] | None:
        """An exception class that may be raised here, or None: to the program all that its tests raise."""
        found = self.find(name)
        if not found or not issubclass(found, BaseException):
            return None
        return None if self.trusted and steers(found) else found

    def value(self, name: Any) -> type | None:
        """A class that may be returned: no instance of it is equal to what it is not."""
        found = self.find(name)
        if found is None or found.__module__ in (*LOCAL, "builtins") or issubclass(found, (BaseException, enum.Enum)):
            return found
        return found if (found.__module__.partition(".")[0], found.__name__) in _VALUES else None


_VALUES = frozenset({
    ("fractions", "Fraction"), ("decimal", "Decimal"), ("datetime", "date"), ("datetime", "datetime"),
    ("datetime", "time"), ("datetime", "timedelta"), ("datetime", "timezone"), ("collections", "deque"),
    ("collections", "Counter"), ("collections", "OrderedDict"), ("collections", "defaultdict"), ("uuid", "UUID"),
    ("array", "array"), ("pathlib", "Path"), ("pathlib", "PurePath"),
})  # fmt: skip


def _in_library(module: str) -> bool:
    return module in sys.modules and module.partition(".")[0] in sys.stdlib_module_names


def steers(kind: type) -> bool:
    """Whether an exception of this class would steer the tests instead of failing them."""
    return any(STEERING.get(base.__name__) == base.__module__ for base in kind.__mro__)
