"""Modules of the standard library for programs and tests, taken along before the lock-down closes the files."""

import contextlib
import fcntl
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import marshal
import mmap
import os
import pkgutil
import selectors
import site
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

# Loaded at the start: most programs import no others. The rest is kept as code and loaded where it is imported.
_LOADED = (
    "abc array ast base64 bisect calendar cmath collections collections.abc colorsys contextlib copy csv ctypes "
    "dataclasses datetime decimal difflib enum fnmatch fractions functools gc getpass glob graphlib hashlib heapq "
    "hmac html inspect io itertools json keyword linecache locale logging math numbers operator os pathlib pickle "
    "platform pprint queue random re reprlib secrets shlex shutil signal socket stat statistics string struct "
    "subprocess sys tempfile textwrap threading time timeit tokenize traceback types typing unicodedata unittest "
    "urllib.parse uuid warnings weakref zlib zoneinfo _strptime atexit codecs copyreg errno sched "
    "encodings.idna encodings.latin_1 encodings.ascii encodings.utf_16 encodings.utf_32 xml.etree.ElementTree"
).split()
# Not offered, with the reason that docs/sandbox.md gives.
WITHHELD = {
    "antigravity": "opens a browser when it is imported",
    "idlelib": "needs a display",
    "lib2to3": "writes its tables into the installation",
    "test": "Python's own tests",
    "tkinter": "needs a display",
    "turtle": "needs a display",
    "turtledemo": "needs a display",
}
_NOT_WITHIN = {"__main__", "test", "tests", "idle_test"}
# Compiled modules, which no memory can be loaded from. Without `_asyncio`, whose import is slow, asyncio does as well.
_COMPILED = (
    "_bz2 _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _contextvars _crypt _curses "
    "_curses_panel _dbm _gdbm _interpchannels _interpqueues _interpreters _lsprof _lzma _multibytecodec "
    "_multiprocessing _posixshmem _queue _sqlite3 _ssl audioop fcntl grp mmap nis ossaudiodev readline resource select "
    "spwd syslog termios"
).split()
_SEALS = 0x000F  # F_SEAL_SEAL, _SHRINK, _GROW and _WRITE


def load() -> None:
    """Load what most programs import, and take the code of the rest along."""
    for name in _LOADED:
        importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of modules that a later version drops
        for name in _COMPILED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    sys.meta_path.append(_Store())
    site.setquit()
    site.sethelper()
    selectors.DefaultSelector = selectors.PollSelector


def offered() -> list[str]:
    """Names of the top-level modules that a program can import."""
    names = sorted(name for name in sys.stdlib_module_names - set(WITHHELD) if not name.startswith("_"))
    return [name for name in names if name in sys.modules or importlib.util.find_spec(name)]


def _specs() -> Iterator[importlib.machinery.ModuleSpec]:
    for name in sorted(sys.stdlib_module_names - set(WITHHELD)):
        yield from _within(name, None)


def _within(name: str, places: list[str] | None) -> Iterator[importlib.machinery.ModuleSpec]:
    spec = importlib.machinery.PathFinder.find_spec(name, places)
    if spec is None:  # built in, or of another system
        return
    yield spec
    for _, inner, _ in pkgutil.iter_modules(spec.submodule_search_locations or []):
        if inner not in _NOT_WITHIN:
            yield from _within(f"{name}.{inner}", spec.submodule_search_locations)


class _Store(importlib.abc.Loader):
    """Finds modules whose code lies in memory that no process can write to, and that a fork does not copy."""

    def __init__(self) -> None:
        descriptor = os.memfd_create("stdlib", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        with open(descriptor, "rb"):
            child = os.fork()  # what it reads leaves no trace in the memory of this process
            if child == 0:
                code = 1
                try:
                    _write_code(descriptor)
                    code = 0
                finally:
                    os._exit(code)
            if os.waitpid(child, 0)[1]:
                raise OSError("the code of the standard library cannot be read")
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            self.code = mmap.mmap(descriptor, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
        self.begin = int.from_bytes(self.code[:8], "big")
        self.places: dict[str, tuple[int, int, bool, str]] = marshal.loads(self.code[8 : self.begin])

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """As a finder of `sys.meta_path`."""
        del path, target
        if name not in self.places:
            return None
        _, _, package, origin = self.places[name]
        spec = importlib.machinery.ModuleSpec(name, self, origin=origin, is_package=package)
        spec.has_location = True
        return spec

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the code of a module that is imported."""
        begin, end, _, _ = self.places[module.__name__]
        exec(marshal.loads(self.code[self.begin + begin : self.begin + end]), module.__dict__)
        if module.__name__ == "asyncio.selector_events":
            loop: Any = vars(module)["BaseSelectorEventLoop"]
            loop._make_self_pipe, loop._close_self_pipe = _open_pipe, _close_pipe


def _write_code(descriptor: int) -> None:
    """Where the code of each module lies, then the code."""
    loaders = [(spec, spec.loader) for spec in _specs()]
    found = [(spec, load) for spec, load in loaders if isinstance(load, importlib.machinery.SourceFileLoader)]
    parts = [marshal.dumps(load.get_code(spec.name)) for spec, load in found]
    ends = list(itertools.accumulate(map(len, parts)))
    places = {
        spec.name: (end - len(part), end, spec.submodule_search_locations is not None, spec.origin)
        for (spec, _), part, end in zip(found, parts, ends, strict=True)
    }
    head = marshal.dumps(places)
    with open(descriptor, "wb", closefd=False) as file:
        file.writelines([(8 + len(head)).to_bytes(8, "big"), head, *parts])


class _PipeEnd:
    """One end of a pipe, with what an event loop asks of a socket."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor

    def recv(self, size: int) -> bytes:
        return os.read(self.descriptor, size)

    def send(self, data: bytes) -> int:
        return os.write(self.descriptor, data)

    def close(self) -> None:
        os.close(self.descriptor)


def _open_pipe(loop: Any) -> None:
    """As `BaseSelectorEventLoop._make_self_pipe` with a pipe, because the filter of system calls refuses sockets."""
    loop._ssock, loop._csock = map(_PipeEnd, os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
    loop._internal_fds += 1
    loop._add_reader(loop._ssock.fileno(), loop._read_from_self)


def _close_pipe(loop: Any) -> None:
    loop._remove_reader(loop._ssock.fileno())
    loop._ssock.close()
    loop._csock.close()
    loop._ssock = loop._csock = None
    loop._internal_fds -= 1
