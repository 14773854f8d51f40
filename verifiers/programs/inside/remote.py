"""What stands on one side for a function, an iterator or an object of the other: it is asked, and answers as data."""

import functools
import itertools
import operator
import types
from collections.abc import Callable
from typing import Any

# Questions that hold nothing but the object: the answer is a value like any other.
_ASKED = {
    "__bool__": bool, "__len__": len, "__str__": str, "__repr__": repr, "__int__": int, "__float__": float,
    "__iter__": iter, "__reversed__": reversed, "__abs__": abs, "__length_hint__": operator.length_hint,
}  # fmt: skip
# Statements about the object that the tests make with arguments of theirs.
_GIVEN = {"__getitem__": operator.getitem, "__setitem__": operator.setitem, "__delitem__": operator.delitem}
_STEPS = ("send", "throw", "close")
_COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__", "__hash__")
_OPERATORS = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
)
# What would give the program's code an expected value, or let it swallow a failed test.
_REFUSED = (
    *_COMPARISONS,
    *(f"__{side}{name}__" for name in (*_OPERATORS, "matmul") for side in ("", "r", "i")),
    *(
        "__neg__",
        "__pos__",
        "__invert__",
        "__round__",
        "__trunc__",
        "__floor__",
        "__ceil__",
        "__index__",
        "__complex__",
    ),
    *("__enter__", "__exit__", "__aenter__", "__aexit__", "__await__", "__aiter__", "__anext__", "__format__"),
    *("__bytes__", "__fspath__", "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__", "__get__"),
    *("__instancecheck__", "__subclasscheck__"),
)
_SPECIAL = (*_ASKED, *_GIVEN, *_REFUSED, "__call__", "__next__")
# What `isinstance` is told, so that a generator counts as one.
_KINDS = {
    kind.__name__: kind
    for kind in (
        *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.GeneratorType, functools.partial),
        *(map, filter, zip, enumerate, reversed, type(iter([])), type(iter(())), type(iter({})), type(iter(set()))),
        *(itertools.chain, itertools.islice, itertools.count, itertools.cycle, itertools.repeat, itertools.accumulate),
        *(itertools.product, itertools.permutations, itertools.combinations, itertools.zip_longest, itertools.starmap),
        *(itertools.takewhile, itertools.dropwhile, itertools.groupby, type(iter(range(0))), type(iter(""))),
    )
}
READ = frozenset({"__name__", "__qualname__", "__doc__", "__annotations__", "__defaults__", "__kwdefaults__"})
# Their code runs in the loop of the side that lends them.
MADE = {"coroutine": types.CoroutineType, "async_generator": types.AsyncGeneratorType}


def describe(value: Any) -> list[Any]:
    """Kind, name and special methods of an object that is lent."""
    kind = type(value)
    for name, made in MADE.items():
        if isinstance(value, made):
            return [name, "", []]
    bases = kind.__mro__[:-1]
    special = [name for name in _SPECIAL if any(name in vars(base) for base in bases)]
    builtin = kind.__name__ if _KINDS.get(kind.__name__) is kind else ""
    return [builtin, str(kind.__name__)[:100], special]


def perform(target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Ask an object itself."""
    if name == "__call__":
        return target(*args, **kwargs)
    if name == "__next__":
        return next(target)
    if name == "get":
        return getattr(target, *args)
    if name == "set":
        return setattr(target, *args)
    if name in _STEPS:
        return getattr(target, name)(*args)
    if name == "await":
        return _loop().run_until_complete(target)
    if name == "anext":
        return _loop().run_until_complete(anext(target))
    return (_ASKED | _GIVEN)[name](target, *args)


class Remote:
    """Stands for a lent object; a subclass for each kind has the special methods that the object has."""

    __slots__ = ("__ask", "__weakref__", "__steps")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in READ:
            _ask(self, "lost", name)
            raise AttributeError(name)
        return _ask(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask(self, "set", name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _ask(self, "refused", "copy")


def make(ask: Callable[..., Any], content: Any) -> Any:
    """What stands for an object of this description; `ask(name, *args, **kwargs)` asks it.

    `ask("__next__")` gives a list of functions: one for each item that has been sent ahead.
    """
    kind, title, special = content
    if kind == "coroutine":
        return _coroutine(ask)
    if kind == "async_generator":
        return _async_generator(ask)
    remote = object.__new__(_class(str(kind), str(title) or "object", frozenset(map(str, special))))
    object.__setattr__(remote, "_Remote__ask", ask)
    object.__setattr__(remote, "_Remote__steps", [])
    return remote


def _ask(remote: Remote, name: str, *args: Any, **kwargs: Any) -> Any:
    return object.__getattribute__(remote, "_Remote__ask")(name, *args, **kwargs)


@functools.lru_cache(256)
def _class(kind: str, title: str, special: frozenset[str]) -> type:
    members: dict[str, Any] = {"__slots__": (), "__module__": "candidate"}
    members["__doc__"] = property(lambda self: _ask(self, "get", "__doc__"))
    for name in sorted(special.intersection(_SPECIAL)):
        members[name] = _refusal(name) if name in _REFUSED else _question(name)
    if "__next__" in special:
        members |= {"__next__": _next, "__iter__": lambda self: self}
    if kind == "generator":
        members |= {name: _step(name) for name in _STEPS}
    if kind in _KINDS:
        members["__class__"] = property(lambda self: _KINDS[kind])
    return type(title, (Remote,), members)


def _question(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: _ask(self, name, *args, **kwargs)


def _refusal(name: str) -> Callable[..., Any]:
    return lambda self, *args: _ask(self, "refused", name)


def _next(self: Remote) -> Any:
    steps = object.__getattribute__(self, "_Remote__steps")
    if not steps:
        steps.extend(reversed(_ask(self, "__next__")))
    return steps.pop()()


def _step(name: str) -> Callable[..., Any]:
    """A method of generators, which has to come before what has been sent ahead."""

    def step(self: Remote, *args: Any) -> Any:
        if object.__getattribute__(self, "_Remote__steps"):
            return _ask(self, "refused", name)
        return _ask(self, name, *args)

    return step


async def _coroutine(ask: Callable[..., Any]) -> Any:
    return ask("await")


async def _async_generator(ask: Callable[..., Any]) -> Any:
    while True:
        try:
            item = ask("anext")
        except StopIteration:
            return
        yield item


@functools.cache
def _loop() -> Any:
    import asyncio  # few programs need it, and it is slow to load

    return asyncio.new_event_loop()
