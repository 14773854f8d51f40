"""Types of the standard library whose instances are sent as arguments of their constructors, and made anew."""

import array
import collections
import datetime
import decimal
import fractions
import ipaddress
import operator
import pathlib
import re
import types
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A type, what its instances are taken apart into, and how they are put together; a wrong part raises."""

    type: type
    take: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]


def _exact(kind: type, make: Callable[..., Any]) -> Callable[..., Any]:
    """`make` that takes arguments of one type only."""

    def checked(*parts: Any) -> Any:
        if any(type(part) is not kind for part in parts):
            raise TypeError(f"parts that are not of type {kind.__name__}")
        return make(*parts)

    return checked


def _whole(parts: tuple[Any, ...]) -> tuple[int, ...]:
    """Numbers of a time, before its zone and fold; bytes would be taken as a state that nobody checks."""
    return _exact(int, lambda *numbers: numbers)(*parts[:-2])


_date = operator.attrgetter("year", "month", "day")
_time = operator.attrgetter("hour", "minute", "second", "microsecond", "tzinfo", "fold")
_steps = operator.attrgetter("start", "stop", "step")

STANDARD = {
    "range": Kind(range, _steps, _exact(int, range)),
    "slice": Kind(slice, _steps, slice),
    "complex": Kind(complex, lambda z: (z.real, z.imag), _exact(float, complex)),
    "memoryview": Kind(memoryview, lambda view: (view.tobytes(),), _exact(bytes, memoryview)),
    "ellipsis": Kind(type(...), lambda _: (), lambda: ...),
    "NotImplementedType": Kind(type(NotImplemented), lambda _: (), lambda: NotImplemented),
    "Fraction": Kind(fractions.Fraction, lambda q: (q.numerator, q.denominator), _exact(int, fractions.Fraction)),
    "Decimal": Kind(decimal.Decimal, lambda d: (str(d),), _exact(str, decimal.Decimal)),
    "date": Kind(datetime.date, _date, _exact(int, datetime.date)),
    "datetime": Kind(
        datetime.datetime,
        lambda d: (*_date(d), *_time(d)),
        lambda *parts: datetime.datetime(*_whole(parts), tzinfo=parts[-2], fold=parts[-1]),
    ),
    "time": Kind(datetime.time, _time, lambda *parts: datetime.time(*_whole(parts), tzinfo=parts[-2], fold=parts[-1])),
    "timedelta": Kind(
        datetime.timedelta, lambda d: (d.days, d.seconds, d.microseconds), _exact(int, datetime.timedelta)
    ),
    "timezone": Kind(datetime.timezone, lambda zone: zone.__getinitargs__(), datetime.timezone),
    "UUID": Kind(uuid.UUID, lambda u: (u.int,), _exact(int, lambda number: uuid.UUID(int=number))),
    "PosixPath": Kind(pathlib.PosixPath, lambda path: (str(path),), _exact(str, pathlib.PosixPath)),
    "PurePosixPath": Kind(pathlib.PurePosixPath, lambda path: (str(path),), _exact(str, pathlib.PurePosixPath)),
    "IPv4Address": Kind(ipaddress.IPv4Address, lambda a: (int(a),), _exact(int, ipaddress.IPv4Address)),
    "IPv6Address": Kind(ipaddress.IPv6Address, lambda a: (int(a),), _exact(int, ipaddress.IPv6Address)),
    "Pattern": Kind(re.Pattern, lambda p: (p.pattern, p.flags), re.compile),
    "mappingproxy": Kind(types.MappingProxyType, lambda m: (dict(m),), _exact(dict, types.MappingProxyType)),
    "dict_keys": Kind(type({}.keys()), tuple, lambda *keys: dict.fromkeys(keys).keys()),
    "dict_values": Kind(type({}.values()), tuple, lambda *v: dict(enumerate(v)).values()),
    "dict_items": Kind(type({}.items()), tuple, lambda *items: dict(items).items()),
    "odict_keys": Kind(
        type(collections.OrderedDict().keys()),
        tuple,
        lambda *keys: collections.OrderedDict.fromkeys(keys).keys(),
    ),
    "odict_values": Kind(
        type(collections.OrderedDict().values()),
        tuple,
        lambda *values: collections.OrderedDict(enumerate(values)).values(),
    ),
    "odict_items": Kind(
        type(collections.OrderedDict().items()),
        tuple,
        lambda *items: collections.OrderedDict(items).items(),
    ),
}  # fmt: skip
NAMES = {kind.type: name for name, kind in STANDARD.items()}


def _refill_list(target: Any, items: list[Any]) -> None:
    if not _same(target, items):
        target[:] = items


def _refill_deque(target: Any, items: list[Any]) -> None:
    if not _same(target, items):
        target.clear()
        target.extend(items)


def _refill_set(target: Any, items: list[Any]) -> None:
    if target != set(items):
        target.clear()
        target.update(items)


def _refill_dict(target: Any, items: list[Any]) -> None:
    pairs = [(key, value) for key, value in items]
    if not (_same(target, [key for key, _ in pairs]) and _same(target.values(), [value for _, value in pairs])):
        target.clear()
        for key, value in pairs:
            target[key] = value


def _refill_array(target: Any, items: list[Any]) -> None:
    if target.tolist() != items:
        del target[:]
        target.extend(items)


def _same(held: Any, items: list[Any]) -> bool:
    """Whether a container already holds these items: the same objects, or equal plain ones."""
    return len(held) == len(items) and all(
        old is new or (type(old) is type(new) and type(old) in _SCALARS and old == new)
        for old, new in zip(held, items, strict=True)
    )


_SCALARS = {bool, int, float, complex, str, bytes}


class Container(NamedTuple):
    """A container that can be changed in place: how it is made empty, its items, and how it gets others."""

    type: type
    empty: Callable[[Any], Any]
    extra: Callable[[Any], Any]  # what the empty one is made of
    items: Callable[[Any], Any]
    refill: Callable[[Any, list[Any]], None]
    pairs: bool = False


def no_extra(_: Any) -> None:
    """For a container that is described by its items alone."""


CONTAINERS = {
    "list": Container(list, lambda _: [], no_extra, iter, _refill_list),
    "set": Container(set, lambda _: set(), no_extra, iter, _refill_set),
    "dict": Container(dict, lambda _: {}, no_extra, dict.items, _refill_dict, True),
    "bytearray": Container(bytearray, lambda _: bytearray(), no_extra, iter, _refill_list),
    "array": Container(array.array, array.array, lambda values: values.typecode, iter, _refill_array),
    "deque": Container(
        collections.deque, lambda n: collections.deque(maxlen=n), lambda d: d.maxlen, iter, _refill_deque
    ),
    "SimpleNamespace": Container(
        types.SimpleNamespace, lambda _: types.SimpleNamespace(), no_extra, lambda s: vars(s).items(),
        lambda s, items: _refill_dict(vars(s), items), True,
    ),
    "Counter": Container(
        collections.Counter, lambda _: collections.Counter(), no_extra, dict.items, _refill_dict, True
    ),
    "OrderedDict": Container(
        collections.OrderedDict, lambda _: collections.OrderedDict(), no_extra, collections.OrderedDict.items,
        _refill_dict, True,
    ),
    "defaultdict": Container(
        collections.defaultdict, collections.defaultdict, lambda d: d.default_factory, dict.items, _refill_dict, True
    ),
}  # fmt: skip
CONTAINER_NAMES = {container.type: name for name, container in CONTAINERS.items()}
